"""Published schedules, typed as their sources write them, against the sources' own functions."""

from collections import Counter

import numpy as np
import pytest

from tests.contracts.published import PUBLISHED
from tests.contracts.published.back_ends import BACK_ENDS, differences

EXACT, SINGLE = 1e-6, 1e-5  # relative; in float64 (Optax holds the rates in float32), and where float32 computes
IN_FLOAT32 = ("optax, traced", "trainer")


@pytest.fixture(scope="module")
def sources():
    """The learning rates of every source, by the name of its schedule."""
    return {case.name: case.rates() for case in PUBLISHED}


def test_there_are_more_than_sixty_and_none_twice():
    assert len(PUBLISHED) >= 60
    assert {name for name, count in Counter(case.name for case in PUBLISHED).items() if count > 1} == set()


def test_no_source_is_constant_by_mistake(sources):
    """A source that is asked wrongly tends to answer its first learning rate for ever."""
    assert [name for name, rates in sources.items() if np.ptp(rates) == 0] == []


@pytest.mark.parametrize("back_end", [name for name in BACK_ENDS if name not in IN_FLOAT32])
@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: case.name)
def test_a_published_schedule_is_its_source(case, back_end, sources):
    relative, of_peak = differences(BACK_ENDS[back_end](case.schedule()), sources[case.name])
    assert relative <= EXACT
    assert of_peak <= EXACT


def test_a_difference_is_seen():
    wanted = np.linspace(1.0, 0.0, 1000)
    assert differences(wanted, wanted) == (0.0, 0.0)
    assert differences(wanted * (1 + 1e-5), wanted)[0] == pytest.approx(1e-5)
    late = np.where(np.arange(1000) == 500, 2.0, wanted)
    assert differences(late, wanted)[1] == pytest.approx(1.5, rel=1e-2)
    assert differences(np.where(wanted == 0, 1e-11, wanted), wanted)[0] > 1
    assert differences(np.where(wanted == 0, 1e-13, wanted), wanted) == (0.0, pytest.approx(1e-13))
    assert differences(np.where(wanted == 0, np.nan, wanted), wanted)[0] == np.inf
