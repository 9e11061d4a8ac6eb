"""The pytest plugin of scraper: ``pytest --spiders`` makes a test of each recorded page.

It is loaded by every pytest of whoever has scraper installed, so it stands outside of the package, which would be
imported with it, and imports nothing before it is asked for. ``spiders = true`` in the ini file asks for it always.
"""

from __future__ import annotations

from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("scraper", "offline tests of spiders")
    group.addoption(
        "--spiders", action="store_true", help="replay recorded pages (fixtures of scraper record) as tests"
    )
    group.addoption(
        "--spiders-update",
        action="store_true",
        help="the same, and take over what the spiders give now as what is expected",
    )
    parser.addini("spiders", "replay recorded pages as tests, as --spiders does", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    update = bool(config.getoption("--spiders-update"))
    if update or config.getoption("--spiders") or config.getini("spiders"):
        from scraper.offline.plugin import Collector

        config.pluginmanager.register(Collector(config, update), "scraper-spiders")


def pytest_report_header(config: pytest.Config) -> list[str]:
    collector: Any = config.pluginmanager.get_plugin("scraper-spiders")
    return [collector.header] if collector is not None else []
