"""The live page in Chromium: it says what the database says, while it is written, to everybody, and does nothing else."""

import sqlite3
from contextlib import closing

import pytest

from evolr.training.task import Outcome
from tests.browser.accessible import findings
from tests.study.test_following import land, trials
from tests.views.test_html import study
from tests.web.served import EVIL, NAME, QUOTED
from tests.web.serving import serving

LIVE = {"search.generations": 9, "problem.metric_name": EVIL, "problem.trainer": EVIL}


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    """A study that is being written, and the address of its pages."""
    folder = tmp_path_factory.mktemp("live")
    with study(folder / NAME, generations=2, **LIVE) as found, serving(folder) as address:
        land(found, 0.75, Outcome.failed(EVIL, 2))
        yield found, folder / NAME, address


@pytest.fixture
def address(live):
    return live[-1]


def value(page, name):
    """What the page says of a name, now."""
    return page.locator(f"xpath=//dt[normalize-space()='{name}']/following-sibling::dd").inner_text()


PLACES = ["/", f"/study/{QUOTED}", f"/study/{QUOTED}/trainings", f"/study/{QUOTED}/trainings/1"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("place", PLACES)
def test_a_page_is_whole_for_everybody_at_any_width(page, address, place, scheme):
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.goto(address + place)
    assert findings(page) == []
    assert page.locator("b").count() == 0
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.title().endswith(": evolr")


def test_what_lands_is_on_the_page_without_loading_it_again_and_focus_stays(page, live):
    found, path, address = live
    page.goto(f"{address}/study/{QUOTED}")
    before = trials(path)
    assert value(page, "trainings").split(",")[0] == f"{before}"
    page.evaluate("window.isSame = true")
    region = page.locator("#latest [tabindex]")
    region.focus()
    land(found, 0.625)
    page.locator(f"#latest a[href$='/trainings/{before + 1}']").wait_for()
    assert value(page, "trainings").split(",")[0] == f"{before + 1}"
    assert region.evaluate("element => element === document.activeElement")
    for individual in found.ask():
        found.tell(individual, 0.875)
    page.get_by_text("generation 2: best").wait_for()
    with closing(sqlite3.connect(path / "study.db")) as database:
        best, median = database.execute("SELECT best, median FROM generation WHERE number = 2").fetchone()
    assert value(page, "generation 2: best") == f"{best:.4g}"
    assert value(page, "generation 2: median") == f"{median:.4g}"
    assert page.locator("#history tbody tr").first.inner_text().split() == ["2", f"{best:.4g}", f"{median:.4g}"]
    assert "0.875" in page.locator("#said").inner_text()
    assert page.locator("#failures").get_by_text(EVIL).count() == 1
    assert page.evaluate("window.isSame")


def test_the_list_of_studies_follows_too(page, live):
    found, path, address = live
    page.goto(address)
    land(found, 0.5)
    page.locator("td", has_text=f"{trials(path)}").wait_for()


def test_it_is_used_by_the_keyboard_alone(page, address):
    page.goto(f"{address}/study/{QUOTED}")
    for _ in range(2):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "All trainings"
    page.keyboard.press("Enter")
    page.wait_for_url("**/trainings")
    page.get_by_label("status").press("f")  # failed, or finished
    page.get_by_label("generation").fill("0")
    page.get_by_label("generation").press("Enter")
    page.wait_for_url("**generation=0**")
    assert page.get_by_label("generation").input_value() == "0"
    assert page.locator("#trainings").is_visible()


def test_without_scripts_it_shows_how_it_is_when_it_is_loaded(chromium, live):
    _, path, address = live
    with chromium.new_context(java_script_enabled=False) as context:
        page = context.new_page()
        page.goto(f"{address}/study/{QUOTED}")
        assert value(page, "trainings").split(",")[0] == f"{trials(path)}"
        assert value(page, "failed") == "1"


def test_where_the_server_is_gone_the_page_says_so_and_goes_on_when_it_is_back(page, tmp_path):
    study(tmp_path / "run", generations=1).close()
    with serving(tmp_path) as address:
        page.goto(f"{address}/study/run")
        while not page.evaluate(
            "source.readyState === EventSource.OPEN"
        ):  # to wait for it, Playwright would need the page's leave
            page.wait_for_timeout(20)
    page.get_by_text("No connection to evolr serve").wait_for()
    port = int(address.rpartition(":")[2])
    with serving(tmp_path, port=port):
        page.locator("#connection:empty").wait_for(state="attached")


def test_a_report_is_shown_under_its_own_policy(page, live):
    _, path, address = live
    page.goto(f"{address}/study/{QUOTED}/report")
    assert page.locator("h1").inner_text() == path.name
    assert page.locator(".copy").count() > 0
