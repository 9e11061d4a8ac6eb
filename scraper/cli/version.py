"""``scraper version``: of itself, and of all that a report of a bug should name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import typer

from scraper.settings import VERSION


def version(
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Python, platform, and every library that is used.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, with everything.")] = False,
) -> None:
    """Print the version; with -v, all that a report of a bug should name.

    \b
    Examples:
      scraper version
      scraper version -v
      scraper version --json | jq .libraries.aiohttp
    """
    if not verbose and not as_json:
        print(f"scraper {VERSION}")
        return
    facts = _facts()
    if as_json:
        import json

        print(json.dumps(facts))
        return
    width = 2 + max(map(len, (*facts, *facts["libraries"], *facts["extras"])))
    for name, value in facts.items():
        if not isinstance(value, dict):
            print(f"{name:{width}}{value}")
    for title in ("libraries", "extras"):
        print(f"\n{title}")
        for name, value in facts[title].items():
            words = value if isinstance(value, str) else _extra(value) if value is not None else "not installed"
            print(f"  {name:{width}}{words}")


def _extra(parts: dict[str, str | None]) -> str:
    missing = [name for name, found in parts.items() if found is None]
    found = ", ".join(f"{name} {number}" for name, number in parts.items() if number is not None)
    return f"missing: {', '.join(missing)}" + (f"; there: {found}" if found else "") if missing else found


def _facts() -> dict[str, Any]:
    import platform
    import sqlite3
    import ssl
    import sys

    libraries: dict[str, str | None] = {}
    extras: dict[str, dict[str, str | None]] = {}
    for name, extra in _requirements():
        if not extra:
            libraries[name] = _installed(name)
        elif extra not in ("all", "dev", "docs", "bench"):
            extras.setdefault(extra, {})[name] = _installed(name)
    return {
        "scraper": VERSION,
        "python": f"{platform.python_version()} ({platform.python_implementation()}, {sys.executable})",
        "platform": platform.platform(),
        "processors": str(_cores()),
        "loop": _loop(),
        "openssl": ssl.OPENSSL_VERSION,
        "sqlite": sqlite3.sqlite_version,
        "libraries": libraries,
        "extras": extras,
    }


def _requirements() -> Iterator[tuple[str, str]]:
    """Names of the libraries that our own metadata asks for, each with its extra (empty: always needed)."""
    import re
    from importlib import metadata

    try:
        lines = metadata.requires("scraper") or []
    except metadata.PackageNotFoundError:  # run from a checkout that was not installed
        return
    for line in lines:
        name = re.match(r"[\w.-]+", line)
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)", line)
        if name is not None and name[0] != "scraper":
            yield name[0], extra[1] if extra is not None else ""


def _installed(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cores() -> int:
    from scraper.process import cores

    return cores()


def _loop() -> str:
    """The event loop that a crawl runs in."""
    from scraper.process import loop_factory

    factory = loop_factory()
    return "asyncio" if factory is None else factory.__module__.partition(".")[0]
