"""The training benchmark: the same work by plain PyTorch and by evolr, in one run.

    make bench

The work is n epochs of the mnist1d MLP (batches of 100, Adam, validation after each epoch) for a population of 20:
(a) eager PyTorch, one network after another; (b) a process pool of that, one thread each; (c) a PyTorch ensemble by
bmm; (d) evolr, each network under a schedule of its own. Beside them the machine's sgemm peak, the share of an
`evolve` that is not training, and peak memory. Rounds alternate, so that the machine's noise meets all alike; a
figure is the median of its rounds. Prints a table and writes benchmarks/results/training.json.

The peak is that of the processor's own BLAS kernel: it is measured in a process without the variables that choose another
one (OPENBLAS_CORETYPE, say), which would make every share of it too large. If some are set, the peak under them is
measured too, and both are told, each with the kernels that NumPy and PyTorch used.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from this_machine import processor
from threadpoolctl import threadpool_info

POPULATION, EPOCHS, ROUNDS = 20, 10, 5
BATCH, STEPS, MONITOR, WIDTHS = 100, 40, 1_000, (40, 100, 100, 10)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
RESULTS = Path(__file__).parent / "results" / "training.json"
KERNEL_VARIABLES = (
    *("OPENBLAS_CORETYPE", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE"),
    *("DNNL_MAX_CPU_ISA", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "NPY_DISABLE_CPU_FEATURES"),
)
"""Environment variables by which NumPy's or PyTorch's products use other kernels than the processor's own."""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# Multiply-adds count as two operations. Forward and weight gradients take every layer, input gradients all but the
# first; elementwise work (activations, loss, optimiser) is not counted.
_PAIRS = list(pairwise(WIDTHS))
_FORWARD = 2 * sum(a * b for a, b in _PAIRS)
_BACKWARD = _FORWARD + 2 * sum(a * b for a, b in _PAIRS[1:])
OPERATIONS = STEPS * BATCH * (_FORWARD + _BACKWARD) + MONITOR * _FORWARD
"""Matrix operations in a network-epoch."""


def samples():
    import torch

    from evolr.problems.mnist1d_data import published

    (x, y), (vx, vy) = published()
    return torch.tensor(x), torch.tensor(y).long(), torch.tensor(vx), torch.tensor(vy).long()


def eager(networks: int, threads: int) -> float:
    """Seconds for eager PyTorch to train networks one after another."""
    import torch
    from torch import nn
    from torch.nn.functional import cross_entropy

    torch.set_num_threads(threads)
    x, y, vx, vy = samples()
    start = time.perf_counter()
    for seed in range(networks):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(40, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU(), nn.Linear(100, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(EPOCHS):
            order = torch.randperm(len(y))
            for step in range(STEPS):
                rows = order[step * BATCH : (step + 1) * BATCH]
                loss = cross_entropy(model(x[rows]), y[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                loss.item()  # a feedback schedule reads it
            with torch.no_grad():
                logits = model(vx)
                cross_entropy(logits, vy).item()
                (logits.argmax(1) == vy).float().mean().item()
    return time.perf_counter() - start


def pool_job(networks: int) -> float:
    return eager(networks, 1)


def ensemble() -> float:
    """Seconds for a bmm ensemble of the whole population, one learning rate a network."""
    import torch
    from torch.nn.functional import cross_entropy, relu

    torch.set_num_threads(CORES)
    x, y, vx, vy = samples()
    p = POPULATION
    start = time.perf_counter()
    weights = [((torch.rand(p, a, b) * 2 - 1) / a**0.5).requires_grad_() for a, b in _PAIRS]
    biases = [torch.zeros(p, 1, b, requires_grad=True) for _, b in _PAIRS]
    optimizer = torch.optim.Adam(weights + biases, lr=1e-3)  # the faster of foreach and fused: see below
    best = optimizer

    def forward(inputs):
        for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
            inputs = torch.baddbmm(b, inputs, w)
            inputs = relu(inputs) if layer < 2 else inputs
        return inputs

    def losses(inputs, labels):
        flat = forward(inputs.expand(p, *inputs.shape)).reshape(-1, 10)
        return cross_entropy(flat, labels.repeat(p), reduction="none").view(p, -1).mean(1), flat

    for _ in range(EPOCHS):
        order = torch.randperm(len(y))
        for step in range(STEPS):
            rows = order[step * BATCH : (step + 1) * BATCH]
            loss, _ = losses(x[rows], y[rows])
            best.zero_grad()
            loss.sum().backward()
            best.step()
            loss.detach().tolist()  # feedback schedules read them
        with torch.no_grad():
            loss, flat = losses(vx, vy)
            (flat.argmax(1).view(p, -1) == vy).float().mean(1).tolist()
    return time.perf_counter() - start


def peak(environment: dict[str, str]) -> dict[str, Any]:
    """What `--peak` prints, in a process with this environment and a thread for each core."""
    environment = {**environment, **dict.fromkeys(THREAD_VARIABLES, str(CORES))}
    done = subprocess.run([sys.executable, __file__, "--peak"], capture_output=True, check=True, env=environment)
    return json.loads(done.stdout)


def measured_peak() -> dict[str, Any]:
    """Operations a second of sgemm on large matrices, all cores: the best of NumPy's and PyTorch's; and their kernels."""
    import torch

    torch.set_num_threads(CORES)
    n = 1_536
    a = np.random.default_rng(0).random((n, n), np.float32)
    b = torch.tensor(a)
    out, torch_out = np.empty_like(a), torch.empty(n, n)
    products = {"numpy": lambda: np.matmul(a, a, out=out), "torch": lambda: torch.mm(b, b, out=torch_out)}
    seconds = dict.fromkeys(products, float("inf"))
    for _ in range(6):
        for name, multiply in products.items():
            start = time.perf_counter()
            multiply()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    best = min(seconds, key=seconds.__getitem__)
    return {"operations_a_second": 2 * n**3 / seconds[best], "by": best, "kernels": kernels()}


def kernels() -> dict[str, str]:
    """The BLAS kernels of this process. PyTorch's MKL is linked into it, and says no more than its instructions."""
    import torch

    found = [library for library in threadpool_info() if library["user_api"] == "blas"]
    numpys = [f"{b['internal_api']} {b['version']}, {b.get('architecture', 'no kernel named')}" for b in found]
    library = "MKL" if torch.backends.mkl.is_available() else "its own BLAS"
    return {
        "numpy": "; ".join(numpys) or "not known to threadpoolctl",
        "torch": f"{library}, {torch.backends.cpu.get_cpu_capability()}",
    }


class Evolr:
    """Trains the population under formulas of 1 to 31 nodes."""

    def __init__(self) -> None:
        from evolr.expression import parse
        from evolr.problems import Mnist1dMlp
        from evolr.schedule import Schedule
        from evolr.training.optimizers import Optimizer
        from evolr.training.task import Trial
        from evolr.training.trainer import Trainer

        texts = ["0.001" + "".join(f" + 0.0001*sin(loss*{k})" for k in range(n % 6)) for n in range(POPULATION)]
        schedules = [Schedule(expression=parse(text)) for text in texts]
        self.trials = [Trial(schedule, 0) for schedule in schedules]
        self.trainer = Trainer(Mnist1dMlp(pools="original").task("fitness"), Optimizer())

    def __call__(self) -> float:
        start = time.perf_counter()
        self.trainer.train(self.trials, EPOCHS)
        return time.perf_counter() - start


def memory(population: int) -> float:
    """Peak resident MiB of a process that trains a population for two epochs."""
    code = f"""
from pathlib import Path
from evolr.problems import Mnist1dMlp
from evolr.standard import constant
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer
trainer = Trainer(Mnist1dMlp(pools="original").task("fitness"), Optimizer())
trainer.train([Trial(constant(0.001 + k * 1e-6), 0) for k in range({population})], 2)
lines = Path("/proc/self/status").read_text().splitlines()  # ru_maxrss would count the process that started us
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")))
"""
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout) / 1024


def overhead() -> dict[str, float]:
    """Of an `evolve` with preset `original`: seconds in all, in training, and the shares outside it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "evolr",
            "evolve",
            "--preset",
            "original",
            "--json",
            "--quiet",
            "--run",
            f"{folder}/run",
        ]
        start = time.perf_counter()
        result = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        wall = time.perf_counter() - start
    return {
        "process_seconds": wall,
        "evolve_seconds": result["seconds"],
        "training_seconds": result["training_seconds"],
        "share_of_evolve_outside_training": 1 - result["training_seconds"] / result["seconds"],
        "share_of_process_outside_training": 1 - result["training_seconds"] / wall,
    }


def main() -> None:
    network_epochs = POPULATION * EPOCHS
    evolr = Evolr()
    times: dict[str, list[float]] = {"eager": [], "pool": [], "ensemble": [], "evolr": []}
    chosen = {name: os.environ[name] for name in KERNEL_VARIABLES if os.environ.get(name)}
    own_kernel = {name: value for name, value in os.environ.items() if name not in chosen}
    peaks: list[dict[str, Any]] = []
    load = os.getloadavg()[0]
    with ProcessPoolExecutor(CORES, mp_context=get_context("spawn")) as pool:
        list(pool.map(pool_job, [1] * CORES))  # warm-up: imports
        evolr()
        ensemble()
        share = POPULATION // CORES
        for number in range(ROUNDS):
            print(f"round {number + 1} of {ROUNDS}", file=sys.stderr)
            peaks.append(peak(own_kernel))
            times["eager"].append(eager(POPULATION, CORES) / network_epochs)
            start = time.perf_counter()
            list(pool.map(pool_job, [share] * CORES))
            times["pool"].append((time.perf_counter() - start) / (share * CORES * EPOCHS))
            times["ensemble"].append(ensemble() / network_epochs)
            times["evolr"].append(evolr() / network_epochs)
    milliseconds = {name: 1e3 * statistics.median(values) for name, values in times.items()}
    sgemm = statistics.median(each["operations_a_second"] for each in peaks)
    floor = 1e3 * OPERATIONS / sgemm
    document = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cores": CORES, "processor": processor(), "system": platform.system(), "load_at_start": load},
        "versions": {
            "python": platform.python_version(),
            **{p: version(p) for p in ("jax", "torch", "numpy", "evolr")},
        },
        "work": {"population": POPULATION, "epochs": EPOCHS, "operations_per_network_epoch": OPERATIONS},
        "ms_per_network_epoch": milliseconds,
        "ms_per_network_epoch_rounds": {name: [1e3 * v for v in values] for name, values in times.items()},
        "evolr_is_faster_than": {n: milliseconds[n] / milliseconds["evolr"] for n in ("eager", "pool", "ensemble")},
        "sgemm": {
            "peak_gflops": sgemm / 1e9,
            "peak_gflops_rounds": [each["operations_a_second"] / 1e9 for each in peaks],
            "by": peaks[-1]["by"],
            "kernels": peaks[-1]["kernels"],
            "ms_per_network_epoch_at_peak": floor,
            "evolr_fraction_of_peak": floor / milliseconds["evolr"],
            "under_the_environment": under_the_environment(chosen),
        },
        "evolve": overhead(),
        "peak_memory_mib": {"population 20": memory(20), "population 1000": memory(1_000)},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(document, indent=2) + "\n")
    show(document)


def under_the_environment(chosen: dict[str, str]) -> dict[str, Any] | None:
    """The peak with the variables that choose kernels as they are set; None if none is."""
    if not chosen:
        return None
    found = peak(dict(os.environ))
    return {"variables": chosen, "peak_gflops": found["operations_a_second"] / 1e9, "kernels": found["kernels"]}


def show(document: dict) -> None:
    milliseconds, ratios = document["ms_per_network_epoch"], document["evolr_is_faster_than"]
    names = {
        "eager": "(a) eager PyTorch",
        "pool": "(b) process pool",
        "ensemble": "(c) bmm ensemble",
        "evolr": "(d) evolr",
    }
    print(f"{'':28}{'ms per network-epoch':>22}{'evolr is faster by':>20}")
    for name, label in names.items():
        ratio = f"{ratios[name]:.1f}×" if name in ratios else ""
        print(f"{label:28}{milliseconds[name]:22.2f}{ratio:>20}")
    sgemm, million = document["sgemm"], document["work"]["operations_per_network_epoch"] / 1e6
    print(f"BLAS kernels: NumPy {sgemm['kernels']['numpy']}; PyTorch {sgemm['kernels']['torch']}")
    print(
        f"sgemm peak, {sgemm['by']}: {sgemm['peak_gflops']:.0f} GFLOP/s, {sgemm['ms_per_network_epoch_at_peak']:.2f} ms for the "
        f"{million:.0f} million operations of a network-epoch; evolr reaches {sgemm['evolr_fraction_of_peak']:.0%}"
    )
    if under := sgemm["under_the_environment"]:
        variables = ", ".join(f"{name}={value}" for name, value in under["variables"].items())
        print(
            f"under {variables} the peak is {under['peak_gflops']:.0f} GFLOP/s, NumPy {under['kernels']['numpy']}: not what "
            "the processor can do, and not taken"
        )
    if sgemm["evolr_fraction_of_peak"] > 1:
        print("more than the peak: the kernels above are not the processor's own, or the machine was busy meanwhile")
    evolve, mib = document["evolve"], document["peak_memory_mib"]
    print(
        f"evolve, preset original: {evolve['evolve_seconds']:.1f} s, "
        f"{evolve['share_of_evolve_outside_training']:.1%} of it outside training and compiling "
        f"({evolve['share_of_process_outside_training']:.1%} of the whole process)"
    )
    print(f"peak memory: {mib['population 20']:.0f} MiB at population 20, {mib['population 1000']:.0f} MiB at 1,000")
    print(f"written: {RESULTS.relative_to(Path.cwd()) if RESULTS.is_relative_to(Path.cwd()) else RESULTS}")


if __name__ == "__main__":
    if sys.argv[1:] == ["--peak"]:
        print(json.dumps(measured_peak()))
    else:
        main()
