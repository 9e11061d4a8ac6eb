"""What the shell offers after TAB: names that are known without running anything.

Spider files are read, not loaded: pressing a key must neither run their code nor wait for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from scraper.errors import SettingsError
from scraper.item import snake
from scraper.settings import NAMES, load

MOST_FILES = 500
MOST_WORDS = 60  # a line break, which typer puts into longer ones, would end the entry in zsh


def spiders(incomplete: str) -> list[tuple[str, str]]:
    """Names of the spiders in the folder of spiders, each with the first line that tells of it; and spider files."""
    folder = _folder("spiders")
    named = [found for path in sorted(folder.glob("[!_]*.py"))[:MOST_FILES] for found in _in_file(path)]
    files = [(str(path), "") for path in sorted(Path().glob("*.py"))[:MOST_FILES]]
    return [(name, about[:MOST_WORDS]) for name, about in [*named, *files] if name.startswith(incomplete)]


def spiders_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """The file and the name of each spider in a folder."""
    for path in sorted(folder.glob("[!_]*.py")):
        for name, _ in _in_file(path):
            yield path, name


def databases(incomplete: str) -> list[tuple[str, str]]:
    """Names of the databases that are there, for the commands that read them; and database files."""
    data = _folder("data")
    named = [(path.stem, str(path)) for path in sorted(data.glob("*.db"))[:MOST_FILES]]
    files = [(str(path), "") for path in [*sorted(Path().glob("*.db")), *sorted(data.glob("*.db"))][:MOST_FILES]]
    return [each for each in [*named, *files] if each[0].startswith(incomplete)]


def settings(incomplete: str) -> list[str]:
    """``name=`` of each setting."""
    return [f"{name}=" for name in NAMES if name.startswith(incomplete)]


def _folder(setting: str) -> Path:
    """As scraper.toml and the environment have it; a mistake in them is told by the command, not here."""
    try:
        return Path(getattr(load(), setting))
    except SettingsError:
        return Path(setting)


def _in_file(path: Path) -> Iterator[tuple[str, str]]:
    try:
        module = ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, SyntaxError):
        return
    for node in module.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_") and any(map(_is_spider, node.bases)):
            about = (ast.get_docstring(node) or ast.get_docstring(module) or "").partition("\n")[0]
            yield _name(node), about


def _is_spider(base: ast.expr) -> bool:
    """By its name: a base of the user's own ends in Spider too, as a rule."""
    return ast.unparse(base).endswith("Spider")


def _name(node: ast.ClassDef) -> str:
    for each in node.body:
        targets = each.targets if isinstance(each, ast.Assign) else []
        if any(isinstance(one, ast.Name) and one.id == "name" for one in targets):
            value = each.value if isinstance(each, ast.Assign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
    return snake(node.name)
