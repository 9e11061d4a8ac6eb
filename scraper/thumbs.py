"""Thumbnails: small JPEGs of an image, made by Pillow (the extra ``images``). Call it from a thread.

An image is what a stranger sends. Only formats of the web are read (others may start programs or parse for ever), what
would unfold to more pixels than Pillow allows is not unfolded, and whatever else is wrong with it is an ImageError.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from scraper.download import FileWriter
from scraper.errors import FileRefused
from scraper.extra import need

FORMATS = frozenset(("JPEG", "MPO", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF", "ICO"))
QUALITY = 85
DEFAULT_PIXELS = 89_478_485
"""Pillow's own limit, where somebody has taken it away: a quarter of a gigabyte of pixels."""


class ImageError(Exception):
    """An image that cannot be read, in words."""


def measure(path: Path, url: str) -> tuple[int, int]:
    """Width and height in pixels, as it is looked at. Raises FileRefused for what is no image."""
    try:
        with _opened(path) as image, _read():
            width, height = image.size
            turned = image.getexif().get(0x0112) in (5, 6, 7, 8)
    except ImageError as error:
        raise FileRefused(f"{url} is no image that can be read: {error}", reason="no image") from error
    return (height, width) if turned else (width, height)


def make_thumbs(root: Path, path: str, place: str, wanted: Mapping[str, list[int]]) -> dict[str, dict[str, Any]]:
    """Thumbnails of the image ``path`` below ``root``, in the folder ``place``/thumbs/<name>.

    Each fits into its box and is never larger than the image; it is turned as its EXIF says, its first frame if it is
    animated, on white if it is transparent. Returns path, width, height and box by name.

    Raises ImageError when there is nothing to make them of; FileError and DownloadError as FileWriter does.
    """
    pillow, ops = need("PIL.Image", "images", "thumbs"), need("PIL.ImageOps", "images", "thumbs")
    name = Path(path).name.partition(".")[0]
    made: dict[str, dict[str, Any]] = {}
    with _opened(root / path) as image, _read():
        image.draft("RGB", (max(box[0] for box in wanted.values()), max(box[1] for box in wanted.values())))
        ops.exif_transpose(image, in_place=True)
        plain = _unfolded(image)
    for each, box in wanted.items():
        scale = min(1.0, box[0] / plain.width, box[1] / plain.height)
        size = max(1, round(plain.width * scale)), max(1, round(plain.height * scale))
        small = _on_white(pillow, plain.resize(size, reducing_gap=2.0))
        out = BytesIO()
        small.save(out, "JPEG", quality=QUALITY)
        at = f"{place}/thumbs/{each}/{name}.jpg"
        writer = FileWriter(root)
        try:
            writer.write(out.getvalue())
            writer.keep(at)
        except BaseException:
            writer.drop()
            raise
        made[each] = {"path": at, "width": small.width, "height": small.height, "box": list(box)}
    return made


def are_made(root: Path, made: Mapping[str, dict[str, Any]], wanted: Mapping[str, list[int]]) -> bool:
    """Whether every thumbnail that is wanted is there, in the size that is wanted."""
    return all(
        name in made and made[name].get("box") == list(box) and (root / made[name]["path"]).is_file()
        for name, box in wanted.items()
    )


def _opened(path: Path) -> Any:
    """The image, of which only the head is read. Raises ImageError for what would be too large in memory."""
    pillow = need("PIL.Image", "images", "thumbs")
    pillow.init()
    most = pillow.MAX_IMAGE_PIXELS or DEFAULT_PIXELS
    # What is wrong is said below, and as an error. (Set each time: to set it back is not safe among threads.)
    warnings.filterwarnings("ignore", category=pillow.DecompressionBombWarning)
    warnings.filterwarnings("ignore", module=r"PIL\.")
    with _read():
        image = pillow.open(path, formats=tuple(FORMATS & pillow.OPEN.keys()))
    width, height = image.size
    if width * height > most:
        image.close()
        raise ImageError(f"{width} x {height} pixels; {_too_many(most)}")
    return image


@contextmanager
def _read() -> Iterator[None]:
    """Whatever a decoder raises for a stranger's bytes is an ImageError: each has errors of its own."""
    pillow = need("PIL.Image", "images", "thumbs")
    try:
        yield
    except pillow.DecompressionBombError as error:
        raise ImageError(_too_many(pillow.MAX_IMAGE_PIXELS or DEFAULT_PIXELS)) from error
    except Exception as error:
        raise ImageError(_words(error)) from error


def _too_many(most: int) -> str:
    return f"more than the {most:,} pixels that one image may unfold to (a decompression bomb?)"


def _unfolded(image: Any) -> Any:
    """In the form in which it is made smaller: RGB, or RGBA if it is transparent; a copy only where it is neither."""
    see_through = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    mode = "RGBA" if see_through else "RGB"
    if image.mode == mode:
        image.load()
        return image
    return image.convert(mode)


def _on_white(pillow: Any, image: Any) -> Any:
    """As JPEG has it: RGB, nothing transparent."""
    if image.mode == "RGB":
        return image
    white = pillow.new("RGBA", image.size, (255, 255, 255, 255))
    white.alpha_composite(image)
    return white.convert("RGB")


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]
