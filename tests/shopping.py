"""The demo shop on a free port, with a visitor in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from scraper.testing.bookshop import serve


@asynccontextmanager
async def open_shop(**options: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """A client that keeps cookies and asks the shop by path; redirects are shown, not followed."""
    runner = await serve(**options)
    host, port = runner.addresses[0][:2]
    jar = aiohttp.CookieJar(unsafe=True)  # takes cookies of an address
    try:
        async with aiohttp.ClientSession(f"http://{host}:{port}", cookie_jar=jar) as client:
            yield client
    finally:
        await runner.cleanup()
