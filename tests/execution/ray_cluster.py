"""A Ray cluster of several machines on this one, in a process of its own, so that tests can kill its parts.

Started as a script: prints its address and the processes of its parts as JSON, and ends when its input closes.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]

FAST = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""How soon a machine that is gone is known to be."""


class Machines:
    """A cluster: one machine with the head, `others` beside it; each with so many CPUs."""

    def __init__(self, others=0, cpus=2):
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(others), str(cpus)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        started = json.loads(self._process.stdout.readline())
        self.address = started["address"]
        self.head, *self.others = started["machines"]

    def end_one(self):
        """Ends one of the machines beside the head, with all that runs on it, as a power cut does."""
        end(self.others.pop())

    def end_all(self):
        for machine in (self.head, *self.others):
            end(machine)
        self.others = []

    def close(self):
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


def end(processes):
    """Kills these processes and all that they have started."""
    everything = [each for process in processes if psutil.pid_exists(process) for each in tree(process)]
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def tree(process):
    parent = psutil.Process(process)
    return [parent, *parent.children(recursive=True)]


def main():
    from ray.cluster_utils import Cluster

    others, cpus = map(int, sys.argv[1:])
    options = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 100_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**options, "_system_config": FAST})
    for _ in range(others):
        cluster.add_node(num_cpus=cpus, object_store_memory=100_000_000)
    nodes = [cluster.head_node, *cluster.worker_nodes]
    machines = [
        [info.process.pid for all_of_kind in node.all_processes.values() for info in all_of_kind] for node in nodes
    ]
    print(json.dumps({"address": cluster.address, "machines": machines}), flush=True)
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
