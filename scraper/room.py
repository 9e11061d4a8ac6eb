"""Room: bytes of memory that many bodies share while they come in."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Room:
    """``size`` bytes for all places together.

    Whoever wants more than is left waits, except the place that is the oldest: it may always grow, so one of them
    comes to its end whatever the others hold, and no more than ``size`` and one whole body is ever held.
    """

    def __init__(self, size: int) -> None:
        self.left = size
        self._places: dict[Place, None] = {}  # oldest first
        self._waiting: list[asyncio.Future[None]] = []

    def place(self) -> Place:
        """A ``with`` block around one body."""
        return Place(self)

    def enter(self, place: Place) -> None:
        self._places[place] = None

    def leave(self, place: Place) -> None:
        del self._places[place]
        self.left += place.held
        self._wake()

    def may_grow(self, place: Place, size: int) -> bool:
        return size <= self.left or next(iter(self._places)) is place

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

    __slots__ = ("_room", "held")

    def __init__(self, room: Room) -> None:
        self._room = room
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
        self._room.left -= size
        self.held += size
