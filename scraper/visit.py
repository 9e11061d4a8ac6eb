"""A visit: one lease to one outcome, whatever happens on the way. Here is the only try/except of a crawl.

Nothing here knows of queues or of other visits; the engine hands leases in and takes outcomes away.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from scraper.collect import collect
from scraper.errors import CallbackError, FetchError, FileError, HostDown, ParseError, Postponed, StatusError
from scraper.log import Logger
from scraper.nofollow import page_says
from scraper.options import handles
from scraper.page import Dead, Done, Down, Found, Lease, Outcome, Retry, Seen
from scraper.ports import Clock, Fetcher, RetryPolicy
from scraper.process import cores
from scraper.redirect import redirected
from scraper.refresh import refreshed
from scraper.request import Request, is_download, is_part
from scraper.response import Response
from scraper.robots_text import our_token
from scraper.scope import Scope
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.state import take_back
from scraper.url import shown

log = Logger("scraper.engine")

PARSE_ON_THREAD = 64 * 1024
"""Bytes of HTML from which a thread parses: selectolax releases the GIL, so a second core does it meanwhile.

With one core a thread would only add its hop (50-90 µs) and its waiting for the GIL."""

Free = Callable[[Lease, Seen | None, FetchError | None], bool]
MOST_WORDS = 10_000
"""Characters of an error that are kept besides its traceback."""

SPIDERS = (Exception, asyncio.CancelledError, SystemExit, GeneratorExit)
"""What spider code may raise and costs no more than its page. ``sys.exit()`` of a library that a callback uses must
not end a crawl; KeyboardInterrupt must."""

Spare = Callable[[Lease, FetchError], bool]
GivenUp = Callable[[str], Down | None]
Reading = Callable[[int, int], None]


class Visitor:
    """Args:
    free: told as soon as the fetch is over, before anything is parsed: the host's slot is free. ``seen`` is None
        when nothing was asked. True when the failure is the host's, and no attempt of the page.
    spare: asked before a page is given up; True when it is to wait with its host instead.
    given_up: not None when the host of a slot is not asked any more.
    ending: whether a cancellation comes from us; else a callback has cancelled the task that it runs in.
    reading: told which page is read (parsed, its callback run) by which worker, and 0 when it was.
    """

    def __init__(
        self,
        spider: Spider,
        scope: Scope,
        settings: Settings,
        fetcher: Fetcher,
        retry: RetryPolicy,
        clock: Clock,
        free: Free,
        reading: Reading,
        spare: Spare = lambda lease, error: False,
        given_up: GivenUp = lambda slot: None,
        ending: Callable[[], bool] = lambda: True,
    ) -> None:
        self._spider = spider
        self._scope = scope
        self._settings = settings
        self._fetcher = fetcher
        self._retry = retry
        self._clock = clock
        self._free = free
        self._reading = reading
        self._spare = spare
        self._given_up = given_up
        self._ending = ending
        chosen = settings.handle_statuses
        self._handled: frozenset[int] | str = frozenset(chosen) if chosen != "all" else chosen
        self._again = frozenset(settings.retry_statuses)
        self._token = our_token(settings) if settings.obey_nofollow else None
        self._threads = cores() > 1
        # No more at once than there are cores: each holds a page and its tree.
        self._parsers = ThreadPoolExecutor(cores(), thread_name_prefix="parse")

    def close(self) -> None:
        self._parsers.shutdown(wait=False, cancel_futures=True)

    async def visit(self, lease: Lease, worker: int) -> Outcome | None:
        """One lease to one outcome; None when the page has to wait and it was no attempt.

        Raises CancelledError when it is cancelled from outside, and FileError: the page is not finished then.
        """
        begun = self._clock.monotonic()
        seen: Seen | None = None
        error: FetchError | None = None
        free = excused = False
        if (down := self._given_up(lease.slot)) is not None and not is_part(lease.request):
            self._free(lease, None, None)
            return await self._failed(lease, Seen(), self._host_down(lease, down))
        try:
            response = await self._fetcher.fetch(lease.request)
            seen = response.seen
            if response.status in (429, 503):
                seen.retry_after = response.retry_after(self._clock.time())
            error = self._refusal(response)
            free = True
            excused = self._free(lease, seen, error)
            if error is None:
                self._reading(worker, lease.page)
                try:
                    done = await self._read(lease, response, seen)
                    await self._settle()
                    return done
                except BaseException:  # whatever becomes of the page, and whether it is tried again
                    take_back()
                    raise
                finally:
                    self._reading(worker, 0)
        except FetchError as failure:
            error = failure
        except Postponed:
            if not free:
                self._free(lease, None, None)
            return None
        except SPIDERS as failure:
            if not free:  # the fetcher broke its word, or we are to stop
                seen = Seen(elapsed=self._clock.monotonic() - begun, keepalive=False)
                self._free(lease, seen, None)
            no_room = isinstance(failure, FileError) and (not free or is_download(lease.request))  # thumbnails are late
            if self._is_abort(failure) or no_room:
                raise
            assert seen is not None
            return self.broken(lease, seen, failure)
        assert error is not None  # every other way out has returned
        if seen is None:
            seen = Seen(error.status, self._clock.monotonic() - begun, keepalive=False, reused=error.reused)
            excused = self._free(lease, seen, error)
        if excused:
            lease.after += 1
            return None
        return await self._failed(lease, seen, error)

    def _host_down(self, lease: Lease, down: Down) -> HostDown:
        since = datetime.fromtimestamp(self._clock.time() - self._clock.monotonic() + down.since, UTC)
        return HostDown(
            f"{lease.request.url} is not asked: {lease.slot} has not answered since {since:%Y-%m-%d %H:%M:%S} UTC "
            f"(last error: {down.words[:500]}); once it does, scraper retry {self._spider.name} --reason 'host down'"
        )

    def _refusal(self, response: Response) -> StatusError | None:
        """The error for a status that nobody asked to see."""
        status = response.status
        if status < 400 or (
            handles(response.request.options, status, self._handled) and not is_download(response.request)
        ):
            return None
        wait = response.seen.retry_after
        if wait is None:
            wait = response.retry_after(self._clock.time())
        return StatusError(
            status, response.url, transient=status in self._again, retry_after=wait, request=response.request
        )

    async def _read(self, lease: Lease, response: Response, seen: Seen) -> Done:
        request = lease.request
        reason = None
        if is_download(request):
            done, called = await self._file(lease, response, seen)
            if not called:
                return done
            reason = done.reason
        target = None
        if not handles(request.options, response.status, self._handled):  # one that is named is an answer
            target = redirected(response, self._settings.max_redirects)
        if target is not None:
            return self._redirect(lease, seen, target)
        if (
            self._threads
            and len(response.body) >= PARSE_ON_THREAD
            and "html" in response.headers.get("Content-Type", "")
        ):
            await asyncio.get_running_loop().run_in_executor(self._parsers, _parse_ahead, response)
        if self._settings.meta_refresh and (target := refreshed(response, self._settings.max_redirects)) is not None:
            return self._redirect(lease, seen, target)
        name = str(request.callback or "parse")
        callback = getattr(self._spider, name, None)
        if callback is None:
            raise CallbackError(f"spider {self._spider.name!r} has no method {name!r} any more", request=request)
        nofollow = None
        if self._token is not None:
            response.obeys_nofollow = True
            nofollow = page_says(response, self._token)
        result = callback(response, **request.cb_kwargs) if request.cb_kwargs else callback(response)
        found = await collect(self._scope, result, request, nofollow, response)
        if found.files is not None:
            self._settle_files(found, request)
        if response.left_out:
            self._scope.drop(found, "nofollow", response.left_out)
        if (passed_over := response.passed_over) is not None:
            self._scope.drop(found, "scheme", passed_over)
        return Done(lease, seen, found, reason)

    def _settle_files(self, found: Found, request: Request) -> None:
        from scraper.belonging import settle  # few crawls have downloads

        settle(self._scope, found, request)

    async def _file(self, lease: Lease, response: Response, seen: Seen) -> tuple[Done, bool]:
        """The end of a download, and whether a callback is to be asked before it."""
        from scraper.filing import filed, led_on  # few crawls have downloads

        request = lease.request
        target = redirected(response, self._settings.max_redirects)
        if target is not None:
            done = self._redirect(lease, seen, target)
            if done.found.links:
                led_on(seen, request, target)
            return done, False
        reason = await filed(seen, request, self._spider.name, self._settings.files, self._parsers)
        called = request.options is not None and "call" in request.options["download"]
        return Done(lease, seen, Found(), reason), called and response.file is not None

    def _redirect(self, lease: Lease, seen: Seen, target: Request) -> Done:
        """The one link of a redirect is its target; when that is not to be followed, the page's reason says why."""
        reason = self._scope.drop_reason(target)
        if reason is None:
            return Done(lease, seen, Found(links=[target]), reason="redirect")
        found = Found()
        self._scope.drop(found, reason, [target.url])
        return Done(lease, seen, found, reason=f"redirect {reason}")

    async def _failed(self, lease: Lease, seen: Seen, error: FetchError) -> Outcome | None:
        """Retry while the policy says so; else dead, after the errback has had its say."""
        error.request = lease.request
        delay = self._retry.delay(lease, error, self._clock.time())
        if delay is not None:
            return Retry(lease, seen, delay, error.reason, str(error))
        if self._spare(lease, error):
            lease.after += 1
            return None
        log.info("dead", url=lease.request.url, reason=error.reason, attempts=lease.attempt, error=str(error))
        dead = Dead(lease, seen, error.reason, str(error))
        if lease.request.errback is not None:
            try:
                result = getattr(self._spider, str(lease.request.errback))(lease.request, error)
                dead.found = await collect(self._scope, result, lease.request)
                if dead.found.files is not None:
                    self._settle_files(dead.found, lease.request)
                await self._settle()
            except SPIDERS as failure:
                take_back()
                if self._is_abort(failure):
                    raise
                return self.broken(lease, seen, failure)
        return dead

    def broken(self, lease: Lease, seen: Seen, error: BaseException) -> Dead:
        """Spider code raised: the page is dead and its traceback kept; the crawl goes on."""
        reason = error.reason if isinstance(error, ParseError | FetchError | CallbackError) else "callback"
        words = shown(_words(error))
        trace = shown("".join(traceback.format_exception(error)))
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        log.error("callback_failed", url=lease.request.url, error=words, at=at)
        return Dead(lease, seen, reason, words, trace[-20_000:])

    def _is_abort(self, error: BaseException) -> bool:
        """True when we are cancelled; False for a cancellation that spider code let slip, which is its failure."""
        task = asyncio.current_task()
        if not isinstance(error, asyncio.CancelledError) or task is None or not task.cancelling():
            return False
        return self._ending() or not _stay(task)

    async def _settle(self) -> None:
        """A callback may have cancelled the task that it runs in: ours, which would end at its next await."""
        task = asyncio.current_task()
        if task is not None and task.cancelling() and not self._ending():
            _stay(task)
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
            raise CallbackError("the callback cancelled the task that it runs in; raise an exception instead")


def _stay(task: asyncio.Task[Any]) -> bool:
    """Take every cancellation of a task back."""
    while task.uncancel():
        pass
    return True


def _words(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:MOST_WORDS]
    except Exception as broken:  # an error of the spider's own may be broken itself
        return f"{type(error).__name__}, whose str() raises {type(broken).__name__}"


def _parse_ahead(response: Response) -> None:
    try:
        _ = response.tree
    except ParseError:
        return  # the callback meets it when it asks for the tree, and may never ask
