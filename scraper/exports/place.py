"""Where a file comes to lie: it appears whole or not at all, wherever that is."""

from __future__ import annotations

import gzip
import os
import select
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from scraper.errors import ExportError, OutputError
from scraper.exports.target import Target, filesystem

try:
    import fcntl
except ImportError:  # Windows: nobody is told of a second export to the same file, and the last one wins
    fcntl = None  # type: ignore[assignment]

STEP = 1 << 20
"""Bytes that are copied or uploaded at a time."""


@contextmanager
def place(target: Target, made: bool = False) -> Iterator[Place]:
    """Open a target whose placeholders are filled in. What was written counts when the block ends well.

    ``made``: the name of a folder had a placeholder, so the folder is made.
    Raises OutputError while another export writes it, ExportError when it cannot be written; what was there before
    stays then.
    """
    try:
        if target.stdout:
            with Place(Stdout(), target) as opened:
                yield opened
        elif target.remote:
            with tempfile.TemporaryFile() as file:
                with Place(file, target) as opened:
                    yield opened
                _upload(target, file)
        else:
            if made:
                Path(target.path).absolute().parent.mkdir(parents=True, exist_ok=True)
            with _local(target) as (part, path), Place(part, target, path) as opened:
                yield opened
    except OSError as error:
        if target.stdout and isinstance(error, BrokenPipeError):
            raise
        raise ExportError(f"cannot write {target.name}: {error}; the items are safe in the database") from error


class Place:
    """An open target: ``file`` takes bytes, coded on their way; ``path`` is a file of its own that may be written
    instead, if there is one."""

    def __init__(self, raw: Any, target: Target, path: str | None = None) -> None:
        self._raw = raw
        self._coder: Any = None
        if target.coding == "gzip":
            # No name and no date in its head: the same items make the same file.
            self._coder = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=raw, mtime=0)
        elif target.coding == "zstd":
            self._coder = _zstd().ZstdFile(raw, "wb")
        self._gathered = _Gathered(self._coder) if self._coder is not None else None
        self.file: Any = self._gathered or raw
        self.path = path if self._coder is None else None

    def __enter__(self) -> Place:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            if self._gathered is not None:
                self._gathered.flush()
                self._coder.close()
            self._raw.flush()
        elif self._coder is not None:
            _abandon(self._coder)


class _Gathered:
    """Small writes become large ones: a coder takes longer over many."""

    def __init__(self, coder: Any) -> None:
        self._coder = coder
        self._held: list[bytes] = []
        self._size = 0

    def write(self, data: bytes) -> int:
        self._held.append(data)
        self._size += len(data)
        if self._size >= STEP // 8:
            self.flush()
        return len(data)

    def flush(self) -> None:
        data = b"".join(self._held)
        self._held.clear()
        self._size = 0
        self._coder.write(data)


def _abandon(coder: Any) -> None:
    """Close what is thrown away. Its last bytes may not find room either; that error would hide the first."""
    try:
        coder.close()
    except (OSError, ValueError):
        return


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


@contextmanager
def _local(target: Target) -> Iterator[tuple[IO[bytes], str | None]]:
    """A file beside the place it is for, renamed at the end. A device or a pipe is written as it is.

    The name of the file beside it is always the same, so that what a killed export left is written over by the next
    one; a lock of the operating system keeps two at a time apart.
    """
    path = Path(os.path.realpath(target.path))  # through a link, so that the link stays
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        with path.open("wb") as device:
            yield device, None
        return
    part = path.with_name(f".{path.name}.part")
    file = _alone(part, target, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666)
    try:
        with file:
            yield file, str(part)
            file.flush()
            os.fsync(file.fileno())  # a rename may reach the disk before what it names
            part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _alone(part: Path, target: Target, mode: int) -> IO[bytes]:
    """The file beside, empty, and locked where that can be done. Raises OutputError when another export has it.

    ``mode``: who may read it, which is who might read what it takes the place of. In a folder of all people somebody
    may have put a link of that name, which is not followed.
    """

    def creating(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), mode)

    while True:
        file = open(part, "r+b", opener=creating)  # noqa: SIM115 - it is the caller's to close
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.close()
                raise OutputError(f"cannot write {target.name}: another export is writing it") from None
            except OSError:  # a file system without locks
                pass
        if _is(file, part):
            file.truncate(0)
            return file
        file.close()  # renamed between our opening and our lock: it is the other's file now


def _is(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _upload(target: Target, file: IO[bytes]) -> None:
    """Send a finished file in one transaction of its file system: all of it is there at the end, or nothing."""
    system, path = filesystem(target)
    file.seek(0)
    try:
        with system.transaction, system.open(path, "wb") as remote:
            while chunk := file.read(STEP):
                remote.write(chunk)
    except Exception as error:  # each file system has errors of its own
        words = str(error) or type(error).__name__
        raise ExportError(f"cannot write {target.name}: {words}; the items are safe in the database") from error


class Stdout:
    """What goes to stdout, as bytes. Nothing is left in a buffer that a broken pipe would complain of at the exit."""

    def __init__(self) -> None:
        sys.stdout.flush()
        buffer = sys.stdout.buffer
        self._raw: Any = getattr(buffer, "raw", buffer)
        self._held = bytearray()

    def write(self, data: Any) -> int:
        self._held += data
        if len(self._held) >= 1 << 16:
            self.flush()
        return len(data)

    def flush(self) -> None:
        held = memoryview(bytes(self._held))
        self._held.clear()
        while held:
            sent = self._raw.write(held)
            if sent is None:  # whoever started us has made the pipe one that does not wait; so we wait
                select.select([], [self._raw], [])
            held = held[sent or 0 :]
        self._raw.flush()
