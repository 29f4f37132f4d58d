"""The report in Chromium: no complaint, no serious finding of axe, and tables that are sorted by a click."""

import pytest

from tests.browser.accessible import findings

KINDS = ("proven", "unfinished", "function", "suite")


@pytest.mark.parametrize("kind", KINDS)
def test_a_browser_has_nothing_to_complain_of(page, pages, tmp_path, kind):
    path = tmp_path / f"{kind}.html"
    path.write_text(pages[kind], encoding="utf-8")
    page.goto(path.as_uri())
    assert page.locator(".copy").count() == page.locator(".code").count() > 0
    assert findings(page) == []


def test_a_click_sorts_a_table_by_a_column_and_back(page, pages, tmp_path):
    path = tmp_path / "proven.html"
    path.write_text(pages["proven"], encoding="utf-8")
    page.goto(path.as_uri())
    table = page.locator("table[data-sortable]").first
    numbers = table.locator("td:nth-child(2)")

    def values():
        return [float(text) for text in numbers.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]

    original, button = values(), table.locator("th button").nth(1)
    assert len(original) > 3
    button.click()
    assert values() == sorted(original, reverse=True)
    assert table.locator("[aria-sort]").get_attribute("aria-sort") == "descending"
    button.press("Enter")
    assert values() == sorted(original)
    button.click()
    assert values() == original


def test_no_table_is_cut_beside_a_page_of_a_desktop(page, pages, tmp_path):
    path = tmp_path / "proven.html"
    path.write_text(pages["proven"], encoding="utf-8")
    page.goto(path.as_uri())
    widths = page.locator(".wide").evaluate_all("parts => parts.map(part => [part.scrollWidth, part.clientWidth])")
    assert len(widths) > 3
    assert all(content <= there for content, there in widths), widths


def test_on_a_phone_the_captions_of_wide_tables_are_in_sight_whole(page, pages, tmp_path):
    path = tmp_path / "proven.html"
    path.write_text(pages["proven"], encoding="utf-8")
    page.set_viewport_size({"width": 400, "height": 900})
    page.goto(path.as_uri())
    right = page.locator("caption").evaluate_all(
        "parts => parts.map(part => part.firstChild.getBoundingClientRect().right)"
    )
    assert len(right) > 3
    assert max(right) <= 400
