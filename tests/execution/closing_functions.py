"""Training functions that close the files of their worker's process: light, as that imports them."""

import os
import socket
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
        os.closerange(3, 64)
        for number in range(20):
            os.open(os.path.join(folder, f"{number}.log"), os.O_WRONLY | os.O_CREAT)
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
