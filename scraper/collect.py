"""collect: what a callback gave, checked and sorted into links and items; and no more of it than one page may give.

Here an item is cleaned and checked, and goes through the spider's steps.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from scraper.errors import CallbackError, DropItem, MissingExtra, RequestError, ScraperError, TooManyResults
from scraper.item import fitted, is_item, to_item
from scraper.page import FileLink, Found, Item, LinkDrop, Reject, Unwanted
from scraper.request import Request, is_download, is_part, is_plain
from scraper.response import Response
from scraper.scope import Scope
from scraper.url import origin_of

FEW = 2_000
"""Results after which the loop gets a turn: some milliseconds."""

Throw = Callable[[Exception], Any]


async def collect(
    scope: Scope, result: Any, parent: Request, nofollow: bool | None = None, response: Response | None = None
) -> Found:
    """Everything a callback gave, from whatever it returned.

    Items are cleaned (with the ``response``, for cleaners that want it), checked, and led through ``scope.steps``,
    also where there is no engine. What the steps have of ``open`` and ``close`` is the caller's to call: ``async with
    scope.steps.opened(run)``.

    With ``nofollow`` its page asks that no link is followed; False: only those links that say so themselves are not;
    None: nobody asks.

    A bad Request or a value that is neither raises *inside* the callback, at its ``yield``, so that the
    traceback shows the line to mend. Raises what the callback raises, and TooManyResults.
    """
    taker = _Collector(scope, parent, nofollow, response)
    if inspect.isawaitable(result):
        result = await result
    if result is None:
        return taker.found
    await _taken(taker, result)
    if taker.waiting:
        await taker.step()
    return taker.found


async def _taken(taker: _Collector, result: Any) -> None:
    if inspect.isgenerator(result):
        try:
            await taker.take(result, result.throw)
        except BaseException as error:
            _closed(error, result.close)
            raise
    elif inspect.isasyncgen(result):
        try:
            with suppress(StopAsyncIteration):  # of athrow(): the callback may catch the error and return
                await taker.take_async(result, result.athrow)
        except BaseException as error:
            try:
                await result.aclose()
            except Exception as more:
                error.add_note(f"nor does it end when it is closed: {more!r}")
            raise
    elif isinstance(result, AsyncIterable):
        await taker.take_async(result)
    elif is_item(result) or isinstance(result, str | bytes) or not isinstance(result, Iterable):
        await taker.take(iter((result,)))
    else:
        await taker.take(iter(result))


def _closed(error: BaseException, close: Callable[[], object]) -> None:
    """A generator that is given up may refuse to end; the first error is the one to be told."""
    try:
        close()
    except Exception as more:
        error.add_note(f"nor does it end when it is closed: {more!r}")


class _Collector:
    """Takes the values of one callback; the parent's fingerprint is made only when it is needed."""

    __slots__ = (
        "bounded",
        "depth",
        "found",
        "jar",
        "links",
        "longest",
        "near",
        "nofollow",
        "page",
        "parent",
        "refused",
        "scope",
        "slashes",
        "waiting",
    )

    def __init__(self, scope: Scope, parent: Request, nofollow: bool | None, response: Response | None) -> None:
        self.scope = scope
        self.page = response if response is not None else Response(parent.url, request=parent)
        self.waiting: list[tuple[Any, Any]] = []
        """Items that are still to go through the steps: as they were yielded, and as they are now."""
        self.parent = parent
        self.found = Found()
        self.depth = parent.depth + 1
        self.links = self.found.links
        self.jar = parent.options.get("cookiejar") if parent.options is not None else None
        self.longest = scope.max_url_length
        self.slashes = scope.most_slashes
        self.refused = 0
        too_deep = bool(scope.max_depth) and self.depth > scope.max_depth
        self.bounded = too_deep or bool(scope.domains)
        # Most links stay where they are: they are told by their beginning, without a look at their host.
        here = f"{origin_of(parent.url)}/"
        self.near: str | tuple[()] = () if too_deep or not scope.follows(here) else here
        self.nofollow = nofollow
        if nofollow is not None:  # each link has to be looked at
            self.bounded, self.near = True, ()

    async def take(self, values: Iterator[Any], throw: Throw | None = None) -> None:
        """All of them: the first few at once, the others while no other page gives as many.

        Raises TooManyResults when there are more than ``max_results``, also of those that count for nothing.
        """
        most = self.scope.max_results
        taken = min(FEW, most)
        try:
            self._some(islice(values, taken), throw)
            value = next(values)  # StopIteration: that was all
            async with self.scope.large:
                if self.scope.room is not None:
                    await self.scope.room()
                while taken < most:
                    self._some((value,), throw)
                    await asyncio.sleep(0)
                    step = min(FEW, most - taken - 1)
                    self._some(islice(values, step), throw)
                    taken += step + 1
                    value = next(values)
            raise self._too_many()
        except StopIteration:
            return

    async def take_async(self, values: AsyncIterable[Any], throw: Callable[[Exception], Any] | None = None) -> None:
        """The same of an async iterator; how many of these are half read is the spider's to bound."""
        most = self.scope.max_results
        taken = 0
        async for value in values:
            while (error := self.add(value)) is not None:
                if throw is None:
                    raise error
                self._refuse()
                value = await throw(error)
            taken += 1
            if taken > most:
                raise self._too_many()
            if not taken % FEW:
                await asyncio.sleep(0)

    def _some(self, values: Iterable[Any], throw: Throw | None) -> None:
        add = self.add
        for value in values:
            while (error := add(value)) is not None:
                if throw is None:
                    raise error
                self._refuse()
                value = throw(error)

    def _refuse(self) -> None:
        """A callback that catches our errors must not give junk for ever."""
        self.refused += 1
        if self.refused > self.scope.max_results:
            raise self._too_many()

    def _too_many(self) -> TooManyResults:
        return TooManyResults(
            f"the callback for {self.parent.url} gave more than {self.scope.max_results:,} links and items; "
            "raise max_results if it is right, or see why it does not end",
            request=self.parent,
        )

    def add(self, value: Any) -> ScraperError | None:
        """Sort one value in; the error to raise at the callback's yield, or None."""
        if isinstance(value, Request):
            return self._link(value)
        if value is None:
            return None
        try:
            if is_item(value):
                self._item(value)
                return None
        except DropItem as drop:
            self._drop(value, "clean", str(drop))
            return None
        except (CallbackError, MissingExtra) as error:
            return error
        return CallbackError(
            f"the callback for {self.parent.url} gave a {type(value).__name__} ({value!r:.60}); "
            "yield Requests and items (dict, dataclass, msgspec.Struct, attrs, pydantic)",
            request=self.parent,
        )

    def _item(self, value: Any) -> None:
        if type(value) is Reject:
            self.found.rejects.append(value)
        elif type(value) is LinkDrop:
            self.scope.drop(self.found, value.reason, (value.url,))
        elif self.scope.steps is None:
            self._keep(value, to_item(value, self.scope.max_item_size, self.page))
        elif isinstance(now := fitted(value, self.page), Reject):
            self._keep(value, now)
        else:
            self.waiting.append((value, now))

    def _keep(self, given: Any, item: Item | Reject) -> None:
        if isinstance(item, Item):
            if item.value is not given:
                item.given = given
            self.found.items.append(item)
        else:
            self.found.rejects.append(item)
            self.found.refused.append(given)

    def _drop(self, given: Any, step: str, words: str) -> None:
        self.scope.drop_item(self.found, step, words)
        self.found.refused.append(given)

    async def step(self) -> None:
        """Lead what waits through the steps, one after the other."""
        steps, most = self.scope.steps, self.scope.max_item_size
        assert steps is not None
        waiting, self.waiting = self.waiting, []
        for number, (given, value) in enumerate(waiting, 1):
            result = await steps.through(value, self.page)
            if isinstance(result, Reject):
                self._keep(given, result)
            elif isinstance(result, Unwanted):
                self._drop(given, result.step, result.words)
            else:
                self._keep(given, to_item(result, most))
            if not number % FEW:
                await asyncio.sleep(0)

    def _link(self, request: Request) -> ScraperError | None:
        if request.depth or request is self.parent:  # given before: what waits to be stored must not change
            request = request.replace()
        request.depth = self.depth
        if self.jar and "cookiejar" not in (request.options or ()):
            request.options = {**(request.options or {}), "cookiejar": self.jar}
        if request.callback is not None or request.priority or not is_plain(request):
            salt = ""
            if request.dont_filter:  # a name of its own, and the same one if this page is visited again
                salt = f"{self.parent.fingerprint.hex()}:{len(self.links)}"
            try:
                self.scope.prepare(request, salt)
            except RequestError as error:
                return error
            if is_download(request) and (flaw := self._wish(request)) is not None:
                return flaw
            if is_part(request):  # of this very page, so nothing to drop
                request.depth = self.parent.depth
                self.links.append(request)
                return None
        else:
            request.stored = ""
        url = request.url
        if (
            (self.bounded and not url.startswith(self.near))
            or len(url) > self.longest
            or not 2 < url.count("/") <= self.slashes
        ):
            if url.count("/") < 3:
                return RequestError(f"{request!r} has been given a URL that is none; make a new Request instead")
            reason = self.scope.drop_reason(request)
            if reason is None and self.nofollow is not None and self._says_no(request):
                reason = "nofollow"
            if reason is not None:
                self.scope.drop(self.found, reason, (url,))
                return None
        self.links.append(request)
        return None

    def _wish(self, request: Request) -> ScraperError | None:
        """A file that is for an item: which one it is shows when all that the page gives is known."""
        if (wanted := getattr(request, "item", None)) is not None:
            if not isinstance(wanted, tuple) and not is_item(wanted):
                return RequestError(f"item of {request!r} is no item but a {type(wanted).__name__}: {wanted!r:.60}")
            self.found.files = files = self.found.files or []
            files.append(FileLink(request, getattr(request, "field", ""), len(files), wanted))
        return None

    def _says_no(self, request: Request) -> bool:
        """Whether the link or its page asks not to be followed; a page that asks for itself again follows no link."""
        said = self.nofollow if request.options is None else request.options.get("nofollow", self.nofollow)
        return bool(said) and request.url != self.parent.url


DOORS = frozenset(
    each.__code__ for each in (collect, _taken, _closed, _Collector.take, _Collector.take_async, _Collector._some)
)
"""The code that calls a callback's: how the watchdog knows a callback on the stack."""
