"""What axe-core finds in a page that hinders people: https://github.com/dequelabs/axe-core; it comes with axe-playwright-python."""

from pathlib import Path

import axe_playwright_python

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def findings(page, least=("serious", "critical")):
    """Its findings that are serious: rule and element of each. By the developer's way, which a page's own policy does not bind."""
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found if rule["impact"] in least]
