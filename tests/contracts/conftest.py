"""Says, at the end of a run of tests, how many published schedules agree with their sources, by back end."""

import re
from collections import Counter

_TEST = re.compile(r"test_published\.py::test_a_published_schedule_is_its_source\w*\[(?P<parameters>.+)\]$")


def pytest_terminal_summary(terminalreporter):
    from tests.contracts.published.back_ends import BACK_ENDS

    agreeing, asked = Counter(), Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            found = _TEST.search(report.nodeid) if report.when == "call" else None
            for name in BACK_ENDS if found else ():
                if found["parameters"].startswith(f"{name}-") or found["parameters"].endswith(f"-{name}"):
                    asked[name] += 1
                    agreeing[name] += outcome == "passed"
    if asked:
        said = ", ".join(f"{name} {agreeing[name]}/{asked[name]}" for name in asked)
        terminalreporter.write_line(f"published schedules that are their sources: {said}")
