"""Training functions that close the files of their worker's process, or write into them: light, as that imports them."""

import os
import pickle
import signal
import socket
import stat
import struct
import sys
import time


def _others(keep=()):
    """The descriptors of this process but for the standard ones."""
    return [int(name) for name in os.listdir("/dev/fd") if int(name) > 2 and int(name) not in keep]


def _replace_by_nothing():
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in _others([nothing]):
        os.dup2(nothing, descriptor)


def _close_streams():
    sys.stdout.close()
    sys.stderr.close()


def _close_and_raise():
    os.closerange(0, 4096)
    raise OSError("as libraries do then")


WAYS = (
    lambda: os.closerange(0, 4096),
    lambda: os.closerange(3, 4096),
    lambda: os.close(1),
    _replace_by_nothing,
    _close_streams,
    _close_and_raise,
)


def closing_by_seed(schedule, seed, epochs):
    """Prints a line, which fails where a former trial left no output; with an odd seed, closes in one of WAYS."""
    print("a line", flush=True)
    if seed % 2:
        WAYS[seed // 2]()
    return 1.0


def other_files_in_their_place(folder, schedule, seed, epochs):
    if seed == 1:
        others = _others()  # of a process that inherits what a long test run has open, numbers beyond 64 too
        os.closerange(3, max(others) + 1)
        files = [os.open(os.path.join(folder, f"{number}.log"), os.O_WRONLY | os.O_CREAT) for number in range(20)]
        for descriptor in set(others) - set(files):
            os.dup2(files[0], descriptor)
    return 1.0


def output_elsewhere(folder, schedule, seed, epochs):
    """Sends standard output to a file for good, as some do to have a log."""
    log = os.open(os.path.join(folder, f"{seed}.log"), os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    print("a line", flush=True)
    return 1.0


def silent_and_alive(schedule, seed, epochs):
    """Ends what it says, closes everything, and does not end."""
    if seed == 1:
        for descriptor in _others():
            try:
                with socket.socket(fileno=os.dup(descriptor)) as end:
                    end.shutdown(socket.SHUT_WR)
            except OSError:
                continue
        os.closerange(3, 4096)
        time.sleep(600)
    return 1.0


class _Touch:
    """Makes a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def _framed(content):
    """As a message of multiprocessing: its length before it."""
    return struct.pack("!i", len(content)) + content


_PART_OF_A_MESSAGE = _framed(bytes(100))[:50]


def _write_into_sockets(content):
    """Writes into all sockets of this process, one of which is the pipe to evolr."""
    for descriptor in _others():
        if os.path.exists(f"/dev/fd/{descriptor}") and stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            os.write(descriptor, content)


def writing_into_the_pipe(path, schedule, seed, epochs):
    """Writes into all sockets that it finds, one of which is the pipe to evolr; then ends as if nothing had been."""
    content = (
        b"step 100, loss 0.3\n",
        b"\n",
        _framed(pickle.dumps(_Touch(path))),
        _framed(pickle.dumps(("score", 1e9))),
        _framed(b""),
        struct.pack("!i", -1) + struct.pack("!Q", 1 << 62),
    )[seed // 2]
    if seed % 2:
        _write_into_sockets(content)
    return 1.0


def killed_in_a_message(schedule, seed, epochs):
    """Ends by SIGKILL when a part of a message has been sent."""
    _write_into_sockets(_PART_OF_A_MESSAGE)
    os.kill(os.getpid(), signal.SIGKILL)


def silent_in_a_message(schedule, seed, epochs):
    """With an odd seed, stays for ever when a part of a message has been sent."""
    if seed % 2:
        _write_into_sockets(_PART_OF_A_MESSAGE)
        time.sleep(600)
    return 1.0
