"""Imports point downwards only, as the table in docs/architecture.md has it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "scraper"
WORDS, ROOMS, ENGINE_ROOM, FRONT_DOOR = 0, 2, 3, 4

Place = tuple[int, int, int]
"""Floor, room (on floor 2), position in its row."""


def places() -> dict[str, Place]:
    """Where the table puts each module or package."""
    found: dict[str, Place] = {}
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for floor, row in re.findall(r"^\| (\d) [^|]+\| (.+) \|$", text, re.MULTILINE):
        for room, group in enumerate(row.split("·")):
            for name in re.findall(r"`(\w+)`", group):
                assert name not in found, f"{name} stands twice in the table"
                found[name] = (int(floor), room, len(found))
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Every file with the name it has in the table: a package is one name."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).with_suffix("").parts[0], path


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and table name of each import of our own, but for those that only a type checker makes."""
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending.extend(node.orelse)
            continue
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write imports in full"
            names = [str(node.module)]
            if node.module == "scraper":
                names = [f"scraper.{alias.name}" for alias in node.names]
        for name in names:
            top, *rest = name.split(".")
            if top == "scraper":
                inside = rest[0] if rest else "__init__"
                is_module = (PACKAGE / inside).is_dir() or (PACKAGE / f"{inside}.py").is_file()
                yield node.lineno, inside if is_module else "__init__"
        pending.extend(ast.iter_child_nodes(node))


def may_import(importer: Place, target: Place) -> bool:
    floor, room, position = importer
    if target[0] != floor:
        return target[0] < floor
    if floor == ROOMS:
        return target[1] == room
    return target[2] < position


def test_every_module_has_a_floor() -> None:
    assert sorted(places()) == sorted({name for name, _ in modules()})


def test_imports_point_downwards() -> None:
    floors = places()
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}: floor {floors[target][0]} from {floors[name][0]}"
        for name, path in modules()
        for line, target in imported(path)
        if {name, target} <= floors.keys() and target != name and not may_import(floors[name], floors[target])
    ]
    assert wrong == []


def test_the_check_sees_what_it_should(tmp_path: Path) -> None:
    file = tmp_path / "x.py"
    file.write_text(
        "from typing import TYPE_CHECKING\n"
        "from scraper import Spider, errors\n"
        "if TYPE_CHECKING:\n    from scraper.engine import Engine\n"
        "def f():\n    import scraper.stores.sqlite\n"
    )
    assert sorted(imported(file)) == [(2, "__init__"), (2, "errors"), (6, "stores")]
    floors = places()
    assert not may_import(floors["url"], floors["engine"])
    assert not may_import(floors["robots"], floors["session"])
    assert not may_import(floors["frontier"], floors["writer"])
    assert may_import(floors["session"], floors["ledger"])
    assert may_import(floors["engine"], floors["frontier"])
