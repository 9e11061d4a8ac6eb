"""Libraries that only some users need: imported when they are, and explained where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from scraper.errors import MissingExtra


def need(module: str, extra: str, what: str) -> Any:
    """The module of an optional library. Raises MissingExtra, which says that ``what`` needs ``extra``."""
    try:
        return import_module(module)
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and broken: its own words say more
        raise MissingExtra(f"{what} needs {module}; install it with: pip install 'scraper[{extra}]'") from error
