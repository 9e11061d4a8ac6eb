"""A look at a page: what kind of spider reads it, and what that spider has to know.

A few polite requests: the page, and where the template needs them a robots.txt, a site map, one page that items are
read from, or the next page of an API.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from scraper.drafts import api
from scraper.drafts.blocks import Blocks, is_shell, repeated
from scraper.drafts.columns import Column, of_blocks, of_page, values_of
from scraper.drafts.links import by_shape, next_link, pattern
from scraper.drafts.written import Draft, quoted
from scraper.errors import ContentError, FetchError, ParseError, UsageError
from scraper.response import Response
from scraper.robots_text import sitemaps
from scraper.url import host_of, origin_of

TEMPLATES = ("basic", "crawl", "sitemap", "feed", "api")
MOST_FIELDS = 9
"""So that the file stays short enough to be read at a glance."""
SHELL = "there is hardly a word on it: its scripts seem to ask an API for them, so try genspider with the URL of that"
ENTRY = ("id", "link", "title", "published", "updated", "author", "summary", "content", "categories")

Get = Callable[[str], Awaitable[Response]]
"""Gets another page of the site. Raises FetchError."""


async def look(page: Response, get: Get, template: str | None = None) -> Draft:
    """What a spider for this page has to know. Raises UsageError when the template does not fit the page."""
    if not page.ok:
        raise UsageError(f"{page.url} answered {page.status}; give the URL of a page that is there, or --no-fetch")
    kind = _kind(page)
    if template is None:
        template = {"json": "api", "feed": "feed", "map": "sitemap"}.get(kind)
    if template in ("basic", "crawl") and kind != "html":
        raise UsageError(f"{page.url} is {_named(kind)}, so there is no page to search; leave --template out")
    if template == "api":
        return await _api(page, kind, get)
    if template == "feed":
        return await _feed(page, kind, get)
    if template == "sitemap":
        return await _sitemap(page, kind, get)
    if kind != "html":
        raise UsageError(f"{page.url} is {page.content_type or 'of no known type'}: there is no template for that")
    blocks = repeated(page.tree)
    if template == "crawl":
        return await _crawl(page, blocks, get)
    if template == "basic" or blocks is not None:
        return _basic(page, blocks)
    if len(page.links()) >= 3:
        return await _crawl(page, blocks, get, "there is no listing on this page, and there are links to follow")
    return _basic(page, None)


def _kind(page: Response) -> str:
    """html, json, feed, map, or what the response says of itself."""
    if page.kind == "json":
        version = page.body[:2000]
        return "feed" if b"jsonfeed.org/version" in version else "json"
    if page.kind == "xml" or page.body.lstrip()[:5] == b"<?xml":
        head = page.body[:4000].lower()
        if b"<rss" in head or b"<feed" in head or b"<rdf:rdf" in head:
            return "feed"
        if b"<urlset" in head or b"<sitemapindex" in head:
            return "map"
    return page.kind


def _named(kind: str) -> str:
    return {"json": "JSON", "feed": "a feed", "map": "a site map"}.get(kind, kind)


# basic


def _basic(page: Response, blocks: Blocks | None) -> Draft:
    following = next_link(page)
    if blocks is None:
        columns = [Column("url", "", "plain"), *_of_page(page)]
        why = "no block of this page is repeated as the rows of a listing are, so the page itself is the row"
        if is_shell(page.tree):
            why += f"; {SHELL}"
        about = f"The page {page.url}: a first draft by scraper genspider."
        return Draft("basic", why, page.url, about, columns, next=following)
    columns = _checked(of_blocks(blocks.nodes), blocks)[:MOST_FIELDS]
    number = len(blocks.nodes)
    why = f"{number} of {quoted(blocks.css)} stand on this page, each with {', '.join(each.name for each in columns)}"
    why += f"; {quoted(following)} leads to the next page" if following is not None else "; no link to a next page"
    about = f"Rows of {page.url}: a first draft by scraper genspider, which saw {number} of them."
    return Draft("basic", why, page.url, about, columns, blocks.css, following)


def _checked(columns: list[Column], blocks: Blocks) -> list[Column]:
    """The address is the key when every block has one of its own."""
    for each in columns:
        if each.name == "url":
            found = values_of(blocks.nodes, each.query)
            if all(found) and len(set(found)) == len(found):
                each.kind = "key"
    return columns or [Column("text", "::text")]


def _of_page(page: Response) -> list[Column]:
    root = page.tree.root
    return of_page(root)[: MOST_FIELDS - 1] if root is not None else []


# crawl


async def _crawl(page: Response, blocks: Blocks | None, get: Get, why: str = "") -> Draft:
    host = host_of(page.url)
    kinds = by_shape(page.links(), host)
    of_items = _item_urls(page, blocks)
    items = [url for url in of_items if host_of(url) == host] if of_items else []
    if not items:
        items = next((urls for urls in kinds.values() if len(urls) >= 3), [])
    rules: list[tuple[str, bool]] = []
    following = next_link(page)
    if following is not None:
        urls = [url for each in page.css(following)[:20] if (url := page.resolver[each.attrib.get("href", "")])]
        if urls and host_of(urls[0]) == host:
            rules.append((pattern(urls), False))
    told = ""
    if items:
        rules.append((pattern(items), True))
        told = f"{len(items)} links of this page look like {rules[-1][0]}"
    else:
        rules.append(("", True))
        told = "no kind of link stands out, so all of them are followed and read"
    sample = await _sample(items or [page.url], get, page)
    about = f"Pages linked from {page.url}: a first draft by scraper genspider."
    columns = [Column("url", "", "key"), *_of_page(sample)]
    told += f"; fields are those of {sample.url}"
    return Draft("crawl", f"{why}; {told}" if why else told, page.url, about, columns, rules=rules, sample=sample.url)


def _item_urls(page: Response, blocks: Blocks | None) -> list[str]:
    if blocks is None:
        return []
    link = next((each for each in of_blocks(blocks.nodes) if each.name == "url"), None)
    if link is None:
        return []
    found = [page.resolver[href] for href in values_of(blocks.nodes, link.query) if href]
    return list(dict.fromkeys(url for url in found if url is not None))


async def _sample(urls: Sequence[str], get: Get, page: Response) -> Response:
    """A page that items are read from; the page we have when that one cannot be had."""
    for url in urls[:2]:
        try:
            found = await get(url)
        except FetchError:
            continue
        if found.ok and found.kind == "html":
            return found
    return page


# sitemap


async def _sitemap(page: Response, kind: str, get: Get) -> Draft:
    if kind == "map":
        maps, listed = [page.url], page
        why = "it is a site map"
    else:
        maps, listed, why = await _maps_of(page.url, get)
    urls = await _listed(listed, get)
    host = host_of(page.url)
    kinds = by_shape((url for url in urls if host_of(url) == host), host)
    items = next(iter(kinds.values()), [])
    rules = [(pattern(items), True)] if len(items) >= 3 and len(kinds) > 1 else []
    sample = await _sample(items or urls[:1], get, page)
    if sample is page and kind == "map":
        raise UsageError(f"{page.url}: none of the pages that it lists could be had, so there is nothing to go by")
    columns = [Column("url", "", "key"), *_of_page(sample)]
    if rules:
        why += f"; of its first {len(urls):,} URLs {len(items):,} look like {rules[0][0]}"
    why += f"; fields are those of {sample.url}"
    about = f"Pages in the site map of {origin_of(page.url)}: a first draft by scraper genspider."
    return Draft("sitemap", why, page.url, about, columns, rules=rules, sample=sample.url, sitemaps=maps)


async def _maps_of(url: str, get: Get) -> tuple[list[str], Response, str]:
    """The site maps that robots.txt names, else the one at its usual place."""
    origin = origin_of(url)
    robots = await _had(f"{origin}/robots.txt", get)
    named = sitemaps(robots.body.decode("utf-8", "replace"), robots.url) if robots is not None else []
    for each in [*named[:1], f"{origin}/sitemap.xml"]:
        found = await _had(each, get)
        if found is not None:
            if named:
                return [f"{origin}/robots.txt"], found, f"{origin}/robots.txt names {', '.join(named[:3])}"
            return [each], found, f"there is {each}"
    raise UsageError(f"{origin} has no site map: none is named in robots.txt, and there is no /sitemap.xml")


async def _had(url: str, get: Get) -> Response | None:
    try:
        found = await get(url)
    except FetchError:
        return None
    return found if found.ok else None


async def _listed(page: Response, get: Get, levels: int = 2) -> list[str]:
    """Some URLs of a site map; of an index, those of its first part."""
    from scraper.feeds.maps import read_map
    from scraper.feeds.source import Source

    kind, rows = await asyncio.to_thread(read_map, Source(page.body, page.url, page.headers.get("Content-Type", "")))
    found: list[str] = []
    try:
        for row in rows:
            if (url := page.resolver[row.get("loc", "")]) is not None:
                found.append(url)
            if len(found) >= 2_000:
                break
    except ParseError as error:
        if not found:
            raise UsageError(f"{page.url} is no site map that can be read: {error}") from error
    if kind == "sitemapindex" and found and levels:
        inner = await _had(found[0], get)
        return await _listed(inner, get, levels - 1) if inner is not None else []
    return found


# feed


async def _feed(page: Response, kind: str, get: Get) -> Draft:
    feed, why = page, "it is a feed"
    if kind != "feed":
        hrefs = page.css("link[rel~=alternate][href]") if kind == "html" else []
        urls = [page.resolver[each.attrib["href"]] for each in hrefs if _is_feed(each.attrib.get("type", ""))]
        found = await _had(urls[0], get) if urls and urls[0] is not None else None
        if found is None:
            raise UsageError(f"{page.url} is no feed and names none (<link rel=alternate type=application/rss+xml>)")
        feed, why = found, f"{page.url} names the feed {found.url}"
    from scraper.feeds.entries import read_entries
    from scraper.feeds.source import Source

    source = Source(feed.body, feed.url, feed.headers.get("Content-Type", ""))
    try:
        entry = await asyncio.to_thread(lambda: next(iter(read_entries(source)), None))
    except (ContentError, ParseError) as error:
        raise UsageError(f"{feed.url} is no feed that can be read: {error}") from error
    if entry is None:
        raise UsageError(f"{feed.url} has no entry, so there is nothing to go by")
    names = [name for name in ENTRY if getattr(entry, name)]
    about = f"Entries of {feed.url}: a first draft by scraper genspider."
    return Draft("feed", f"{why}; its first entry has {', '.join(names)}", feed.url, about, names=names)


def _is_feed(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() in (
        "application/rss+xml",
        "application/atom+xml",
        "application/feed+json",
    )


# api


async def _api(page: Response, kind: str, get: Get) -> Draft:
    if kind not in ("json", "feed", "text"):
        raise UsageError(f"{page.url} is {page.content_type or 'no JSON'}; give the URL of an API that answers in JSON")
    found = api.rows_of(_json(page))
    if found is None:
        raise UsageError(f"{page.url} has no list of objects in it, so there is nothing to go by")
    path, rows = found
    names = api.members(rows)
    why = f"it is JSON with {len(rows)} objects" + (f" at {'.'.join(path)}" if path else "")
    paging = None
    for each in api.pagings(_json(page), path, page):
        following = api.following(page, each, path)
        answer = await _had(following.url, get) if following is not None else None
        if answer is not None and api.goes_on(_json(answer), path, rows):
            paging = each
            why += f"; the next page is told by {_told(each)}: {answer.url} was asked for, and has others"
            break
    about = f"Objects of {urlsplit(page.url)._replace(query='').geturl()}: a first draft by scraper genspider."
    return Draft("api", why, page.url, about, path=path, names=names, paging=paging)


def _told(paging: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in paging.items()) or "its Link header"


def _json(page: Response) -> Any:
    try:
        return page.json()
    except ParseError as error:
        raise UsageError(str(error)) from error
