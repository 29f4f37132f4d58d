"""How many processes the tests run in."""

import pytest


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Two for the whole suite. A part of it runs in this one, since another has to import everything first."""
    is_part = config.option.file_or_dir or config.option.keyword or config.getoption("lf", False)
    return 0 if is_part else 2
