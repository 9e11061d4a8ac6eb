"""The end of a crawl of which only pages are left that will never answer."""

from typing import Any

import pytest
from crawling import Bench, spider

from scraper.errors import ConnectError, ReadTimeout


@pytest.mark.parametrize("bad", [2, 12])
@pytest.mark.parametrize("error", [503, ReadTimeout("silent"), ConnectError("refused")], ids=str)
async def test_pages_that_always_fail_do_not_keep_the_end_waiting(error: Any, bad: int) -> None:
    """Once all that is left has failed before, no pause is waited for: it would go on until the patience ends."""
    good, broken = [str(number) for number in range(20)], [f"bad{number}" for number in range(bad)]
    bench = Bench(spider(*broken, *good), dict.fromkeys(good, "") | dict.fromkeys(broken, error))
    assert await bench.run() == "finished"
    pages = await bench.pages()
    assert {pages[path].state for path in good} == {"done"}
    assert {(pages[path].state, pages[path].attempts) for path in broken} == {("dead", 4)}
    assert bench.clock.monotonic() < 300.0
