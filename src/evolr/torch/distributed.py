"""What the processes of a distributed training tell, as one number that all of them see.

A loss is of the batches that a process has seen. A learning rate that follows it would be another one in each process,
and the replicas of a network that is trained in parallel would silently become different networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch.optim import Optimizer


def is_distributed() -> bool:
    """Whether torch.distributed has been initialised with several processes."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def mean_over_ranks(told: Mapping[str, Any], optimizer: Optimizer) -> dict[str, float]:
    """The mean of each value over the processes of the default group, by one collective; the same bits in all of them.

    told: numbers, or tensors of one, by name. Each process has to call this, with the same names; one that has no such
        value gives NaN, and is left out of the mean, which is NaN if all of them are.
    optimizer: its parameters say on which device the processes meet, if the group's back end can meet there.
    """
    device = _meeting_device(optimizer)
    values = torch.stack([_scalar(told[name], device) for name in sorted(told)])
    is_there = ~values.isnan()
    sums = torch.stack([values.where(is_there, torch.zeros_like(values)), is_there.to(values.dtype)])
    dist.all_reduce(sums)
    return dict(zip(sorted(told), (sums[0] / sums[1]).tolist(), strict=True))


def _scalar(value: Any, device: torch.device) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float64, device=device).detach().reshape(())


def _meeting_device(optimizer: Optimizer) -> torch.device:
    """Where the processes' numbers are added: as nccl meets on GPUs alone, and gloo's choice is the processor.

    It depends on the group and on the parameters, never on what one process tells.
    """
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    device = next((parameter.device for parameter in parameters), torch.device("cpu"))
    able = {part.partition(":")[0] for part in str(dist.get_backend_config()).split(",")}
    if device.type in able:
        return device
    if "cpu" in able:
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
