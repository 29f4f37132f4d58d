"""The example notebook in a real kernel of Jupyter: functions of its cells are trained in workers, and results show themselves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import evolr

NOTEBOOK = Path(__file__).parents[1] / "examples" / "first_hour.ipynb"


def executed(cells, folder):
    """The outputs of each cell of code, run in a kernel in a folder. An error is one of them."""
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    notebook["cells"] = cells
    path = folder / "run.ipynb"
    path.write_text(json.dumps(notebook), encoding="utf-8")
    places = {name: str(folder / name) for name in ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **places, "PYTHONPATH": str(Path(evolr.__file__).parents[1])}
    # A program of its own: what Jupyter's client warns of and leaves behind is not evolr's.
    command = [sys.executable, "-c", "from nbclient.cli import main; main()", "--inplace", "--allow-errors", str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    run = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [cell["outputs"] for cell in run if cell["cell_type"] == "code"]


def cell(code, number=0):
    return {
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "outputs": [],
        "source": code,
        "id": f"c{number}",
    }


@pytest.mark.timeout(600)
def test_the_first_hour_runs_and_shows_what_it_found(tmp_path):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert not any(each.get("outputs") for each in cells)  # as it is given: whoever opens it runs it
    data, functions, *shown = executed(cells, tmp_path)
    assert data == functions == []
    told = "".join("".join(output["text"]) for output in shown.pop(2))
    judged = [float(share) for share in re.findall(r"^\w+: ([\d.]+)%", told, re.MULTILINE)]
    assert len(judged) == 2
    assert min(judged) > 50
    assert [[output["output_type"] for output in outputs] for outputs in shown] == [["execute_result"]] * 3
    search, tuned, schedule = ("".join(outputs[0]["data"]["text/html"]) for outputs in shown)
    assert "Search: accuracy" in search
    assert all("<math>" in html and "<svg" in html for html in (search, tuned, schedule))
    assert len("".join(shown[0][0]["data"]["text/plain"])) < 500
    reached = float(re.search(r"Search: accuracy ([\d.]+) %", search)[1])
    assert 50 < reached <= 100
    assert 'trainer = "__main__:train"' in (tmp_path / "runs" / "first_hour" / "config.toml").read_text()
    assert (tmp_path / "champion.py").exists()


CELLS = [
    """
import os, signal, threading
import evolr

def train(schedule, seed, epochs, offset=0.25):
    return offset + helper(schedule)

def helper(schedule):
    return schedule(progress=0.5)

OPTIONS = {"epochs": 2, "signals": ["progress"], "workers": 1}
""",
    """
stopped = []

def stop(trial):  # as Interrupt does, in the middle of the search
    stopped.append(trial)
    if len(stopped) == 5:
        os.kill(os.getpid(), signal.SIGINT)

evolr.evolve(train, "run", **OPTIONS, on_trial=stop)
""",
    """
def helper(schedule):
    return 7.0 + 0 * schedule(progress=0.5)

evolr.evolve(train, "run", evolr.Limits(trainings=10), **OPTIONS)
""",
    """
lock = threading.Lock()

def train(schedule, seed, epochs):
    with lock:
        return 1.0

evolr.evolve(train, "other", **OPTIONS)
""",
]


@pytest.mark.timeout(600)
def test_an_interrupted_search_goes_on_with_the_cell_as_it_is_now(tmp_path):
    nothing, interrupted, gone_on, refused = executed([cell(code, n) for n, code in enumerate(CELLS)], tmp_path)
    assert nothing == []
    assert [output["ename"] for output in interrupted] == ["KeyboardInterrupt"]
    text = "".join(gone_on[0]["data"]["text/plain"])
    assert text.startswith("<SearchResult: score 7.25")
    assert "; 10 trainings in run>" in text
    assert [output["ename"] for output in refused] == ["ConfigError"]
    assert (
        "__main__:train cannot be sent to a worker: it holds lock, an object of type _thread.lock"
        in refused[0]["evalue"]
    )
    assert not (tmp_path / "other").exists()
