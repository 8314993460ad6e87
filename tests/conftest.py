"""`--store` names the store that tests run on. What tests have counted (`record_property`) is printed at the end of a
run.
"""

from __future__ import annotations

import pytest

from . import stores


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which store."""
    parser.addoption("--store", choices=list(stores.KINDS), default=stores.DEFAULT, help="the store tests run on")


def pytest_configure(config: pytest.Config) -> None:
    """Choose it for the whole run."""
    config.addinivalue_line("markers", "only_store(kind): the test is about this store and is skipped on others")
    stores.choose(config.getoption("--store"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is about another store."""
    chosen = item.config.getoption("--store")
    for marker in item.iter_markers("only_store"):
        assert set(marker.args) <= stores.KINDS.keys(), marker
        if chosen not in marker.args:
            pytest.skip(f"it is about {', '.join(marker.args)}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A line for each figure of a test that has passed."""
    figures = [figure for report in terminalreporter.getreports("passed") for figure in report.user_properties]
    if figures:
        terminalreporter.section("figures")
    for name, value in figures:
        terminalreporter.write_line(f"{name}: {value}")
