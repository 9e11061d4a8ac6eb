"""The store contract: what every backend of ``Store`` must do, each promise one check.

    @pytest.mark.parametrize("check", store_contract, ids=lambda check: check.__name__)
    async def test_my_store(check, tmp_path):
        await check(lambda: MyStore(tmp_path / "store"))

A check gets a function that makes a new store over the same data: an owner comes, goes, and the next one
finds what it left. Each check begins with empty data. They raise AssertionError, so run them without ``-O``.
"""

from __future__ import annotations

from scraper.testing import (
    contract_budget,
    contract_files,
    contract_modes,
    contract_notes,
    contract_pages,
    contract_runs,
)
from scraper.testing.contract_words import Check

store_contract: tuple[Check, ...] = (
    contract_pages.CHECKS
    + contract_runs.CHECKS
    + contract_modes.CHECKS
    + contract_notes.CHECKS
    + contract_budget.CHECKS
    + contract_files.CHECKS
)
"""Every check, to be given a function that makes stores over the same data."""
