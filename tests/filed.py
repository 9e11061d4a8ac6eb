"""What the tests of downloads have in common: images, a crawl of a local site, its files and rows."""

from __future__ import annotations

import hashlib
import io
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

import scraper
from scraper import CrawlReport, Response, Spider
from scraper.testing import LocalSite

Parse = Callable[[Any, Response], Any]


def image(width: int = 60, height: int = 40, colour: Any = (200, 30, 30), form: str = "PNG", **options: Any) -> bytes:
    """An image of one colour."""
    out = io.BytesIO()
    mode = "RGBA" if isinstance(colour, tuple) and len(colour) == 4 else "RGB"
    Image.new(mode, (width, height), colour).save(out, form, **options)
    return out.getvalue()


def sha(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def place(body: bytes, ending: str, into: str = "images") -> str:
    """Where a file belongs below the folder of files."""
    return f"gallery/{into}/{sha(body)[:2]}/{sha(body)}{ending}"


class Gallery:
    """A site, and crawls of it by a spider that begins at ``/`` and has this ``parse``."""

    def __init__(self, folder: Path, site: LocalSite) -> None:
        self.folder = folder
        self.site = site
        self.database = folder / "gallery.db"
        self.root = folder / "files"

    async def crawl(self, parse: Parse, methods: dict[str, Any] | None = None, **options: Any) -> CrawlReport:
        spider = type("Gallery", (Spider,), {"parse": parse, "start_urls": (self.site.url("/"),), **(methods or {})})
        options = {"db": self.database, "obey_robots": False, "files": str(self.root), **options}
        return await scraper.crawl(spider, **options)

    def files(self) -> dict[str, bytes]:
        """Everything on the disk, half or whole."""
        found = (path for path in self.root.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): path.read_bytes() for path in found}

    def rows(self, query: str) -> list[Any]:
        """The answers of the database; of one column, its values."""
        db = sqlite3.connect(self.database)
        found = db.execute(query).fetchall()
        db.commit()
        db.close()
        return [row[0] for row in found] if found and len(found[0]) == 1 else found

    def linked(self) -> list[tuple[str, str, str, str | None]]:
        """(key of the item, field, path of the download's URL, path of the file)."""
        query = "select key, field, url, path from files_of_items order by key, position"
        return [(key, field, url[len(self.site.url("")) :], path) for key, field, url, path in self.rows(query)]
