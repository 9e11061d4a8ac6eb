"""Marks: which pages are being read at this moment, in a file that outlives the process.

A page may kill the process that reads it (a parser in C, a callback that runs out of memory), and a page that was not
finished is due again at the next start. So the engine says what it reads, and the next owner finds it here.
The marks are shared memory over a small file: a mark costs no system call, and a ``kill -9`` does not undo it.
"""

from __future__ import annotations

import mmap
from contextlib import suppress
from pathlib import Path

PLACES = 512


class Marks:
    """Numbers by place; 0 is none. Raises OSError when the file cannot be written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with path.open("a+b") as file:
            file.seek(0)
            before = file.read(8 * PLACES)
            # Written out, for a hole in a file on a full disk would be a fatal signal at the first mark.
            file.write(bytes(8 * PLACES - len(before)))
            file.flush()
            self._map = mmap.mmap(file.fileno(), 8 * PLACES)
        self._places = memoryview(self._map).cast("q")

    def __setitem__(self, place: int, number: int) -> None:
        self._places[place % PLACES] = number

    def left(self) -> list[int]:
        """The numbers that are marked: at the start, those that the owner before left behind."""
        return sorted({number for number in self._places if number})

    def clear(self) -> None:
        self._map[:] = bytes(8 * PLACES)

    def close(self, keep: bool = False) -> None:
        """The end of an owner that is alive: there is nothing to remember, unless ``keep``."""
        self._places.release()
        self._map.close()
        if not keep:
            with suppress(FileNotFoundError):
                self._path.unlink()
