"""What a LinkExtractor is told, checked when it is made: patterns, domains, names, endings; and ``srcset``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from scraper.errors import SpiderError
from scraper.url import domain_of

Pattern = str | re.Pattern[str]

NOT_PAGES = frozenset(
    """
    7z apk bin br bz2 cab deb dmg exe gz img iso jar lz4 msi msp rar rpm tar tbz tgz torrent xz zip zst
    avif bmp cdr dxf eps gif heic heif ico jfif jpeg jpg jxl png psd svg tif tiff webp
    3gp aac aif aiff asf asx avi flac flv m3u m3u8 m4a m4v mid midi mkv mov mp3 mp4 mpeg mpg oga ogg ogv opus swf wav
    webm wma wmv
    doc docb docm docx dot dotm dotx epub mobi odg odp ods odt pdf potm potx pps ppsx ppt pptm pptx rtf xls xlsb xlsm
    xlsx xltm xltx
    atom css eot js map mjs otf rss ttf wasm woff woff2
    """.split()
)
"""Endings of paths that are no pages: archives and programs, pictures, sound and film, documents, what pages load.

Left out on purpose are endings of names that stand in paths as well (``/site/example.ai``: ai, ps, py, rs, sh), and
data that spiders read (json, xml, csv, txt).
"""

_NAME = re.compile(r"\*|[\w:.-]+")
_CANDIDATE = re.compile(r"[\s,]*([^\s,]\S*)((?:\([^)]*(?:\)|\Z)|[^,(])*)(?:,|\Z)")


def several(given: Any, what: str, kinds: tuple[type, ...] = (str,)) -> tuple[Any, ...]:
    """One or several, as a tuple. Raises SpiderError naming ``what`` when one is of none of the ``kinds``."""
    if given is None:
        return ()
    found = tuple(given) if isinstance(given, Iterable) and not isinstance(given, kinds) else (given,)
    for each in found:
        if not isinstance(each, kinds):
            raise SpiderError(f"{what} of LinkExtractor is text, or several of them: {each!r:.80}")
    return found


def patterns(given: Any, what: str) -> tuple[re.Pattern[str], ...]:
    """Raises SpiderError for what is no regular expression."""
    found = []
    for each in several(given, what, (str, re.Pattern)):
        try:
            found.append(re.compile(each))
        except re.error as error:
            raise SpiderError(f"{what} of LinkExtractor is no regular expression: {each!r} ({error})") from error
        if isinstance(found[-1].pattern, bytes):
            raise SpiderError(f"{what} of LinkExtractor must match text, not bytes: {each!r}")
    return tuple(found)


def domains(given: Any, what: str) -> tuple[str, ...]:
    """Raises SpiderError for what is no host name."""
    found = []
    for each in several(given, what):
        domain = domain_of(each)
        if domain is None:
            raise SpiderError(f"{what} of LinkExtractor has {each!r}; give host names, such as 'example.org'")
        found.append(domain)
    return tuple(found)


def names(given: Any, what: str) -> frozenset[str]:
    """Names of tags or attributes, in lower case. Raises SpiderError for what is no name."""
    found = frozenset(each.strip().lower() for each in several(given, what))
    for each in found:
        if not _NAME.fullmatch(each):
            raise SpiderError(f"{what} of LinkExtractor has {each!r}; give names, one or a list of them, or '*'")
    return found


def endings(given: Any) -> frozenset[str]:
    """Endings without their first dot, in lower case."""
    return frozenset(each.strip().lower().lstrip(".") for each in several(given, "deny_extensions"))


def unknown(name: str, known: Iterable[str], who: str) -> SpiderError:
    """The error for an argument that there is not."""
    if name == "strip" and who == "LinkExtractor":
        return SpiderError(
            "LinkExtractor takes no 'strip': URLs are read without the white space around them, as in browsers"
        )
    near = difflib.get_close_matches(name, known := list(known), n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"
    return SpiderError(f"{who} takes no {name!r}; {hint}")


def candidates(srcset: str) -> Iterator[str]:
    """The URLs of a ``srcset`` (HTML standard, "parse a srcset attribute"), in its order."""
    at = 0
    while (found := _CANDIDATE.match(srcset, at)) is not None:
        url, at = found[1], found.end()
        if url.endswith(","):  # no width or density: what follows is the next one
            at = found.end(1)
            url = url.rstrip(",")
        if url:
            yield url
