"""Room: bytes of memory that many bodies share while they come in."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Room:
    """``size`` bytes for all places together, ``share`` of them for those of one owner.

    Whoever wants more than is left waits, except the place that is the oldest: it may always grow, so one of them
    comes to its end whatever the others hold. The first ``first`` bytes of each place are given without asking. So no
    more than ``size``, one whole body and ``first`` for each place is ever held.
    """

    def __init__(self, size: int, first: int = 0, share: int | None = None) -> None:
        self.left = size
        self._first = first
        self._share = size if share is None else share
        self._held: dict[str, int] = {}
        """By owner; only of those who have a place that holds something."""
        self._places: dict[Place, None] = {}  # oldest first
        self._waiting: list[asyncio.Future[None]] = []

    def place(self, owner: str = "") -> Place:
        """A ``with`` block around one body of an owner."""
        return Place(self, owner)

    def enter(self, place: Place) -> None:
        self._places[place] = None

    def leave(self, place: Place) -> None:
        del self._places[place]
        self.take(place, -place.held)
        self._wake()

    def may_grow(self, place: Place, size: int) -> bool:
        if place.held + size <= self._first or next(iter(self._places)) is place:
            return True
        return size <= self.left and self._held.get(place.owner, 0) + size <= self._share

    def take(self, place: Place, size: int) -> None:
        place.held += size
        self.left -= size
        held = self._held.pop(place.owner, 0) + size
        if held:
            self._held[place.owner] = held

    async def change(self) -> None:
        """Wait until somebody leaves."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():  # one who was cancelled
                each.set_result(None)


class Place:
    """What one body holds; given back at the end of its ``with`` block."""

    __slots__ = ("_room", "held", "owner")

    def __init__(self, room: Room, owner: str) -> None:
        self._room = room
        self.owner = owner
        self.held = 0

    def __enter__(self) -> Place:
        self._room.enter(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._room.leave(self)

    async def grow(self, size: int) -> None:
        """Hold so many bytes more, when there is room for them."""
        while not self._room.may_grow(self, size):
            await self._room.change()
        self._room.take(self, size)
