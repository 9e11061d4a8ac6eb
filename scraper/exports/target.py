"""What a target says: where the file goes, in which format, under which coding, and what its placeholders stand for."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from msgspec import Struct

from scraper.errors import OutputError
from scraper.extra import need

STDOUT = "-"

SUFFIXES = {
    "jsonl": "jsonl",
    "jl": "jsonl",
    "ndjson": "jsonl",
    "json": "json",
    "csv": "csv",
    "xml": "xml",
    "parquet": "parquet",
    "sqlite": "sqlite",
    "sqlite3": "sqlite",
    "db": "sqlite",
}
"""Format by suffix. The first of a format is its name."""

CODINGS = {"gz": "gzip", "zst": "zstd"}

PLACEHOLDERS = ("spider", "run", "date", "time", "kind")

BINARY = frozenset(("parquet", "sqlite"))

_REMOTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # two letters at least: C: is a drive
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")


class Target(Struct, frozen=True):
    """One file. ``name`` may still hold placeholders; ``coding`` is gzip, zstd or None."""

    name: str
    format: str
    coding: str | None = None

    @property
    def stdout(self) -> bool:
        return self.name == STDOUT

    @property
    def remote(self) -> bool:
        """Whether fsspec writes it: ``file://`` is a file like any other."""
        return _REMOTE.match(self.name) is not None and not self.name.startswith("file://")

    @property
    def by_kind(self) -> bool:
        """Whether there is a file for each kind."""
        return "kind" in named(self.name)

    @property
    def path(self) -> str:
        """The path of a file that is not remote."""
        return self.name.removeprefix("file://") if self.name.startswith("file://") else self.name

    @property
    def place(self) -> str:
        """The same for every spelling of a path: ``a.csv`` and ``./a.csv``."""
        return self.name if self.stdout or self.remote else os.path.abspath(self.path)

    def at(self, values: Mapping[str, object]) -> Target:
        """The same with these placeholders filled in; others stay. A value makes no folders."""
        return Target(filled(self.name, values), self.format, self.coding)


def target_of(name: str, form: str | None = None) -> Target:
    """What the user wrote: a path, ``-`` or a URL. The format is its suffix, or ``form`` (``csv``, ``jsonl.gz``, …).

    stdout is jsonl unless told otherwise. Raises OutputError for an unknown suffix or placeholder, with the nearest.
    """
    if name != STDOUT:
        _check_names(name)
    if form is None and name == STDOUT:
        return Target(name, "jsonl")
    suffixes = PurePath("x." + form.lower().lstrip(".") if form is not None else name).suffixes
    words = [suffix[1:].lower() for suffix in suffixes]
    coding = CODINGS.get(words.pop()) if words and words[-1] in CODINGS else None
    kind = SUFFIXES.get(words[-1]) if words else None
    if kind is None:
        raise OutputError(_unknown(form if form is not None else name, words, form is not None))
    if kind == "parquet" and coding is not None:
        raise OutputError(f"{name!r}: a Parquet file is compressed inside; leave {coding} out")
    return Target(name, kind, coding)


def _unknown(given: str, words: list[str], is_form: bool) -> str:
    near = difflib.get_close_matches(words[-1], [*SUFFIXES, *CODINGS], n=1) if words else []
    hint = f" (did you mean .{near[0]}?)" if near else ""
    if is_form:
        return (
            f"there is no format {given!r}{hint}; it can be jsonl, json, csv, xml, parquet or sqlite, with .gz or .zst"
        )
    return (
        f"cannot tell the format of {given!r}{hint}; end it in .jsonl, .json, .csv, .xml, .parquet or .sqlite, "
        "each but .parquet also with .gz or .zst behind it, or give - for stdout"
    )


def named(name: str) -> list[str]:
    """The placeholders of a name."""
    return [each[1] for each in _BRACES.finditer(name) if each[1] is not None]


def _check_names(name: str) -> None:
    for each in named(name):
        if each not in PLACEHOLDERS:
            near = difflib.get_close_matches(each, PLACEHOLDERS, n=1)
            hint = f"; did you mean {{{near[0]}}}?" if near else ""
            known = ", ".join(f"{{{word}}}" for word in PLACEHOLDERS)
            raise OutputError(f"{name!r}: there is no {{{each}}}{hint} (it can be {known}; {{{{ is a brace)")


def filled(name: str, values: Mapping[str, object]) -> str:
    """``name`` with each placeholder that has a value replaced by it; doubled braces become single at last."""
    whole = all(each in values for each in named(name))

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return match[0][0] if whole else match[0]
        return _harmless(str(values[match[1]])) if match[1] in values else match[0]

    return _BRACES.sub(value, name)


def _harmless(value: str) -> str:
    """A value as a part of a file name: it makes no folder, leads to none and hides no file."""
    clean = re.sub(r"[\x00-\x1f/\\:*?\"<>|{}]", "_", value)
    return re.sub(r"^\.+", "_", clean)[:100] or "_"


def filesystem(target: Target) -> Any:
    """The fsspec file system of a remote target, and the path in it.

    Raises MissingExtra without fsspec, OutputError for a protocol that it does not know or whose library is missing.
    """
    fsspec = need("fsspec", "remote", f"writing {target.name}")
    try:
        return fsspec.core.url_to_fs(target.name)
    except ImportError as error:
        raise OutputError(f"cannot write {target.name}: {error}") from error
    except Exception as error:  # each of its file systems has errors of its own
        raise OutputError(f"cannot write {target.name}: {error}; see docs/exports.md for remote places") from error
