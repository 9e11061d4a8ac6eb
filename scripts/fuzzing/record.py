"""What a fuzzing process is doing, in a file that outlives it: which target it feeds, what with, since when.

The file is mapped into memory, so that even a process killed by a signal leaves its last input behind, and writing it
costs no system call.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

LONGEST = 32 * 1024 * 1024
"""Bytes of the longest input that is kept."""
_HEAD = struct.Struct("<QIIQ")  # inputs begun, target, busy, length


class Record:
    """``begin`` and ``end`` are the child's, the rest is read by the one that watches it."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            with path.open("wb") as file:
                file.truncate(_HEAD.size + LONGEST)  # sparse: only what is written takes room
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        self.count = self._head()[0]

    def _head(self) -> tuple[int, int, int, int]:
        count, target, busy, length = _HEAD.unpack_from(self._map)
        return count, target, busy, length

    def begin(self, target: int, data: bytes) -> None:
        data = data[:LONGEST]
        self._map[_HEAD.size : _HEAD.size + len(data)] = data
        self.count += 1
        _HEAD.pack_into(self._map, 0, self.count, target, 1, len(data))

    def end(self) -> None:
        count, target, _, length = self._head()
        _HEAD.pack_into(self._map, 0, count, target, 0, length)

    @property
    def begun(self) -> int:
        """Inputs begun since the file was made."""
        return self._head()[0]

    @property
    def target(self) -> int:
        return self._head()[1]

    @property
    def busy(self) -> bool:
        return bool(self._head()[2])

    @property
    def data(self) -> bytes:
        """The last input that was begun."""
        length = self._head()[3]
        return self._map[_HEAD.size : _HEAD.size + length]
