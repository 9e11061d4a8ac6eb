"""A body on its way into a file: written beside, checked, then put in place at once.

What is not whole lies in one folder (``.partial``) and is locked while its writer lives, so that the next crawl can
tell what a kill left behind from what another crawl is writing, and finds it without walking through all files.
Everything here may take as long as a disk does: call it from a thread.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from contextlib import suppress
from io import BufferedWriter
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from scraper.content import SNIFFED
from scraper.errors import DownloadError, FileError
from scraper.filename import PARTIAL
from scraper.log import Logger

try:
    import fcntl
except ImportError:  # Windows, which keeps an open file from being removed by itself
    fcntl = None  # type: ignore[assignment]

log = Logger("scraper.download")

ITS_NAME = frozenset((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.EILSEQ))
"""What is wrong with one name; any other error would meet every file."""


class Kept(NamedTuple):
    """A file that is whole and in its place: its size in bytes and the SHA-256 of what is in it, in hex."""

    path: Path
    size: int
    sha256: str


class FileWriter:
    """One file being written below ``folder``: ``write`` its pieces, then ``keep`` it under a name or ``drop`` it.

    The name is only needed at the end, so it may be made of what was written. Methods may be called from any thread;
    after ``keep`` or ``drop`` they do nothing.

    Raises:
        FileError: the disk is full, the folder cannot be written and the like: nothing can be kept there.
        DownloadError: this one name cannot be had.
    """

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._lock = Lock()  # a writer that is cancelled leaves a thread behind that still writes
        self._file: BufferedWriter | None = None
        self._partial = Path()
        self._over = False
        self._sum = hashlib.sha256()
        self.size = 0
        self.head = b""
        """How it begins: as many bytes as tell what it is."""

    def write(self, data: bytes) -> None:
        """Add to it."""
        with self._lock:
            if self._over:
                return
            try:
                self._open().write(data)
            except OSError as error:
                raise _no_room(error, self._folder) from error
            self._sum.update(data)
            self.size += len(data)
            if len(self.head) < SNIFFED:
                self.head += data[: SNIFFED - len(self.head)]

    @property
    def sha256(self) -> str:
        """Of what was written so far, in hex."""
        return self._sum.hexdigest()

    def so_far(self) -> Path:
        """The file that holds what was written so far, to be read."""
        with self._lock:
            try:
                self._open().flush()
            except OSError as error:
                raise _no_room(error, self._folder) from error
            return self._partial

    def keep(self, name: str) -> Kept:
        """Put it in place, over an older file of that name; it is on the disk when this returns.

        ``name`` has passed `scraper.filename.flaw_of`. Folders in it are made; a symbolic link is not followed.
        """
        with self._lock:
            path = self._folder / name
            if self._over:
                raise DownloadError(f"{path} was given up before it was whole")
            try:
                file = self._open()
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise _no_room(error, self._folder) from error
            try:
                self._make_folders(path)
                os.replace(self._partial, path)
                self._over = True
                file.close()
                _settle(path.parent)
            except OSError as error:
                if error.errno in ITS_NAME:
                    raise DownloadError(f"cannot write {path}: {error.strerror}; choose another name for it") from error
                raise _no_room(error, self._folder) from error
            return Kept(path, self.size, self._sum.hexdigest())

    def drop(self) -> None:
        """Leave nothing of it."""
        with self._lock:
            if self._over:
                return
            self._over = True
            if self._file is None:
                return
            with suppress(OSError):  # what it still holds back is not wanted
                self._file.close()
            try:
                self._partial.unlink()
            except OSError as error:
                log.warning("partial_left", file=str(self._partial), error=str(error))

    def _open(self) -> BufferedWriter:
        if self._file is not None:
            return self._file
        folder = self._folder / PARTIAL
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            self._partial = folder / secrets.token_hex(8)
            file = open(self._partial, "xb")  # noqa: SIM115 (keep and drop close it)
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not os.fstat(file.fileno()).st_nlink:  # swept away between the two
                    file.close()
                    continue
            self._file = file
            return file

    def _make_folders(self, path: Path) -> None:
        at = self._folder
        for part in path.relative_to(self._folder).parts[:-1]:
            at /= part
            with suppress(FileExistsError):
                at.mkdir()
            if at.is_symlink():
                raise OSError(errno.ELOOP, "is a symbolic link, which may lead anywhere", str(at))


def sweep(folder: str | Path) -> int:
    """Remove what a killed crawl left half written, and nothing that is being written. Returns how many."""
    swept = 0
    try:
        found = list(os.scandir(Path(folder) / PARTIAL))
    except OSError:  # no folder: the rule
        return 0
    for entry in found:
        try:
            if fcntl is None:
                os.unlink(entry.path)
            else:
                with open(entry.path, "r+b") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(entry.path)
            swept += 1
        except (BlockingIOError, FileNotFoundError):
            continue  # another crawl is at it
        except OSError as error:
            log.warning("partial_left", file=entry.path, error=str(error))
    return swept


def _no_room(error: OSError, folder: Path) -> FileError:
    return FileError(
        f"cannot write files below {folder}: {error.strerror or error}; make room there or mend the folder, and the "
        "same command goes on"
    )


def _settle(folder: Path) -> None:
    """Make sure that a new name in a folder outlives a power cut."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
