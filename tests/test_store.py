"""Every store keeps the same contract."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.ports import Store
from scraper.stores.memory import Memory, MemoryStore
from scraper.stores.sqlite import SqliteStore
from scraper.testing import store_contract

Make = Callable[[], Store]


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "memory":
        memory = Memory()
        return lambda: MemoryStore(memory)
    return lambda: SqliteStore(tmp_path / "contract.db")


@pytest.mark.parametrize("check", store_contract, ids=lambda check: check.__name__)
async def test_contract(check: Callable[[Make], object], make: Make) -> None:
    await check(make)
