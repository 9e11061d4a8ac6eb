"""Thumbnails, and what strangers send in the place of an image."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from filed import Gallery, image, place, sha
from PIL import Image, features
from test_media import PNG, gets

from scraper import Download, MissingExtra
from scraper.errors import FileError, FileRefused
from scraper.filename import PARTIAL
from scraper.testing import LocalSite
from scraper.thumbs import ImageError, make_thumbs, measure

BOXES = {"small": (10, 10), "wide": (40, 10)}
WANTED = {name: list(box) for name, box in BOXES.items()}


@pytest.fixture
async def gallery(tmp_path: Path) -> AsyncIterator[Gallery]:
    async with LocalSite({"/": "<p>", "/x": (200, image(), PNG)}) as site:
        yield Gallery(tmp_path, site)


def thumb(body: bytes, name: str) -> str:
    return f"gallery/images/thumbs/{name}/{sha(body)}.jpg"


def opened(body: bytes) -> Any:
    found = Image.open(io.BytesIO(body))
    found.load()
    return found


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few hundred bytes that says it is huge."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def rotated() -> bytes:
    """A JPEG of 60 x 40, red on its left, that its EXIF turns by 90 degrees clockwise."""
    picture = Image.new("RGB", (60, 40), (0, 0, 255))
    picture.paste((255, 0, 0), (0, 0, 20, 40))
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    picture.save(out, "JPEG", exif=exif, quality=95)
    return out.getvalue()


def animated() -> bytes:
    frames = [Image.new("RGB", (30, 30), (shade, 0, 0)) for shade in (250, 120, 10)]
    out = io.BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:], duration=50)
    return out.getvalue()


def made(tmp_path: Path, body: bytes, wanted: dict[str, list[int]] = WANTED) -> dict[str, Any]:
    """The thumbnails of an image, as images by name."""
    (tmp_path / "x.bin").write_bytes(body)
    found = make_thumbs(tmp_path, "x.bin", "place", wanted)
    for each in found.values():
        each["image"] = opened((tmp_path / each["path"]).read_bytes())
        assert each["image"].size == (each["width"], each["height"])
        assert (each["image"].format, each["image"].mode) == ("JPEG", "RGB")
    return found


def near(pixel: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return all(abs(a - b) < 40 for a, b in zip(pixel, wanted, strict=True))


# -- one image


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_an_image_fits_into_its_boxes(form: str, tmp_path: Path) -> None:
    found = made(tmp_path, image(60, 40, form=form))
    assert {name: (each["width"], each["height"]) for name, each in found.items()} == {
        "small": (10, 7),
        "wide": (15, 10),
    }
    assert found["small"]["path"] == "place/thumbs/small/x.jpg"
    assert found["small"]["box"] == [10, 10]


def test_a_small_image_stays_as_small_as_it_is(tmp_path: Path) -> None:
    assert made(tmp_path, image(6, 4))["small"]["image"].size == (6, 4)


def test_a_camera_that_was_turned_makes_no_lying_thumbnails(tmp_path: Path) -> None:
    small = made(tmp_path, rotated(), {"a": [30, 30]})["a"]["image"]
    assert small.size == (20, 30)
    assert near(small.getpixel((10, 4)), (255, 0, 0))
    assert near(small.getpixel((10, 26)), (0, 0, 255))


def test_what_is_transparent_is_on_white(tmp_path: Path) -> None:
    small = made(tmp_path, image(colour=(255, 0, 0, 0)))["small"]["image"]
    assert near(small.getpixel((3, 3)), (255, 255, 255))


def test_of_an_animation_the_first_frame_is_shown(tmp_path: Path) -> None:
    small = made(tmp_path, animated())["small"]["image"]
    assert near(small.getpixel((3, 3)), (250, 0, 0))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "cannot identify"),
        (b"<html>", "cannot identify"),
        (b"\xff\xd8\xff\xe0 and no more", "Truncated"),
        (image(200, 200, form="JPEG")[:700], "truncated"),
        (image(500, 500)[:-60], "truncated|broken"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n", "cannot identify"),
        (bomb(30_000, 30_000), "decompression bomb"),
        (bomb(10_000, 9_500), "10000 x 9500 pixels; more than"),
    ],
    ids=["empty", "html", "head", "cut jpeg", "cut png", "postscript", "bomb", "large"],
)
def test_what_is_broken_is_an_error_and_no_crash(body: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(body)
    with pytest.raises(ImageError, match=words):
        make_thumbs(tmp_path, "x.bin", "place", WANTED)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["x.bin"]


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow reads no AVIF")
def test_whatever_a_decoder_raises_is_the_images_fault(tmp_path: Path) -> None:
    body = image(60, 40, form="AVIF").replace(b"pitm", b"pitx")  # a RuntimeError of libavif
    with pytest.raises(ImageError, match="RuntimeError"):
        made(tmp_path, body)
    with pytest.raises(FileRefused, match="is no image that can be read"):
        measure(tmp_path / "x.bin", "http://h/x")


def test_an_image_is_measured_as_it_is_looked_at(tmp_path: Path) -> None:
    file = tmp_path / "x"
    for body, size in ((rotated(), (40, 60)), (image(60, 40), (60, 40))):
        file.write_bytes(body)
        assert measure(file, "http://a.test/") == size
    for body in (b"<html>", bomb(30_000, 30_000)):
        file.write_bytes(body)
        with pytest.raises(FileRefused, match=r"http://a\.test/ is no image"):
            measure(file, "http://a.test/")


def test_without_pillow_the_line_that_asks_for_thumbnails_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    for arguments in ({"thumbs": BOXES}, {"min_size": (1, 1)}):
        with pytest.raises(MissingExtra, match=r"pip install 'scraper\[images\]'"):
            Download("http://a.test/", **arguments)  # type: ignore[arg-type]
    Download("http://a.test/", into="x", types=["image/*"])


# -- in a crawl


async def test_thumbnails_lie_beside_the_images_and_are_in_their_rows(gallery: Gallery) -> None:
    await gallery.crawl(gets("/x", thumbs=BOXES))
    body = image()
    assert set(gallery.files()) == {place(body, ".png"), thumb(body, "small"), thumb(body, "wide")}
    query = "select json_extract(thumbs, '$.wide.path'), json_extract(thumbs, '$.wide.width') from files_of_items"
    assert gallery.rows(query) == [(thumb(body, "wide"), 15)]


async def test_thumbnails_that_are_missing_or_new_are_made_of_the_file_that_is_there(gallery: Gallery) -> None:
    body = image()
    await gallery.crawl(gets("/x", again="never"))
    await gallery.crawl(gets("/x", again="never", thumbs={"small": (10, 10)}))
    assert opened(gallery.files()[thumb(body, "small")]).size == (10, 7)
    (gallery.root / thumb(body, "small")).unlink()
    await gallery.crawl(gets("/x", again="never", thumbs={"small": (10, 10)}))
    assert opened(gallery.files()[thumb(body, "small")]).size == (10, 7)
    await gallery.crawl(gets("/x", again="never", thumbs={"small": (20, 20)}))
    assert opened(gallery.files()[thumb(body, "small")]).size == (20, 13)
    assert gallery.site.requests["/x"] == 1


@pytest.mark.parametrize(
    ("body", "words"),
    [(bomb(30_000, 30_000), "decompression bomb"), (image(500, 500)[:-60], "no thumbnails: ")],
    ids=["bomb", "cut"],
)
async def test_an_image_that_cannot_be_read_is_kept_and_its_row_says_why_it_has_none(
    gallery: Gallery, body: bytes, words: str
) -> None:
    gallery.site.pages["/x"] = (200, body, PNG)
    report = await gallery.crawl(gets("/x", thumbs=BOXES))
    assert (report.counts.dead, report.counts.files) == (0, {"fetched": 1})
    assert gallery.files() == {place(body, ".png"): body}
    (flaw,) = gallery.rows("select flaw from files_of_items")
    assert words in flaw


async def test_a_disk_that_takes_no_thumbnails_stops_the_crawl_and_the_next_one_makes_them(gallery: Gallery) -> None:
    await gallery.crawl(gets("/x", again="never"))
    partial = gallery.root / PARTIAL
    partial.rmdir()
    partial.symlink_to("/proc/nowhere")
    with pytest.raises(FileError, match="the same command goes on"):
        await gallery.crawl(gets("/x", again="never", thumbs=BOXES))
    partial.unlink()
    report = await gallery.crawl(gets("/x", again="never", thumbs=BOXES))
    assert (report.resumed, report.totals.dead, report.counts.files) == (True, 0, {"kept": 1})
    assert thumb(image(), "wide") in gallery.files()


async def test_small_images_are_passed_over_and_what_is_none_is_dead(gallery: Gallery) -> None:
    gallery.site.pages |= {
        "/exact": (200, image(50, 30), PNG),
        "/narrow": (200, image(49, 30), PNG),
        "/low": (200, image(50, 29), PNG),
        "/none": (200, b"x" * 100, PNG),
    }
    report = await gallery.crawl(gets("/exact", "/narrow", "/low", "/none", min_size=(50, 30)))
    assert (report.counts.reasons, report.counts.files) == ({"no image": 1}, {"fetched": 1, "refused": 2})
    assert gallery.files() == {place(image(50, 30), ".png"): image(50, 30)}
    query = "select state, reason, flaw like '%49 x 30 pixels, less than 50 x 30' from files_of_items where key = '1.1'"
    assert gallery.rows(query) == [("done", "too small", 1)]
