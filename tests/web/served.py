"""What the tests of `evolr serve` ask for: a study whose every name is hostile, pages read strictly, what a page says."""

import re
from html import unescape

from tests.views.page.pages import Page

EVIL = "<script>alert(1)</script>[b]"
NAME = EVIL.replace("/", "∕")  # a folder's name has no slash
QUOTED = "%3Cscript%3Ealert%281%29%3C%E2%88%95script%3E%5Bb%5D"
STUDY = f"/study/{QUOTED}"
PAGES = ["/", "/study/small", "/study/small/trainings", "/study/small/trainings/1", STUDY, f"{STUDY}/trainings"]


def page_of(answer):
    """The page of an answer, read strictly; of scripts it has what it loads alone."""
    page = Page.__new__(Page)
    links = re.sub(r'(href|src|action)="(/[^"]*)"', "", answer.text)
    Page.__init__(page, links)
    assert answer.status == 200
    assert not [script for script in page.scripts if script.strip()]
    assert not re.search(r"https?://(?!www\.w3\.org)|\sstyle=|\son\w+=", links)
    assert all(character.isprintable() or character in "\n\t" for character in answer.text)
    return page


def value(text, name):
    """What a page says of a name."""
    return unescape(re.search(rf"<dt>{re.escape(name)}</dt><dd>([^<]*)</dd>", text)[1])
