"""The text of a spider: what was seen, as a file that somebody would have written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from scraper.drafts.columns import Column
from scraper.url import host_of

TYPES = {
    "text": ("str | None", "Field(clean=fields.strip)"),
    "date": ("str | None", "Field(clean=fields.strip)"),
    "price": ("Decimal | None", "Field(clean=fields.price)"),
    "image": ("str | None", "Field(clean=fields.absolute_url)"),
    "link": ("str | None", "Field(clean=fields.absolute_url)"),
    "key": ("str", "Field(key=True, clean=fields.absolute_url)"),
    "plain": ("str | None", ""),
}
"""The annotation of a field of each kind, and what cleans it."""


WIDTH = 88


class Draft(Struct):
    """What a page was found to be: ``template`` names the kind of spider, ``why`` says what speaks for it, and
    ``about`` what the first line of the file says. The others are for the templates that need them."""

    template: str
    why: str
    url: str
    about: str = ""
    columns: list[Column] = []
    blocks: str = ""
    next: str | None = None
    rules: list[tuple[str, bool]] = []
    """Patterns of links for CrawlSpider and SitemapSpider, and whether an item is on the pages that they lead to."""
    sample: str = ""
    """Such a page."""
    sitemaps: list[str] = []
    path: list[str] = []
    """Keys that lead to the objects in a JSON document."""
    names: list[str] = []
    """Of the members of such an object."""
    paging: dict[str, Any] | None = None
    """How such a document tells of the next one, as arguments of ``next_page``."""


def spider_file(name: str, draft: Draft) -> str:
    """The file. It is formatted as ruff would, whatever its line length of 88 or more."""
    kind = camel(name)
    write = {"basic": _basic, "crawl": _crawl, "sitemap": _sitemap, "feed": _feed, "api": _api}[draft.template]
    head = [
        '"""' + (draft.about or draft.url).replace("\\", "\\\\").replace('"', "'"),
        "",
        f"scraper crawl {name} --limit-pages 20",
        '"""',
        "",
    ]
    return "\n".join([*head, *write(kind, name, draft)]) + "\n"


def camel(name: str) -> str:
    """``book_shop`` -> ``BookShop``."""
    return "".join(part[:1].upper() + part[1:] for part in name.split("_")) or "Draft"


def quoted(text: str) -> str:
    """A string literal as ruff writes it."""
    plain = text.isprintable() and "\\" not in text
    return f'"{text}"' if plain and '"' not in text else f"'{text}'" if plain and "'" not in text else repr(text)


def _raw(pattern: str) -> str:
    return f'r"{pattern}"' if "\\" in pattern and '"' not in pattern else quoted(pattern)


def _item(columns: Sequence[Column]) -> list[str]:
    """The class of the items."""
    lines = ["@dataclass", "class Item:"]
    for each in columns:
        kind, clean = TYPES[each.kind]
        lines.append(f"    {each.name}: {kind}" + (f" = {clean}" if clean else ""))
    return [*lines, "", ""]


def _imports(names: Sequence[str], columns: Sequence[Column]) -> list[str]:
    used = {each.kind for each in columns}
    ours = [*names, *(["Field", "fields"] if used - {"plain"} else [])]
    lines = ["from dataclasses import dataclass"]
    if "price" in used:
        lines.append("from decimal import Decimal")
    return [*lines, "", f"from scraper import {', '.join(sorted(ours, key=_as_ruff))}", "", ""]


def _as_ruff(name: str) -> tuple[int, str]:
    """Constants, classes, then the others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name


def _class(kind: str, base: str, name: str, draft: Draft, more: Sequence[str] = (), starts: bool = True) -> list[str]:
    host = host_of(draft.url).rpartition(":")[0] if ":" in host_of(draft.url) else host_of(draft.url)
    lines = [f"class {kind}({base}):", f'    name = "{name}"']
    if starts:
        lines += _list("start_urls", [quoted(draft.url)])
    lines.append(f"    allowed_domains = [{quoted(host)}]")
    return [*lines, *more, ""]


def _list(name: str, values: Sequence[str]) -> list[str]:
    """An attribute, on several lines where one would be too long."""
    line = f"    {name} = [{', '.join(values)}]"
    return [line] if len(line) <= WIDTH else [f"    {name} = [", *(f"        {each}," for each in values), "    ]"]


def _yield(columns: Sequence[Column], on: str, indent: str) -> list[str]:
    lines = [f"{indent}yield Item("]
    for each in columns:
        value = "response.url" if each.query == "" else f"{on}.css({quoted(each.query)}).get()"
        lines.append(f"{indent}    {each.name}={value},")
    return [*lines, f"{indent})"]


def _basic(kind: str, name: str, draft: Draft) -> list[str]:
    lines = [*_imports(["Spider"], draft.columns), *_item(draft.columns), *_class(kind, "Spider", name, draft)]
    lines.append("    def parse(self, response):")
    if draft.blocks:
        lines.append(f"        for row in response.css({quoted(draft.blocks)}):")
        lines += _yield(draft.columns, "row", " " * 12)
    else:
        lines += _yield(draft.columns, "response", " " * 8)
    if draft.next is not None:
        lines.append(f"        yield from response.follow_all({quoted(draft.next)})")
    return lines


def _crawl(kind: str, name: str, draft: Draft) -> list[str]:
    rules = ["    rules = ["]
    for pattern, is_item in draft.rules:
        allow = f"allow={_raw(pattern)}" if pattern else ""
        callback = ', callback="parse_item"' + ("" if pattern else ", follow=True") if is_item else ""
        line = f"        Rule(LinkExtractor({allow}){callback}),"
        if len(line) > WIDTH:
            inner = callback.removeprefix(", ")
            rules += ["        Rule(", f"            LinkExtractor({allow}),", f"            {inner},", "        ),"]
        else:
            rules.append(line)
    lines = [*_imports(["CrawlSpider", "LinkExtractor", "Rule"], draft.columns), *_item(draft.columns)]
    lines += _class(kind, "CrawlSpider", name, draft, [*rules, "    ]"])
    return [*lines, "    def parse_item(self, response):", *_yield(draft.columns, "response", " " * 8)]


def _sitemap(kind: str, name: str, draft: Draft) -> list[str]:
    rules = [f'({_raw(pattern)}, "parse_item")' for pattern, _ in draft.rules] or ['("", "parse_item")']
    more = [*_list("sitemap_urls", [*map(quoted, draft.sitemaps)]), *_list("sitemap_rules", rules)]
    lines = [*_imports(["SitemapSpider"], draft.columns), *_item(draft.columns)]
    lines += _class(kind, "SitemapSpider", name, draft, more, starts=False)
    return [*lines, "    def parse_item(self, response):", *_yield(draft.columns, "response", " " * 8)]


def _feed(kind: str, name: str, draft: Draft) -> list[str]:
    return [
        "from scraper import FeedSpider",
        "",
        "",
        *_class(kind, "FeedSpider", name, draft),
        "    def parse_entry(self, response, entry):",
        *_dict("entry.{}", draft.names),
    ]


def _dict(value: str, names: Sequence[str]) -> list[str]:
    bare = value.startswith("entry")
    lines = [f"            {quoted(each)}: {value.format(each if bare else quoted(each))}," for each in names]
    return ["        yield {", *lines, "        }"]


def _api(kind: str, name: str, draft: Draft) -> list[str]:
    more = [f"    path = {quoted('.'.join(draft.path))}"] if draft.path else []
    if draft.paging is not None:
        pairs = (
            f"{quoted(key)}: {value if isinstance(value, int) else quoted(value)}"
            for key, value in draft.paging.items()
        )
        how = "" if draft.paging else "  # by the Link header of the answer"
        more.append(f"    paging = {{{', '.join(pairs)}}}{how}")
    return [
        "from scraper import JSONSpider",
        "",
        "",
        *_class(kind, "JSONSpider", name, draft, more),
        "    def parse_object(self, response, obj):",
        *(_dict("obj.get({})", draft.names) if draft.names else ["        yield obj"]),
    ]
