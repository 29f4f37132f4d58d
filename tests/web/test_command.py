"""The command `evolr serve`: where it listens, how it ends, what it refuses."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from tests.views.test_html import study
from tests.web.serving import asked, stream


def test_the_command_ends_by_ctrl_c_and_says_where_it_listens(tmp_path):
    command = [sys.executable, "-m", "evolr", "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[2].rstrip("/")
        with stream(address, "/live") as next_parts:
            next_parts()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "\ninterrupted\n"


@pytest.mark.parametrize(
    ("environment", "redirection"),
    [
        ({"PYTHONIOENCODING": "ascii"}, ""),
        ({"COLUMNS": "20"}, ""),
        ({"HOME": None, "XDG_CACHE_HOME": None}, ""),
        ({}, ">&-"),
        ({}, ">/dev/full"),
        ({}, "2>&-"),
    ],
    ids=["ASCII stdout", "20 columns", "no HOME", "closed stdout", "full stdout", "closed stderr"],
)
@pytest.mark.skipif(os.name != "posix", reason="redirects by a shell")
def test_the_command_serves_wherever_it_runs_or_says_why_not(tmp_path, environment, redirection):
    """As tests/cli/test_environments.py, for the command that does not end by itself."""
    folder = tmp_path / "é∞"
    study(folder / "run", generations=1).close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    words = [sys.executable, "-m", "evolr", "serve", str(folder), "--port", str(port)]
    command = ["sh", "-c", f'exec "$0" "$@" {redirection}', *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables) as process:
        if redirection.startswith(">"):  # nobody could be told where it listens
            err = process.communicate(timeout=60)[1].decode()
            assert process.returncode == 2, err
            assert err.count("error: ") == 1
        else:
            assert process.stdout.readline()
            assert "run" in asked(f"http://127.0.0.1:{port}").text
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=60)[1].decode()
            assert process.returncode == 130, err
        assert "Traceback" not in err


def test_the_command_refuses_what_it_cannot_serve(tmp_path, evolr, monkeypatch):
    assert evolr("serve", tmp_path / "nothing")[0] == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = evolr("serve", tmp_path, "--port", taken.getsockname()[1])
    assert code == 2
    assert "any free one by --port 0" in err
    code, _, err = evolr("serve", tmp_path, "--host", "no.such.host.invalid")
    assert code == 2
    assert "cannot listen on no.such.host.invalid" in err
    monkeypatch.setattr("evolr.libraries.find_spec", lambda name: None)
    code, _, err = evolr("serve", tmp_path)
    assert code == 2
    assert "pip install 'evolr[web]'" in err
    assert os.listdir(tmp_path) == []
