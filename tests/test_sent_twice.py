"""A POST that was sent is not sent again by a retry, for it may have been done."""

from pathlib import Path
from typing import Any

import pytest
import tenacity
from sockets import Asked, Reply, Server
from sockets import page as answer
from visited import crawl, spider

from scraper import Request, RetryPolicy
from scraper.testing import LocalSite

HANGS_UP = Reply(close=True)
SILENT = Reply(held=True)
CUT = Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", close=True)
HALF_GZIP = answer(bytes.fromhex("1f8b08000000000000ff"), Content_Encoding="gzip")
BUSY = answer(status="503 Service Unavailable")
QUICK = RetryPolicy(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_none())


@pytest.mark.parametrize(
    ("method", "reply", "settings", "option", "times"),
    [
        ("POST", HANGS_UP, {}, None, 1),
        ("PATCH", HANGS_UP, {}, None, 1),
        ("POST", CUT, {}, None, 1),
        ("POST", HALF_GZIP, {}, None, 1),
        ("POST", SILENT, {"read_timeout": 0.05}, None, 1),
        ("POST", SILENT, {"total_timeout": 0.05}, None, 1),
        ("POST", HANGS_UP, {}, True, 3),
        ("POST", HANGS_UP, {"resend_unsafe": True}, None, 3),
        ("POST", HANGS_UP, {"resend_unsafe": True}, False, 1),
        ("PUT", HANGS_UP, {}, None, 3),
        ("POST", BUSY, {}, None, 3),
        ("POST", HANGS_UP, {"retry": QUICK}, None, 1),
        ("POST", HANGS_UP, {"retry": RetryPolicy(QUICK.stop, QUICK.wait, resend_unsafe=True)}, None, 3),
    ],
)
async def test_how_often_a_request_is_sent(
    method: str, reply: Reply, settings: dict[str, Any], option: bool | None, times: int, tmp_path: Path
) -> None:
    asked: list[Asked] = []

    def behave(request: Asked) -> Reply:
        asked.append(request)
        return reply

    settings = {"retry_attempts": 3, "retry_max_wait": 0.0} | settings
    async with Server(behave) as server:
        sent = Request(server.url("/order"), method=method, body=b"one", resend=option)
        report = await crawl(spider(sent), tmp_path, **settings)
    assert [(each.method, each.body) for each in asked] == [(method, b"one")] * times
    assert report.counts.dead == 1


async def test_the_error_says_why_and_what_to_set(tmp_path: Path) -> None:
    errors: list[str] = []
    async with Server(lambda asked: HANGS_UP) as server:
        sent = Request(server.url("/order"), method="POST", errback="failed")
        await crawl(spider(sent, failed=lambda self, request, error: errors.append(str(error))), tmp_path)
    assert "this POST may have done its work" in errors[0]
    assert "resend=True" in errors[0] and "resend_unsafe" in errors[0]


async def test_without_a_connection_nothing_was_done(tmp_path: Path) -> None:
    async with LocalSite({}) as site:
        gone = site.url("/order")
    sent = Request(gone, method="POST", body=b"one", errback="failed")
    attempts: list[str] = []
    kind = spider(sent, failed=lambda self, request, error: attempts.append(str(error)))
    report = await crawl(kind, tmp_path, retry_attempts=3, retry_max_wait=0.0)
    assert (report.counts.retries, report.counts.dead) == (2, 1)
    assert "resend" not in attempts[0]


async def test_a_robots_txt_that_fails_leaves_the_request_unsent(tmp_path: Path) -> None:
    asked: list[str] = []

    def behave(request: Asked) -> Reply:
        asked.append(f"{request.method} {request.path}")
        return HANGS_UP if len(asked) == 1 else answer(status="404 Not Found" if "robots" in request.path else "200 OK")

    async with Server(behave) as server:
        sent = Request(server.url("/order"), method="POST", body=b"one")
        report = await crawl(spider(sent), tmp_path, retry_max_wait=0.0, obey_robots=True)
    assert asked == ["GET /robots.txt", "GET /robots.txt", "POST /order"]
    assert report.counts.dead == 0
