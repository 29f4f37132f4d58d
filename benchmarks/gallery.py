"""Makes the documents of the gallery, and its page.

    python benchmarks/gallery.py RUN_DIR NAME --title … --words … --wins … --loses …
    python benchmarks/gallery.py benchmarks/results/suites-RESULTS.json NAME --seed 1 --title …
    python benchmarks/gallery.py --curve NAME …
    python benchmarks/gallery.py --page

The first makes an entry of what a run directory holds: the champion of its study.db and the figures of its contest.json, the
one that was proven where there was a contest. What is said in words stays as it is where the entry is there, with the same
formula, and the option is left out. A directory with a contest of an entry's own schedule (`evolr prove --expression NAME …`) has no study: then the
contest's figures alone take the place of the entry's. The second makes it of a study among the results of benchmarks/suites.py. `--curve` trains under an entry on what it was found on, 32 trainings judged on the fitness pool,
and writes the learning rates that it took; `--page` writes what docs/gallery.md says of the entries, and its picture.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import msgspec
import numpy as np

from evolr.config import Config, differences, resolve
from evolr.contest.contender import Contender
from evolr.contest.reading import read_contest
from evolr.contest.results import EVOLVED, FROZEN, ContestResult
from evolr.contest.rivals import rivals_of
from evolr.contest.statistics import Pairs, Relation
from evolr.discovered import Curve, FamilyFigures, Figures, FoundOn, Gallery, GalleryEntry, ScaleRange
from evolr.errors import ConfigError, EvolrError
from evolr.presets import PRESETS
from evolr.problems import PROBLEMS, Metric, Problem
from evolr.randomness import seed_from
from evolr.run_files import DATABASE
from evolr.study.summary import Summary, summarise
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial
from evolr.views.gallery import with_entries
from evolr.views.gallery_picture import picture

ENTRIES = ROOT / "src" / "evolr" / "discovered" / "entries"
PAGE = ROOT / "docs" / "gallery.md"
PICTURE = ROOT / "docs" / "gallery.png"
TRAININGS = 32  # of a curve
SEEDS = 32  # of a contest's final, where nobody says another number
SAID = ("title", "words", "wins", "loses")


def figures(contest: ContestResult, found_on: FoundOn | None = None) -> Figures:
    """A contest in figures. found_on: what its schedule was found on, if that may be something else. Raises ConfigError for a rehearsal."""
    if contest.settings.is_quick:
        raise ConfigError("a rehearsal (--quick) proves nothing: hold the contest")
    metric, champion = contest.config.problem.metric, contest.champion.result
    rival = next(entry.result for entry in contest.others if entry.name != FROZEN)
    relations = [entry.result.pairs.relation for entry in contest.others if entry.result.pairs is not None]
    families = [
        entry.result for entry in contest.others if entry.optimizer is None and entry.constants
    ]  # no random search
    held_on = place_of(contest.config)
    return Figures(
        place="" if found_on is None or found_on.place == held_on else held_on,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        seeds=len(contest.seeds),
        pool=contest.settings.pool if contest.knows_pools else None,
        score=_known(champion.mean),
        rival=rival.name,
        rival_score=_known(rival.mean),
        **paired(rival),
        budget=contest.settings.budget,
        beaten=relations.count("better than"),
        level=relations.count("not distinguishable from"),
        worse=relations.count("worse than"),
        family=None if not families or families[0] is rival else family_figures(families[0]),
    )


def family_figures(family: Contender) -> FamilyFigures:
    return FamilyFigures(name=family.name, score=_known(family.mean), **paired(family))


def paired(contender: Contender) -> dict[str, Any]:
    """The champion minus a contender; nothing where they were not compared."""
    pairs = contender.pairs
    if pairs is None:
        return {}
    return {"difference": pairs.difference, "low": pairs.low, "high": pairs.high, "p": pairs.p_value}


def command(name: str, config: Config, *, epochs: int | None = None, seeds: int = SEEDS, budget: int = 600) -> str:
    """The command that repeats the figures, or would hold the contest: of a preset, and what differs from it; epochs, seeds, budget: the contest's."""
    if config.problem.name == "external":
        raise ConfigError("nobody but whoever trains can repeat this: say how by --command")
    alike = {
        preset: differences(config, known)
        for preset in PRESETS
        if (known := resolve(preset)).problem.name == config.problem.name
        and known.search.method == config.search.method
    }
    if not alike:
        raise ConfigError(f"no preset has the problem {config.problem.name}: say what repeats the figures by --command")
    preset = min(alike, key=lambda each: len(alike[each]))
    changed = [f"{setting}={_toml(ours)}" for setting, (ours, _) in alike[preset].items()]
    parts = ["evolr", "prove", "--expression", name, "--preset", preset]
    parts += [part for setting in changed for part in ("--set", setting)]
    parts += [] if epochs in (None, config.comparison.epochs) else ["--epochs", str(epochs)]
    parts += [] if seeds == SEEDS else ["--seeds", str(seeds)]
    return shlex.join([*parts, "--budget", str(budget), "-o", f"runs/{name}"])


def of_contest(contest: ContestResult | None) -> dict[str, int]:
    if contest is None:
        return {}
    return {"epochs": contest.settings.epochs, "seeds": contest.settings.seeds, "budget": contest.settings.budget}


def entry_of(directory: Path, name: str, said: dict[str, str], before: GalleryEntry | None = None) -> GalleryEntry:
    """The entry of a run directory; see above. before: the entry that is there, None without one.

    said: `title`, `words`, `wins`, `loses` and `command`; those that are missing are those of `before`. Raises ConfigError where
    there is neither, and for a contest of another schedule than the study's or the entry's.
    """
    contest = read_contest(directory) if (directory / "contest.json").exists() else None
    summary = summarise(directory) if (directory / DATABASE).exists() else None
    if summary is None:
        if contest is None or before is None:
            raise ConfigError(f"{directory} holds no study, and no contest of an entry that is there")
        if contest.champion.result.schedule != before.schedule():
            raise ConfigError(f"the contest in {directory} is of another schedule than {name}")
        told = said | {"command": said.get("command") or command(name, contest.config, **of_contest(contest))}
        return msgspec.structs.replace(before, contest=figures(contest, before.found_on), **told)
    schedule = summary.champion if contest is None else contest.champion.result.schedule
    if schedule is None:
        raise ConfigError(f"{directory} {summary.why_no_champion}")
    is_same = before is not None and before.schedule() == schedule
    known = {each: getattr(before, each) for each in SAID} if is_same else {}
    told = known | said
    if missing := [each for each in SAID if each not in told]:
        what = f"{name} is new" if before is None else f"the formula of {name} is another one now"
        raise ConfigError(f"{what}: say its {', '.join(missing)}, by --{missing[0]} and so on")
    if "command" not in told:
        told["command"] = command(name, summary.config, **of_contest(contest))
    return GalleryEntry(
        name=name,
        origin="evolved",
        document=msgspec.Raw(schedule.to_json()),
        scale=ScaleRange() if before is None else before.scale,
        optimizer=summary.config.training.optimizer,
        found_on=found_on(summary),
        contest=None if contest is None else figures(contest),
        curve=before.curve if before is not None and is_same else None,
        **told,
    )


def entry_of_results(results: Path, seed: int, name: str, said: dict[str, str]) -> GalleryEntry:
    """The entry of a study that benchmarks/suites.py has proven. Raises ConfigError where it is not there, and for what is not said."""
    document = json.loads(results.read_text(encoding="utf-8"))
    study = next((study for study in document["studies"] if study["seed"] == seed), None)
    if study is None:
        raise ConfigError(f"{results} has no study with seed {seed}")
    if missing := [each for each in SAID if each not in said]:
        raise ConfigError(f"say its {', '.join(missing)}, by --{missing[0]} and so on")
    config = resolve(document["preset"], settings={**document["settings"], "seed": seed})
    metric, optimizer = config.problem.metric, config.training.optimizer
    champion = next(row for row in study["contenders"] if row["name"] == EVOLVED)
    others = [row for row in study["contenders"] if row["name"] != EVOLVED]
    named = [row for row in others if row["name"] != FROZEN]
    of_optimizers = {form for rival in rivals_of(optimizer) for form in (rival.name, f"{rival.name} (tuned)")}
    rival, family = named[0], next(row for row in named if row["name"] not in of_optimizers and row["constants"])
    relations = [relation(row, metric) for row in others]
    return GalleryEntry(
        name=name,
        origin="evolved",
        document=msgspec.Raw(msgspec.json.encode(study["schedule"])),
        optimizer=optimizer,
        found_on=FoundOn(
            problem=config.problem.name,
            epochs=config.training.epochs,
            settings=own_settings(config.problem),
            seed=seed,
            trainings=study["trainings"],
        ),
        contest=Figures(
            metric=metric.name,
            higher_is_better=metric.higher_is_better,
            seeds=document["tasks"],
            pool=document["pool"],
            score=champion["score"],
            rival=rival["name"],
            rival_score=rival["score"],
            **compared(rival),
            budget=document["budget"],
            beaten=relations.count("better than"),
            level=relations.count("not distinguishable from"),
            worse=relations.count("worse than"),
            family=None
            if family is rival
            else FamilyFigures(name=family["name"], score=family["score"], **compared(family)),
        ),
        command=said.get("command") or command(name, config, seeds=document["tasks"], budget=document["budget"]),
        **{each: said[each] for each in SAID},  # pyright: ignore[reportArgumentType]
    )


def compared(row: dict[str, Any]) -> dict[str, Any]:
    """Evolved minus a contender."""
    low, high = row["difference_interval"]
    return {"difference": row["evolved_minus_it"], "low": low, "high": high, "p": row["p_holm"]}


def relation(row: dict[str, Any], metric: Metric) -> Relation:
    """What the evolved one is to a contender, by the mean of the pairs."""
    direction = int(np.sign(metric.fitness(1.0) * row["evolved_minus_it"]))
    return Pairs(row["evolved_minus_it"], None, None, direction, 0.5, None, row["p_holm"]).relation


def found_on(summary: Summary) -> FoundOn:
    problem = summary.config.problem
    return FoundOn(
        problem=problem.name,
        epochs=summary.config.training.epochs,
        settings=own_settings(problem),
        seed=summary.config.seed,
        trainings=summary.trainings,
        standing=summary.standing,
    )


def place_of(config: Config) -> str:
    """What a configuration trains, as an entry says what it was found on."""
    problem = config.problem
    return FoundOn(problem=problem.name, epochs=config.training.epochs, settings=own_settings(problem)).place


def own_settings(problem: Problem) -> dict[str, Any]:
    """The settings of a problem that are not its defaults."""
    plain = msgspec.to_builtins(type(problem)()) if problem.name in PROBLEMS else {}
    return {name: v for name, v in msgspec.to_builtins(problem).items() if plain.get(name) != v and name != "name"}


def curve(entry: GalleryEntry) -> Curve:
    """The learning rates of trainings under an entry, on what it was found on."""
    preset = next(name for name in PRESETS if resolve(name).problem.name == entry.found_on.problem)
    optimizer = {f"training.optimizer.{key}": value for key, value in msgspec.to_builtins(entry.optimizer).items()}
    of_problem = {f"problem.{name}": value for name, value in entry.found_on.settings.items()}
    config = resolve(preset, settings=optimizer | of_problem)
    trials = [Trial(entry.schedule(), seed_from(k, "gallery curve")) for k in range(TRAININGS)]
    with closing(executor_for(config, None, {})) as executor:
        executor.prepare("fitness")
        outcomes = executor.run(trials, entry.found_on.epochs, "fitness")
    rates = np.array([outcome.learning_rate for outcome in outcomes])
    if not np.isfinite(rates).all():
        raise ConfigError(f"trainings under {entry.name} diverge: it has no curve")
    low, median, high = (
        [float(f"{rate:.5g}") for rate in quartile] for quartile in np.quantile(rates, [0.25, 0.5, 0.75], axis=0)
    )
    return Curve(trainings=TRAININGS, low=low, median=median, high=high)


def write(entry: GalleryEntry) -> None:
    path = ENTRIES / f"{entry.name}.json"
    path.write_bytes(entry.to_json())
    print(f"written: {path.relative_to(ROOT)}")


def write_page() -> None:
    entries = list(Gallery(ENTRIES).values())
    PAGE.write_text(with_entries(PAGE.read_text(encoding="utf-8"), entries), encoding="utf-8")
    PICTURE.write_bytes(picture(entries))
    print(f"written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _toml(value: Any) -> str:
    """A value as --set reads it."""
    return json.dumps(value, ensure_ascii=False)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", type=Path, metavar="RUN_DIR")
    parser.add_argument("name", nargs="?", metavar="NAME")
    for each in (*SAID, "command"):
        parser.add_argument(f"--{each}")
    parser.add_argument("--seed", type=int, default=1, help="of the study, among results")
    parser.add_argument("--curve", nargs="+", metavar="NAME", default=[])
    parser.add_argument("--page", action="store_true")
    given = parser.parse_args(arguments)
    try:
        if given.directory is not None:
            if given.name is None:
                parser.error("name the entry: RUN_DIR NAME")
            before = Gallery(ENTRIES).get(given.name)
            said = {each: text for each in (*SAID, "command") if (text := getattr(given, each)) is not None}
            if given.directory.suffix == ".json":
                entry = entry_of_results(given.directory, given.seed, given.name, said)
            else:
                entry = entry_of(given.directory, given.name, said, before)
            write(entry)
            if before is not None and before.contest != entry.contest and not {"wins", "loses"} <= said.keys():
                print("its contest is another one: look at what --wins and --loses said before")
        for name in given.curve:
            entry = Gallery(ENTRIES)[name]
            write(msgspec.structs.replace(entry, curve=curve(entry)))
        if given.page:
            write_page()
    except EvolrError as error:
        sys.exit(f"error: {error}")
    if given.directory is None and not given.curve and not given.page:
        parser.print_usage()


if __name__ == "__main__":
    main()
