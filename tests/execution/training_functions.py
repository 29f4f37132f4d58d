"""Training functions for the tests of the workers: imported by name in processes of their own."""

import math
import os
import random
import signal
import sys
import time

FAILING = 13
"""The seed with which `contracted` fails."""

ENDLESS = 17
"""The seed with which it never ends."""


def contracted(schedule, seed, epochs):
    """A few steps down a parabola, told progress, loss and val_loss; fails with the seed FAILING, and never ends with ENDLESS."""
    if seed == FAILING:
        raise ValueError(f"not with seed {seed}")
    if seed == ENDLESS:
        hanging(schedule, seed, epochs)
    place = val_loss = 2.0 + random.Random(seed).random()
    for step in range(4 * epochs):
        place -= schedule(progress=step / (4 * epochs), loss=place**2, val_loss=val_loss) * 2 * place
        if step % 4 == 3:
            val_loss = place**2
    return -(place**2)


def falling(schedule, seed, epochs):
    """Higher the nearer the learning rate is to a line that falls; a little of the seed's luck."""
    rates = [schedule(epoch=epoch, loss=1.0 / (1 + epoch), val_loss=0.5) for epoch in range(epochs)]
    wanted = [0.01 * (1 - epoch / epochs) for epoch in range(epochs)]
    return -math.fsum(abs(a - b) for a, b in zip(rates, wanted, strict=True)) + seed % 7 * 1e-4


async def coroutine(schedule, seed, epochs):
    return 1.0


def generator(schedule, seed, epochs):
    yield 1.0


async def generator_of_coroutines(schedule, seed, epochs):
    yield 1.0


def tempered(schedule, seed, epochs):
    """Higher the nearer the learning rate is to a temperature of its own."""
    temperatures = [0.001 * (10 + seed % 5 + 7 * epoch) for epoch in range(epochs)]
    rates = [schedule(epoch=epoch, temperature=t) for epoch, t in enumerate(temperatures)]
    return -math.fsum(abs(a - b) for a, b in zip(rates, temperatures, strict=True))


def pooled(schedule, seed, epochs, pool):
    """What pool it is called for, as a number; the learning rate must not matter."""
    schedule(progress=0.0)
    return {"monitor": 1.0, "fitness": 2.0, "selection": 3.0, "test": 4.0}[pool]


def judging(schedule, seed, epochs, *, pool="fitness"):
    """`descending`, but of the test pool's examples it knows nothing: they are 100 off."""
    return descending(schedule, seed, epochs) - 100.0 * (pool == "test")


def enormous(schedule, seed, epochs):
    """Losses beyond float32, two of which have no sum in float64."""
    for step in range(4 * epochs):
        schedule(progress=step / (4 * epochs), loss=1.7e308)
        schedule(progress=step / (4 * epochs), loss=1.7e308)
    return 1.0


def first_rate(schedule, seed, epochs):
    return schedule(epoch=0)


def own_process(schedule, seed, epochs):
    return float(os.getpid())


def environment(schedule, seed, epochs):
    return float(os.environ["OMP_NUM_THREADS"]) + 100 * ("EVOLR_WORKER_STARTING" in os.environ)


def heavy_modules(schedule, seed, epochs):
    return float(len({"jax", "torch", "scipy", "sympy", "optax"} & set(sys.modules)))


def raising(schedule, seed, epochs):
    raise ValueError(f"not with seed {seed}")


def raising_control_characters(schedule, seed, epochs):
    raise ValueError("\x1b[31m[/b] in red\nand on two lines")


def out_of_memory(schedule, seed, epochs):
    raise MemoryError


def leaving(schedule, seed, epochs):
    sys.exit(3)


def exiting(schedule, seed, epochs):
    os._exit(7)


def segfaulting(schedule, seed, epochs):
    os.kill(os.getpid(), signal.SIGSEGV)


def hanging(schedule, seed, epochs):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def eating(schedule, seed, epochs):
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1)) * 10_000_000)


def with_a_hungry_child(path, schedule, seed, epochs):
    """Starts a process that holds 300 MB, writes its number to a file, and hangs."""
    import subprocess

    code = "import time; held = bytearray(b'x') * 300_000_000; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code])
    with open(path, "w") as file:
        file.write(str(child.pid))
    hanging(schedule, seed, epochs)


def diverging(schedule, seed, epochs):
    return [math.nan, math.inf, -math.inf][seed]


class Scalar:
    """As torch and NumPy have them: no dimension, and to be detached."""

    ndim = 0

    def __init__(self, value, is_detached=False):
        self.value, self.is_detached = value, is_detached

    def detach(self):
        return Scalar(self.value, is_detached=True)

    def __float__(self):
        assert self.is_detached
        return self.value


RETURNED = [1, True, Scalar(2.5), "0.5", None, [1.0], 1j]


def returning(schedule, seed, epochs):
    return RETURNED[seed]


def with_grandchild(path, schedule, seed, epochs):
    """Starts a process of its own, writes its number to a file, and hangs."""
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    with open(path, "w") as file:
        file.write(str(child.pid))
    hanging(schedule, seed, epochs)


def spoiling(schedule, seed, epochs):
    """Takes a module away that the next trial needs, whatever that does."""
    sys.modules["evolr.execution.trial_schedule"] = None
    return float(seed)


class MuteError(Exception):
    def __str__(self):
        raise SystemExit(5)


class NoNumber:
    def __float__(self):
        sys.exit(6)


def complex_number(schedule, seed, epochs):
    import numpy as np

    return np.complex64(1 + 2j) if seed else np.complex128(1.0)


def hardly_describable(schedule, seed, epochs):
    """Fails by what cannot be said, by what takes 150 MB to say, or by a result whose number ends the program."""
    if seed == 2:
        return NoNumber()
    raise MuteError if seed else ValueError("x" * 150_000_000)


_leaked = []


def leaking(schedule, seed, epochs):
    _leaked.append(b"x" * 60_000_000)
    return 1.0


def failing_sometimes(schedule, seed, epochs):
    """Fails one time in ten, in each way, by what it is given alone."""
    score = falling(schedule, seed, epochs)
    kind = int(abs(score) * 1e9) % 40
    for number, fail in enumerate((raising, exiting, segfaulting, diverging)):
        if kind == number:
            return fail(schedule, seed % 3, epochs)
    return score


def forking(schedule, seed, epochs):
    """Forks a child that leaves by an exception, or by returning, and says what the child's exit code was."""
    child = os.fork()
    if not child:
        if seed == 2:
            return 0.5
        raise SystemExit(4) if seed else ValueError("in the child")
    return float(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def surrogate(schedule, seed, epochs):
    raise ValueError("no file named \udcff")


def leaving_a_child(path, schedule, seed, epochs):
    """Leaves a process behind that Python waits for."""
    import multiprocessing

    child = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(600,))
    child.start()
    with open(path, "w") as file:
        file.write(str(child.pid))
    return float(os.getpid())


def misordered(seed, schedule, epochs):
    return 1.0


def forgetful(schedule, seed, epochs):
    return schedule(epoch=0, loss=1.0)


def always_diverging(schedule, seed, epochs):
    return math.nan


def descending(schedule, seed, epochs):
    """Noisy descent on a parabola, a learning rate a step; the score is minus the distance that is left."""
    rng = random.Random(seed)
    place, val_loss, steps = 3.0 + rng.random(), 9.0, 20 * epochs
    for step in range(steps):
        rate = schedule(progress=step / steps, loss=place**2, val_loss=val_loss)
        place -= min(rate, 1.0) * (2 * place + rng.gauss(0.0, 1.0))
        if step % 20 == 19:
            val_loss = place**2
    return -abs(place)


def descending_or_failing(schedule, seed, epochs):
    """Fails with one seed in five."""
    if seed % 5 == 0:
        raise ValueError("an unlucky seed")
    return descending(schedule, seed, epochs)


def failing_at(unlucky, schedule, seed, epochs):
    """Fails with one seed, whatever the schedule."""
    if seed == unlucky:
        raise ValueError("an unlucky seed")
    return descending(schedule, seed, epochs)


def gathering(folder, count, schedule, seed, epochs):
    """Ends when so many processes train at once."""
    (folder / str(os.getpid())).touch()
    while len(os.listdir(folder)) < count:
        time.sleep(0.01)
    return 1.0


def on_a_machine(folder, schedule, seed, epochs):
    """`contracted`, and a note of the process that its worker belongs to, which is an actor of Ray's."""
    with open(os.path.join(folder, str(os.getppid())), "a") as file:
        file.write(".")
    return contracted(schedule, seed, epochs)


def on_two_machines(folder, schedule, seed, epochs):
    """As above, begun when two of Ray's actors train."""
    score = on_a_machine(folder, schedule, seed, epochs)
    end = time.monotonic() + 60
    while len(os.listdir(folder)) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return score


def ending_its_actor(schedule, seed, epochs):
    """Kills the process that its worker belongs to, with an odd seed."""
    if seed % 2:
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return contracted(schedule, seed, epochs)


def ending_by_seed(schedule, seed, epochs):
    """Exits, crashes, hangs or eats memory."""
    return (exiting, segfaulting, hanging, eating)[seed](schedule, seed, epochs)
