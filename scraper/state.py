"""State: the dict that a spider keeps, exactly as durable as its rows.

A snapshot of it is committed with the pages whose callbacks changed it, in their transaction. It must hold nothing of a
callback that has not ended, so a page whose callback touched the state waits while another such callback is half-way;
then all of these are committed together. Callbacks that do not await never meet, and wait for nobody.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from typing import Any

import msgspec

from scraper.errors import CallbackError
from scraper.page import Note, Outcome
from scraper.ports import Store

KIND = "state"
"""The kind of its note; there is one, and it has no end."""

_encode = msgspec.json.Encoder().encode
_visit: ContextVar[tuple[State, int] | None] = ContextVar("visit", default=None)
"""Whose callback runs: the state of its crawl and the worker. Set once for each worker, so a page pays nothing."""

_ATTRIBUTE = "_scraper_state"

Commit = Callable[[Sequence[tuple[int, Outcome]], Note | None], None]


class State:
    """One spider's. ``values`` is always the same dict; ``most`` bytes may it have as JSON."""

    def __init__(self, most: int = sys.maxsize) -> None:
        self.values: dict[str, Any] = {}
        self.most = most
        self.inside: set[int] = set()
        """Workers in whose visit it was touched, and that have not ended it."""
        self.visiting: Collection[int] = ()
        """Workers that visit a page now; what a task of an earlier visit does later belongs to none."""
        self.seeding = False
        """While ``start()`` runs, which no page is committed with: its changes are not taken back."""
        self.owner = ""
        self._saved = "{}"
        self._before = "{}"
        self._mixed = False
        self._loose = False
        """Whether somebody else than a visit (``start()``, ``open()`` of a step) has asked since the last snapshot."""
        self._spoilt = False
        self._held: dict[int, Outcome] = {}
        """Of workers whose visit has ended, and that wait."""
        self._released: asyncio.Future[None] | None = None

    # -- the spider's side

    def touch(self) -> dict[str, Any]:
        """The dict; the visit that asks is committed together with what it does to it."""
        visit = _visit.get()
        if visit is None or visit[0] is not self or visit[1] not in self.visiting or visit[1] in self._held:
            self._mixed = self._loose = True  # what it does must not be taken back with a visit
        elif visit[1] not in self.inside:
            if self.inside:
                self._mixed = True
            else:
                self._mixed = False
                self._before = self._text() if self.seeding or self._loose else self._saved
            self.inside.add(visit[1])
        return self.values

    def replace(self, values: dict[str, Any]) -> None:
        """Another content for the same dict."""
        if not isinstance(values, dict):
            raise CallbackError(f"{self.owner}.state is a dict; it cannot be a {type(values).__name__}")
        values = dict(values)
        kept = self.touch()
        kept.clear()
        kept.update(values)

    def enter(self, worker: int) -> None:
        """From now on this task works for a worker."""
        _visit.set((self, worker))

    # -- the engine's side

    def failed(self, worker: int) -> None:
        """Its callback raised: its changes are taken back, unless others may have built upon them."""
        if worker in self.inside and not self._mixed:
            self._restore(self._before)

    def ended(self) -> None:
        """A visit that touched it has ended. Raises CallbackError for what cannot be kept, which is taken back."""
        try:
            self._text()
        except CallbackError:
            self._mend()
            raise

    async def together(self, worker: int, outcome: Outcome, commit: Commit) -> None:
        """The visit's outcome to the writer, with the snapshot: as soon as no other visit is in the middle.

        ``commit`` gets all that waited, at once.
        """
        self.inside.discard(worker)
        if self._spoilt:  # it is given back, like those that were cut short
            raise asyncio.CancelledError
        self._held[worker] = outcome
        if not self.inside:
            self._release(commit)
            return
        if self._released is None:
            self._released = asyncio.get_running_loop().create_future()
        try:
            await asyncio.shield(self._released)
        except asyncio.CancelledError:
            self.abandon(worker)
            raise

    def left(self, worker: int, commit: Commit) -> None:
        """The visit came to nothing that is committed, and will be made again."""
        self.inside.discard(worker)
        if not self.inside and self._held:
            self._release(commit)

    def abandon(self, worker: int) -> None:
        """The crawl ends in the middle of a visit. If that touched the state, what it did cannot be told from what the
        others did that wait for it, so none of these is committed; they are given back, too."""
        if worker not in self.inside and worker not in self._held:
            return
        self.inside.discard(worker)
        self._held.pop(worker, None)
        self._spoilt = True
        released, self._released = self._released, None
        if released is not None:  # whoever waits may have been past its own cancellation
            released.cancel()

    def note(self) -> Note | None:
        """What is to be kept now; None when that is kept already, or a visit is in the middle. Raises CallbackError."""
        if self.inside or self._spoilt:
            return None
        text, self._loose = self._text(), False
        if text == self._saved:
            return None
        self._saved = text
        return Note(KIND, "", text, math.inf)

    def ended_with_the_crawl(self) -> None:
        """Raises CallbackError when it was changed after the database was closed: by ``closed()``."""
        if not self._spoilt and self._text() != self._saved:
            raise CallbackError(
                f"{self.owner}.closed() changed {self.owner}.state, which is kept no more: the database is closed by "
                "then; change it in a callback, in start(), or in close() of a step"
            )

    def _release(self, commit: Commit) -> None:
        held, self._held = list(self._held.items()), {}
        released, self._released = self._released, None
        commit(held, self.note())
        if released is not None:
            released.set_result(None)

    # -- text

    def load(self, text: str) -> None:
        """What was kept, in place of what is there."""
        self._restore(text)
        self._saved = text

    def _restore(self, text: str) -> None:
        self.values.clear()
        self.values.update(msgspec.json.decode(text))

    def _text(self) -> str:
        """As JSON. Raises CallbackError for what would not come back as it is, and for too much of it."""
        try:
            data = _encode(self.values)
            same = msgspec.json.decode(data) == self.values
        except Exception as error:  # of an object that msgspec does not know, or that nests in itself
            raise self._flaw(str(error)) from error
        if not same:
            raise self._flaw("it would not come back the same")
        if len(data) > self.most:
            raise CallbackError(
                f"{self.owner}.state has {len(data):,} bytes of JSON, more than max_item_size ({self.most:,}); "
                "it is written with every page that changes it, so keep large things in items"
            )
        return data.decode()

    def _flaw(self, why: str) -> CallbackError:
        name = next((key for key, value in self.values.items() if not _comes_back({key: value})), None)
        where = self.owner + (f".state[{name!r}]" if name is not None else ".state")
        shown = repr(self.values if name is None else self.values[name])[:60]
        return CallbackError(
            f"{where} is not JSON ({shown}): {why}; keep text, numbers, lists and dicts with text keys"
        )

    def _mend(self) -> None:
        """Take back what cannot be kept: all of a visit that was alone, else the keys that are at fault."""
        if not self._mixed:
            self._restore(self._before)
            return
        saved = msgspec.json.decode(self._saved)
        for key in [key for key, value in self.values.items() if not _comes_back({key: value})]:
            del self.values[key]
            if key in saved:
                self.values[key] = saved[key]
        try:
            self._text()
        except CallbackError:  # too large, then
            self._restore(self._saved)


def _comes_back(value: dict[Any, Any]) -> bool:
    try:
        return bool(msgspec.json.decode(_encode(value)) == value)
    except Exception:  # of the encoder, or of an object's own ==
        return False


def take_back() -> None:
    """What the visit of this task has done to the state so far: the spider's code failed."""
    if (visit := _visit.get()) is not None:
        visit[0].failed(visit[1])


def state_of(spider: Any) -> State:
    """The State of a spider, made when it is first asked for."""
    found: State | None = spider.__dict__.get(_ATTRIBUTE)
    if found is None:
        found = spider.__dict__[_ATTRIBUTE] = State()
        found.owner = spider.name
    return found


async def load_state(spider: Any, store: Store, now: float) -> None:
    """The spider's state as its database has it; what ``__init__`` put there stays when that has none."""
    before = state_of(spider)
    state = spider.__dict__[_ATTRIBUTE] = State()
    state.owner, state.values, state._loose = before.owner, before.values, True
    kept = (await store.notes(KIND, now)).get("")
    if kept is not None and kept.value is not None:
        state.load(kept.value)


async def save_state(state: State, store: Store) -> None:
    """What has changed since the last commit, as in ``close()`` of a step. Raises CallbackError, StoreError."""
    if (note := state.note()) is not None:
        await store.save_notes([note])
