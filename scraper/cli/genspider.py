"""``scraper genspider``: a first draft of a spider, by a look at the page."""

from __future__ import annotations

import asyncio
import json
import keyword
import re
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from scraper.cli import options
from scraper.cli.completing import spiders_in
from scraper.cli.single import IgnoreRobots, asker, waits
from scraper.discover import build, find
from scraper.drafts.columns import Column
from scraper.drafts.looking import ENTRY, look
from scraper.drafts.written import Draft, camel, spider_file
from scraper.errors import OutputError, ScraperError, UsageError
from scraper.oneoff import OneOff
from scraper.request import Request
from scraper.response import Response
from scraper.scope import Scope
from scraper.settings import Settings, load
from scraper.spider import Spider, seeds
from scraper.tryout import Tried, try_out
from scraper.url import host_of, origin_of, shown

Template = Literal["basic", "crawl", "sitemap", "feed", "api"]

TAKEN = frozenset(
    "crawl_spider decimal feed_spider field fields item json_spider link_extractor rule scraper sitemap_spider "
    "spider".split()
)
"""Names that the file itself uses, as they are or as a class."""


def genspider(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is called: a Python name, as its file.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="The page that it starts with.")],
    template: Annotated[
        Template | None,
        typer.Option(
            "--template", "-t", help="Which kind of spider.  [default: by what the page is]", show_default=False
        ),
    ] = None,
    fetch: Annotated[
        bool, typer.Option("--fetch/--no-fetch", help="Look at the page, or write a draft without having seen it.")
    ] = True,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a spider of that name.")] = False,
    ignore_robots: IgnoreRobots = False,
    setting: options.Given = None,
) -> None:
    """Look at a page and write a spider that reads it.

    A page is fetched politely, its listing, fields and links to follow are found, and spiders/NAME.py is written with
    selectors that were tried on that page. It is a draft to go on from, and it runs at once. The template says which
    kind of spider: basic (rows of a listing), crawl (links by rules), sitemap, feed (RSS, Atom) or api (JSON).

    \b
    Examples:
      scraper genspider shop http://127.0.0.1:8000/
      scraper genspider shop http://127.0.0.1:8000/ --template crawl --force
      scraper genspider stock http://127.0.0.1:8000/api/books
      scraper genspider shop https://example.com/ --no-fetch
    """
    settings = load(options.pairs(setting, "-s"))
    folder = Path(settings.spiders)
    file = checked(name, folder, force)
    draft, pages = made(url, template, fetch, setting, ignore_robots)
    write(name, draft, pages, file)
    print("\nnext:", file=sys.stderr)
    for command in following(name, draft):
        print(f"  {command}", file=sys.stderr)


def checked(name: str, folder: Path, force: bool) -> Path:
    """The file of a spider of that name. Raises UsageError for a name that cannot be, or that is taken."""
    if not name.isidentifier() or not name.isascii() or name.startswith("_"):
        better = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_").lower()
        hint = f"; call it {better!r}" if better.isidentifier() else ""
        raise UsageError(f"{name!r} is no name for a spider and its file: letters, digits and _{hint}")
    if keyword.iskeyword(name) or name.lower() in TAKEN or camel(name) in {camel(each) for each in TAKEN}:
        raise UsageError(f"{name!r} means something else in Python or in scraper; call it {name + '_site'!r}")
    file = folder / f"{name}.py"
    there = next((path for path, each in spiders_in(folder) if each == name), None)
    if there is not None and there != file:
        raise UsageError(f"there is a spider {name!r} in {there}; choose another name")
    if (there is not None or file.exists()) and not force:
        raise UsageError(f"there is {file}; choose another name, or overwrite it with --force")
    return file


def following(name: str, draft: Draft) -> list[str]:
    """Commands to go on with. The page that is parsed is one that items are read from, where it was seen."""
    callback = " -c parse_item" if draft.template in ("crawl", "sitemap") else ""
    return [
        f"scraper crawl {name} --limit-pages 20",
        f"scraper items {name}",
        f"scraper parse {shlex.quote(draft.sample or draft.url)} --spider {name}{callback}",
    ]


def made(
    url: str, template: str | None, fetch: bool, setting: list[str] | None, ignore_robots: bool
) -> tuple[Draft, list[Response]]:
    """A draft for the page, and the pages that were looked at."""
    if "://" not in url:
        url = f"https://{url}"
    url = Request(url).url
    if shown(url) != url:
        raise UsageError(f"{shown(url)}: leave user and password out, a spider is shared; give -s auth=USER:PASSWORD")
    if not fetch:
        return unseen(url, template or "basic"), []
    spider, settings = asker(None, None, setting, url, ignore_robots)
    return asyncio.run(_looked(spider, settings, url, template))


def write(name: str, draft: Draft, pages: list[Response], file: Path) -> None:
    """Write the file, once what is in it was tried on the pages, and say what came of it."""
    proof = _proof(name, draft, pages)
    if proof.rejects:  # what looks like a price in one row may be none in another: then it is kept as text
        plain = [Column(each.name, each.query, "text" if each.kind == "price" else each.kind) for each in draft.columns]
        draft = Draft(**{each: getattr(draft, each) for each in Draft.__struct_fields__} | {"columns": plain})
        proof = _proof(name, draft, pages)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(spider_file(name, draft), encoding="utf-8")
    except OSError as error:
        raise OutputError(f"cannot write {file}: {error.strerror}") from error
    print(file)
    print(f"{draft.template}: {draft.why}", file=sys.stderr)
    if not pages:
        return
    if proof.rejects:
        print(
            f"tried on what was fetched: {proof.rejects[0]['reason']} ({len(proof.rejects)} rejected)", file=sys.stderr
        )
    elif proof.items:
        example = json.dumps(proof.items[0], ensure_ascii=False, default=str)
        many = "1 item" if len(proof.items) == 1 else f"{len(proof.items):,} items"
        print(f"tried on what was fetched: {many}, such as {example[:300]}", file=sys.stderr)
    else:
        print(f"tried on what was fetched: no item; {proof.error or 'mend its selectors'}", file=sys.stderr)


def unseen(url: str, template: str) -> Draft:
    """A draft by what is usual, for a page that nobody has looked at."""
    columns = [Column("url", "", "key"), Column("title", "h1::text")]
    about = f"{url}: a first draft by scraper genspider, which has not seen that page."
    why = "nobody has looked at the page; see what is there with scraper shell"
    draft = Draft(template, why, url, about, columns)
    if template == "basic":
        draft.next = "a[rel=next], li.next a, a.next"
    elif template == "crawl":
        draft.rules = [("", True)]
    elif template == "sitemap":
        draft.sitemaps = [f"{origin_of(url)}/robots.txt"]
    elif template == "feed":
        draft.names = [*ENTRY[:3], "published", "summary"]
    return draft


async def _looked(spider: Spider, settings: Settings, url: str, template: str | None) -> tuple[Draft, list[Response]]:
    pages: list[Response] = []
    async with OneOff(spider, settings, waits) as oneoff:

        async def get(url: str) -> Response:
            known = next((each for each in pages if each.url == url), None)
            if known is None:
                if host_of(url) != host_of(pages[0].url):  # where links lead is not the user's choice
                    known = await oneoff.fetch(Request(url))
                else:
                    known = (await oneoff.get(Request(url)))[-1]
                pages.append(known)
            return known

        pages.append((await oneoff.get(Request(url)))[-1])
        return await look(pages[0], get, template), pages


@dataclass
class _Proof:
    items: list[Any] = field(default_factory=list)
    rejects: list[dict[str, str]] = field(default_factory=list)
    error: str = ""


def _proof(name: str, draft: Draft, pages: Sequence[Response]) -> _Proof:
    """What the spider makes of the pages that were looked at."""
    if not pages:
        return _Proof()
    with tempfile.TemporaryDirectory(prefix="scraper-draft-") as folder:
        file = Path(folder) / f"{name}.py"
        file.write_text(spider_file(name, draft), encoding="utf-8")
        spider = build(find(str(file), Path(folder)))
        try:
            tried = asyncio.run(_tried(spider, pages))
        except ScraperError as error:
            return _Proof(error=str(error))
        finally:
            if folder in sys.path:
                sys.path.remove(folder)
    known = {each.url for each in pages}
    items = [item for each in tried for rows in each.items.values() for item in rows]
    errors = [each.error for each in tried if each.error is not None and each.url in known]
    return _Proof(items, [one for each in tried for one in each.rejects], errors[0] if errors else "")


async def _tried(spider: Spider, pages: Sequence[Response]) -> list[Tried]:
    requests = [each async for each in seeds(spider)]
    settings = Settings(log_level="error", obey_robots=False)
    scope = Scope(spider)
    for each in requests:
        scope.prepare(each)
    return await try_out(spider, settings, requests, pages=pages, offline=True, depth=4, most=5_000)
