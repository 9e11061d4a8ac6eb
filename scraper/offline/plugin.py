"""What ``pytest --spiders`` collects: one test for each recorded page, failing with the report of ``scraper check``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import UsageError
from scraper.offline.checking import Checked, check_folder
from scraper.offline.fixture import HEAD, FixtureError, every, name_of, read, write
from scraper.offline.recording import recomputed
from scraper.settings import load


class Differs(Exception):
    """A page does not give what it gave."""

    def __init__(self, checked: Checked) -> None:
        super().__init__(checked.name)
        self.checked = checked


class Page(pytest.Item):
    """One recorded page."""

    root: Path
    update: bool

    def runtest(self) -> None:
        with chdir(self.config.rootpath):  # where spiders and settings are, wherever pytest was called
            if self.update:
                write(recomputed(read(self.path.parent, self.root)))
            checked = check_folder(self.path.parent, self.root)
        if not checked.ok:
            raise Differs(checked)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        error = excinfo.value
        if isinstance(error, Differs):
            checked = error.checked
            return "\n".join([*checked.lines(), f"({checked.callback} of {checked.url})"])
        return str(error) if isinstance(error, UsageError) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, name_of(self.path.parent, self.root)


class FixtureFile(pytest.File):
    """A ``fixture.json``: its one test is called after the callback."""

    root: Path
    update: bool

    def collect(self) -> Iterator[pytest.Item]:
        try:
            name = read(self.path.parent, self.root).head.callback
        except FixtureError:
            name = "damaged"  # the test says in what
        page = Page.from_parent(self, name=name)
        page.root, page.update = self.root, self.update
        yield page


class Collector:
    """Registered when spiders are to be tested. Fixtures are in the folder of that setting, besides what is named."""

    def __init__(self, config: pytest.Config, update: bool) -> None:
        folder = Path(load(folder=config.rootpath).fixtures)
        self._root = config.rootpath / folder
        self._update = update
        self._here = here = self._root.resolve()
        named = [Path(config.invocation_params.dir, each.partition("::")[0]).resolve() for each in config.args]
        inside = any(here in (each, *each.parents) for each in named)
        around = any(each in here.parents for each in named)
        if self._root.is_dir() and not inside and not around:
            config.args.append(str(self._root))

    @property
    def header(self) -> str:
        number = len(every(self._root)) if self._root.is_dir() else 0
        return f"spiders: {number} recorded pages in {self._root}"

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        if file_path.name != HEAD or self._here not in file_path.resolve().parents:  # others use that name too
            return None
        found = FixtureFile.from_parent(parent, path=file_path)
        found.root, found.update = self._root, self._update
        return found
