"""Where a page leads: to the next one of its kind, and to the pages of each kind, by the shape of their paths."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from selectolax.lexbor import LexborNode

from scraper.drafts.selecting import selectors
from scraper.response import Response
from scraper.url import host_of

_NEXT = re.compile(
    r"next(?: page)?|older(?: posts| entries)?|more|load more|weiter|nächste(?: seite)?|suivante?|siguiente"
    r"|successiva?|próxima|далее|następna|volgende|次へ|下一页|[›»→>]{1,2}",
    re.IGNORECASE,
)
_ARROWS = " \t\n\u00a0›»→>«‹.…"
_PAGE = re.compile(r"(?:[?&](?:page|p|pg|offset|start)=|/(?:page|p)[/-])(\d+)", re.IGNORECASE)
MOST_LINKS = 2_000


def next_link(response: Response) -> str | None:
    """A selector for the link to the next page; None when there is none. It was seen to lead elsewhere on the host."""
    root = response.tree.root
    if root is None:
        return None
    for css in ("a[rel~=next]", "link[rel~=next]", "li.next a", "a.next", ".next a", ".pagination-next a"):
        if _leads_on(response, root.css(css)):
            return css
    for node in root.css("a[href]")[:MOST_LINKS]:
        words = node.text(strip=True).strip(_ARROWS) or node.text(strip=True)
        label = node.attributes.get("aria-label") or node.attributes.get("title") or ""
        if not (_NEXT.fullmatch(words) or _NEXT.fullmatch(label)) or not _leads_on(response, [node]):
            continue
        for css in selectors(node, None):
            if css != "a" and len(found := root.css(css)) == 1 and found[0].mem_id == node.mem_id:
                return css
        if _NEXT.fullmatch(label) and node.attributes.get("aria-label"):
            return f'a[aria-label="{label}"]'
    return _numbered(response, root)


def _leads_on(response: Response, nodes: Sequence[LexborNode]) -> bool:
    found = [response.resolver[each.attributes.get("href") or ""] for each in nodes[:5]]
    return any(url is not None and url != response.url and host_of(url) == host_of(response.url) for url in found)


def _numbered(response: Response, root: LexborNode) -> str | None:
    """Links to pages by their number: all of them are followed, and each is fetched once."""
    found: Counter[str] = Counter()
    for node in root.css("a[href]")[:MOST_LINKS]:
        href = node.attributes.get("href") or ""
        match = _PAGE.search(href)
        if match is not None and node.text(strip=True).isdigit() and _leads_on(response, [node]):
            found[href[match.start() : match.start(1)].lstrip("/")] += 1
    if not found:
        return None
    part, _ = found.most_common(1)[0]
    return f'a[href*="{part}"]'


# kinds of pages, by their paths


def shape(url: str) -> str:
    """The path of a URL with what differs from page to page left open: numbers, and segments that look like titles."""
    parts = urlsplit(url)
    segments = [_open(each, last) for each, last in _segments(parts.path)]
    query = "&".join(sorted(name.partition("=")[0] for name in parts.query.split("&") if name))
    return "/".join(segments) + (f"?{query}" if query else "")


def _segments(path: str) -> Iterable[tuple[str, bool]]:
    found = path.split("/")
    return ((each, number == len(found) - 1) for number, each in enumerate(found))


def _open(segment: str, last: bool) -> str:
    stem, dot, suffix = segment.rpartition(".") if last and "." in segment else (segment, "", "")
    if stem.isdigit():
        stem = r"\d+"
    elif re.fullmatch(r"(?:page|p|pg|seite|pagina)[-_]?\d+", stem, re.IGNORECASE):
        stem = re.sub(r"\d+$", r"\\d+", stem)
    elif len(stem) > 20 or re.search(r"[-_].*[-_]|\d{3,}|[-_]\d+$|%", stem):
        stem = "*"
    return f"{stem}{dot}{suffix}"


def by_shape(urls: Iterable[str], host: str) -> dict[str, list[str]]:
    """URLs of one host by the shape of their paths, those with most URLs first."""
    found: dict[str, list[str]] = defaultdict(list)
    for url in dict.fromkeys(urls):
        if host_of(url) == host:
            found[shape(url)].append(url)
    return dict(sorted(found.items(), key=lambda each: -len(each[1])))


def pattern(urls: Sequence[str]) -> str:
    """A regular expression that these URLs match from their path on, and few others: what is alike stays as it is."""
    paths = [urlsplit(url) for url in urls]
    split = [each.path.split("/") for each in paths]
    size = Counter(map(len, split)).most_common(1)[0][0]
    split = [each for each in split if len(each) == size]
    segments = []
    for column in zip(*split, strict=True):
        segments.append(_alike(column))
    query = "" if not any(each.query for each in paths) else r"\?"
    return "/".join(segments) + (query or "$")


def _alike(segments: Sequence[str]) -> str:
    """One segment of the pattern."""
    distinct = set(segments)
    if len(distinct) == 1:
        only = segments[0]
        numbered = re.fullmatch(r"[A-Za-z]+[-_]?\d+(?:\.\w+)?", only) is not None
        return re.sub(r"\d+", r"\\d+", _escaped(only), count=1) if numbered else _escaped(only)
    suffixes = {each.rpartition(".")[2] if "." in each else "" for each in distinct}
    suffix = suffixes.pop() if len(suffixes) == 1 else ""
    end = _escaped(f".{suffix}") if suffix and len(suffix) <= 5 else ""
    stems = [each[: -len(suffix) - 1] if end else each for each in distinct]
    if all(each.isdigit() for each in stems):
        return rf"\d+{end}"
    if match := _common(stems, r"([A-Za-z]+[-_]?)\d+"):
        return rf"{_escaped(match)}\d+{end}"
    for mark in "_-":
        if all(re.search(rf"{mark}\d+$", each) for each in stems):
            return rf"[^/]+{mark}\d+{end}"
    return rf"[^/]+{end}"


def _escaped(text: str) -> str:
    """As ``re.escape``, which also escapes what needs it nowhere."""
    return re.sub(r"([.^$*+?{}()\[\]|\\])", r"\\\1", text)


def _common(stems: Sequence[str], form: str) -> str:
    """The words before the number, when they are the same in all."""
    words = {found[1] if (found := re.fullmatch(form, each)) else "" for each in stems}
    return words.pop() if len(words) == 1 else ""
