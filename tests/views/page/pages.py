"""The runs that the report's tests look at, of each kind one, and what every page has to be."""

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import evolr
from evolr.problems import JaxProblem, Kind, Suite
from evolr.standard import FAMILIES
from tests.execution import training_functions as functions
from tests.study.small import small

ROOT = Path(__file__).parents[3]
NUMBERS = np.linspace(-1, 1, 24, dtype=np.float32)
LIVE = {"search.terminals": ["loss", "constant"], "search.generations": 2}
MEMETIC = {"search.population": 3, "search.youth": 2, "search.children": 2, "search.seeds": 1, "search.samples": 4}


def line(slope):
    return JaxProblem(
        init=lambda seed: np.float32(seed % 7),
        loss=lambda weight, x: ((weight * x - slope * x) ** 2).mean(),
        data=dict.fromkeys(("train", "monitor", "fitness", "selection", "test"), NUMBERS),
        batch_size=12,
        name=f"line {slope}",
    )


def made(folder):
    """A run of each kind, by name; small ones."""
    chosen = {name: FAMILIES[name] for name in ("constant", "cosine", "AdaGrad-Norm")}
    with pytest.MonkeyPatch.context() as patch:
        for place in ("contest.contest", "contest.reading"):
            patch.setattr(f"evolr.{place}.FAMILIES", chosen)
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: folder / "shared")
        patch.syspath_prepend(str(ROOT))
        judging = {"budget": 3, "seeds": 8}

        evolr.evolve(small(**LIVE), folder / "proven")
        evolr.explain(folder / "proven", seeds=6)
        evolr.prove(folder / "proven", rivals=False, **judging)

        settings = {**MEMETIC, "search.generations": 2}
        signals = ("progress", "loss")
        evolr.evolve(functions.falling, folder / "function", epochs=3, workers=1, settings=settings, signals=signals)
        evolr.compare(functions.falling, folder / "function", seeds=6, workers=1)

        suite = Suite({f"line {slope}": Kind(line(slope), 2.0, 0.1) for slope in (1.0, 2.0)})
        few = {
            "search.generations": 1,
            "search.last_generations": 1,
            "search.last_population": 2,
            "search.last_seeds": 2,
        }
        few |= {"training.epochs": 2, "search.finalists": 2, "search.race_seeds": 2, "search.random_structures": 2}
        evolr.evolve(suite, folder / "suite", settings={**MEMETIC, **few, "search.seed_families": False})

    with evolr.Study(folder / "unfinished", evolr.resolve("function", settings=MEMETIC)) as study:
        for number, individual in enumerate(study.ask()[:5]):
            study.tell(individual, 0.1 * number)
    return {name: folder / name for name in ("proven", "unfinished", "function", "suite")}


class Page(HTMLParser):
    """A page that is read strictly: every tag closed in its turn, every address there once."""

    VOID = ("meta", "link", "br", "img", "hr", "input")

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.open, self.ids, self.targets, self.words = [], [], [], {}
        self.headings, self.labels, self.scripts, self.loaded = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes, *, is_closed=False):
        given = dict(attributes)
        assert len(given) == len(attributes), (tag, attributes)
        self.ids += [given["id"]] if "id" in given else []
        if tag == "svg":
            self.labels.append(given["aria-label"])
            assert given["role"] == "img"
        self.targets += [given[name] for name in ("aria-labelledby",) if name in given]
        self.targets += re.findall(r"url\(#([^)]*)\)", " ".join(value or "" for value in given.values()))
        if "href" in given:
            assert given["href"].startswith("#"), given
            self.targets.append(given["href"][1:])
        self.loaded += [given[name] for name in ("src", "srcset", "data", "poster", "action") if name in given]
        assert not [name for name in given if name.startswith("on")], given
        if tag not in self.VOID and not is_closed:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes, is_closed=True)

    def handle_endtag(self, tag):
        assert self.open
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data):
        where = "pre" if "pre" in self.open else self.open[-1] if self.open else ""
        self.words.setdefault(where, []).append(data)
        if where in ("h1", "h2"):
            self.headings.append(data)
        if where == "script":
            self.scripts.append(data)

    @property
    def text(self):
        """What is to be read, in one line."""
        return self.text_but(())

    def text_but(self, others):
        """The same without what stands in some other elements."""
        hidden = ("script", "style", *others)
        return " ".join(" ".join(" ".join(words) for where, words in self.words.items() if where not in hidden).split())


def checked(html):
    """The page of an HTML text, of which everything holds that is to hold of each."""
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert '<html lang="en">' in html
    assert 'name="viewport"' in html
    assert len(html.encode()) <= 2_000_000
    assert len(page.ids) == len(set(page.ids))
    assert set(page.targets) <= set(page.ids)
    assert page.loaded == []
    assert not re.search(r"https?://(?!www\.w3\.org)|@import|url\((?!#)", html)
    assert all(character.isprintable() or character in "\n\t" for character in html)
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html
    assert page.labels
    assert all(page.labels)
    assert not re.search(r"\b(nan|None|inf)\b", page.text_but(["pre"]).replace("None of its", ""))
    return page
