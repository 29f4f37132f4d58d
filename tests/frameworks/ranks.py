"""Two real processes of torch.distributed, each of which runs the same lines and answers in JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path

WORLD = 2
ROOT = Path(__file__).parents[2]

BEGIN = """
import json, os, sys
import torch
import torch.distributed as dist

torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=sys.argv[1], rank=int(os.environ["RANK"]), world_size=int(os.environ["WORLD_SIZE"]))
rank = dist.get_rank()


def answer(**found):
    print("answer:" + json.dumps(found), flush=True)

"""
END = """
dist.barrier()
dist.destroy_process_group()
sys.stdout.flush()
os._exit(0)  # torch ends its threads as it can: on a busy machine a process that was done aborts in its own end
"""


def run(lines, folder, name="ranks", world=WORLD, timeout=200):
    """What each process answers, by rank; they meet in a file, so that no port is taken from anyone."""
    meeting = f"file://{folder}/{name}"
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", BEGIN + lines + END, meeting],
            cwd=ROOT,
            env={
                **os.environ,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(world),
                "LOCAL_WORLD_SIZE": str(world),
                "GROUP_RANK": "0",
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": "1",
                "TORCHELASTIC_RUN_ID": name,
                "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0] * world, "\n".join(outputs)
    lines = [[line for line in output.splitlines() if line.startswith("answer:")] for output in outputs]
    return [json.loads(found[-1].removeprefix("answer:")) for found in lines]
