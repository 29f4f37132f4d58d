"""Texts that would be markup, code or orders to a terminal, if a page or a terminal took them for that; and whether one did."""

from __future__ import annotations

from html.parser import HTMLParser

from markdown_it import MarkdownIt

CANARY = "evolr-canary"

TEXTS = (
    "[red]evolr-canary[/red]", "x[/b]", "[/]", "[link=evolr-canary]x[/link]", "\x1b]0;evolr-canary\x07", "\x1b]52;c;aGk=\x07",
    "\x1b[2J\x1b[1;1H", "\x9b31mred", "a\revolr-canary", "a\n# evolr-canary\n", "\n\n<evolr-canary>", "a\nevolr-canary: forged", "\b\b\b",
    "\0", "\x7f", "\u202eevolr", "\u2066a", "a\u2028b", "\ud800", "\udc9b31m", "\ufeff", "\u200b", "\U000e0041", "é" * 300, "x" * 20_000,
    "<evolr-canary>", "<script>evolr-canary</script>", "<img evolr-canary src=x>", '" evolr-canary="', "' evolr-canary='x",
    "</td><td>evolr-canary</td>", "</title><evolr-canary>", "--><evolr-canary><!--", "]]><evolr-canary>", "&lt;evolr-canary&gt;",
    "</style><evolr-canary>", "</svg><evolr-canary>", "|evolr-canary|", "a|evolr-canary|b\\", "\\|evolr-canary|", "`|evolr-canary|`",
    "[x](evolr-canary)", "![x](evolr-canary)", "<http://evolr-canary>", "x\n---\n", "``` `", "`<evolr-canary>`", "\\`<evolr-canary>\\`",
    "{{ 7*7 }}", "{% raw %}", "${x}", "$(touch evolr-canary)", "'; touch evolr-canary; '", "%s%n", "$\\evolr$", "$$", "../../x", "-rf", "",
)  # fmt: skip

_WHOLE = frozenset({"td", "th", "h1", "h2", "h3", "h4", "h5", "h6", "script", "style"})


def let_through(text: str) -> str | None:
    """What of a text for a terminal is no text, or a line that somebody else wrote; None if nothing is."""
    orders = sorted({c for c in text if c != "\n" and not c.isprintable()})
    if orders:
        return f"characters {orders}"
    forged = [line for line in text.split("\n") if line.startswith(CANARY)]
    return f"the line {forged[0]!r}" if forged else None


def let_through_html(page: str) -> str | None:
    """The markup of others in an HTML page; None if there is none."""
    reader = _Reader()
    reader.feed(page)
    reader.close()
    return reader.found[0] if reader.found else None


def let_through_markdown(page: str) -> str | None:
    """The markup of others in a Markdown page, as a reader renders it; None if there is none."""
    return let_through_html(MarkdownIt("commonmark", {"html": True}).enable("table").render(page))


class _Reader(HTMLParser):
    """Collects where the canary is an element, an attribute, what one points to, or all that an element says."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._tag = ""
        self._said = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag, self._said = tag, ""
        if tag == CANARY:
            self.found.append(f"an element {tag}")
        for name, value in attrs:
            points = name in ("href", "src") and (value or "").removeprefix("http://") == CANARY
            if name == CANARY or points:
                self.found.append(f"an attribute {name}={value!r} of {tag}")

    def handle_data(self, data: str) -> None:
        self._said += data

    def handle_endtag(self, tag: str) -> None:
        if tag == self._tag and tag in _WHOLE and self._said.strip() == CANARY:
            self.found.append(f"{tag} of its own")
        self._tag = ""
