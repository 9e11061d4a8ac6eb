"""The fields of a block or of a page: where its title, link, price, picture and the like are.

What a field is, is decided by looking at a node; the selector for it is then one that finds just that node again in
nearly every block.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Callable, Sequence

from msgspec import Struct
from selectolax.lexbor import LexborNode

from scraper.drafts.selecting import classes, has_meaning, selectors
from scraper.errors import ParseError
from scraper.selector import Selector

NEARLY_ALL = 0.8
MOST_MORE = 3
"""Fields besides those that are known by their nature."""
_MONEY, _AMOUNT = r"[£$€¥₹₽]|USD|EUR|GBP|CHF|PLN|kr\b|zł", r"\d[\d.,' \u00a0]*"
PRICE = re.compile(rf"(?:{_MONEY})\s?{_AMOUNT}|{_AMOUNT}\s?(?:{_MONEY})")
_TITLE = re.compile(r"title|name|headline|heading", re.IGNORECASE)

Pick = Callable[[LexborNode], LexborNode | None]


class Column(Struct):
    """A field: ``kind`` is text, price, link, image or date; ``query`` selects its text or attribute."""

    name: str
    query: str
    kind: str = "text"


def of_blocks(nodes: Sequence[LexborNode]) -> list[Column]:
    """The fields that nearly all of these blocks have, the link and the title first."""
    link = _column("url", nodes, _link, "href", "link")
    title = _column("title", nodes, _title_link, "title") or _column("title", nodes, _title)
    known = [
        link,
        title,
        _column("price", nodes, _price, kind="price"),
        _column("date", nodes, _time, "datetime", "date") or _column("date", nodes, _time),
        *(_column("image", nodes, _image, name, "image") for name in ("data-src", "src")),
    ]
    found: dict[str, Column] = {}
    for each in known:
        # "Read more", again and again, is no title.
        if each is not None and (each.name != "title" or len(set(values_of(nodes, each.query))) > 1):
            found.setdefault(each.name, each)
    more = _cells(nodes) if nodes[0].tag == "tr" else _named(nodes)
    taken = {values_of(nodes, each.query) for each in found.values()}
    for each in more:
        values = values_of(nodes, each.query)
        if each.name not in found and values not in taken and len(found) < len(known) + MOST_MORE:
            taken.add(values)
            found[each.name] = each
    return list(found.values())


def of_page(root: LexborNode) -> list[Column]:
    """The fields of a page that is about one thing. Its address is not among them."""
    nodes = [root]
    known = [
        _column("title", nodes, lambda node: _deepest(node.css_first("h1"))),
        Column("title", "title::text") if root.css_first("title") is not None else None,
        _column("price", nodes, _price, kind="price"),
        _column("date", nodes, _time, "datetime", "date") or _column("date", nodes, _time),
        _meta(root, "description", "meta[name=description]", "text"),
        _meta(root, "image", "meta[property='og:image']", "image"),
        _column("image", nodes, _main_image, "src", "image"),
    ]
    found: dict[str, Column] = {}
    for each in known:
        if each is not None:
            found.setdefault(each.name, each)
    return list(found.values())


def _column(
    name: str, nodes: Sequence[LexborNode], pick: Pick, attribute: str = "", kind: str = "text"
) -> Column | None:
    """The field that ``pick`` shows in nearly all of ``nodes``, with the first selector that finds the same."""
    picked = [(node, found) for node in nodes if (found := pick(node)) is not None]
    if attribute:
        picked = [(node, found) for node, found in picked if _useful(found.attributes.get(attribute))]
    if len(picked) < NEARLY_ALL * len(nodes) or not picked:
        return None
    ending = f"::attr({attribute})" if attribute else "::text"
    whole = len(nodes) == 1
    block, first = picked[0]
    if first.mem_id == block.mem_id:  # the block itself is the link
        return Column(name, ending, kind) if all(node.mem_id == found.mem_id for node, found in picked) else None
    for css in selectors(first, None if whole else block):
        hits = sum(_finds(node, css, found, attribute) for node, found in picked)
        if hits >= NEARLY_ALL * len(nodes):
            return Column(name, css + ending, kind)
    return None


def _finds(node: LexborNode, css: str, found: LexborNode, attribute: str) -> bool:
    """Whether the first that ``css`` selects below ``node`` has what ``found`` has."""
    first = next((each for each in node.css(css) if each.mem_id != node.mem_id), None)
    if first is None:
        return False
    if attribute:
        return first.attributes.get(attribute) == found.attributes.get(attribute)
    return first.text(deep=False, strip=True) == found.text(deep=False, strip=True)


def _useful(value: str | None) -> bool:
    return bool(value and value.strip()) and not str(value).startswith(("data:", "#", "javascript:", "mailto:"))


def values_of(nodes: Sequence[LexborNode], query: str) -> tuple[str | None, ...]:
    """What a query finds in each of the nodes."""
    try:
        return tuple(Selector(node).css(query).get() for node in nodes)
    except ParseError:
        return ()


# what a field looks like


def _link(node: LexborNode) -> LexborNode | None:
    if node.tag == "a":
        return node
    title = _title_link(node)
    if title is not None:
        return title
    links = [each for each in node.css("a[href]") if _useful(each.attributes.get("href"))]
    return max(links, key=lambda each: len(each.text(strip=True)), default=None)


def _heading(node: LexborNode) -> LexborNode | None:
    found = node.css_first("h1, h2, h3, h4, h5, h6, [itemprop=name]")
    return found if found is not None and found.mem_id != node.mem_id else None


def _title_link(node: LexborNode) -> LexborNode | None:
    """The link in the heading of a block, or around it."""
    heading = _heading(node)
    if heading is None:
        links = [each for each in node.css("a[href]") if each.mem_id != node.mem_id]
        named = [each for each in links if any(_TITLE.search(name) for name in classes(each))]
        return named[0] if named else None
    inside = heading.css_first("a[href]")
    if inside is not None:
        return inside
    above = heading.parent
    while above is not None and above.mem_id != node.mem_id:
        if above.tag == "a":
            return above
        above = above.parent
    return None


def _title(node: LexborNode) -> LexborNode | None:
    heading = _heading(node)
    if heading is None:
        heading = next((each for each in node.css("[class]") if _is_title(each)), None)
    if heading is None:
        heading = _link(node)
    if heading is not None and heading.mem_id == node.mem_id and node.tag != "a":
        return None
    return _deepest(heading)


def _is_title(node: LexborNode) -> bool:
    return any(_TITLE.search(name) for name in classes(node)) and bool(node.text(strip=True))


def _deepest(node: LexborNode | None) -> LexborNode | None:
    """The node itself, or what stands in it and has the text."""
    while node is not None and not node.text(deep=False, strip=True):
        inner = [each for each in node.iter() if each.text(strip=True)]
        node = max(inner, key=lambda each: len(each.text(strip=True)), default=None)
    return node


def _price(node: LexborNode) -> LexborNode | None:
    for each in node.traverse():
        text = each.text(deep=False, strip=True)
        if text and len(text) < 40 and each.tag not in ("script", "style") and PRICE.search(text):
            return each
    return None


def _time(node: LexborNode) -> LexborNode | None:
    return node.css_first("time")


def _image(node: LexborNode) -> LexborNode | None:
    for each in node.css("img"):
        width = each.attributes.get("width") or ""
        if not (width.isdigit() and int(width) < 5):
            return each
    return None


def _main_image(node: LexborNode) -> LexborNode | None:
    return _image(node.css_first("main, article, #content, .product") or node)


def _meta(root: LexborNode, name: str, css: str, kind: str) -> Column | None:
    found = root.css_first(css)
    content = found.attributes.get("content") if found is not None else None
    return Column(name, f"{css}::attr(content)", kind) if _useful(content) else None


def _cells(nodes: Sequence[LexborNode]) -> list[Column]:
    """The cells of a row, called as the head of their column."""
    table = nodes[0].parent
    while table is not None and table.tag != "table":
        table = table.parent
    heads = [each.text(strip=True) for each in table.css("tr th")] if table is not None else []
    found = []
    most = max(len(node.css("td")) for node in nodes)
    for number in range(1, most + 1):
        head = heads[number - 1] if len(heads) == most else ""
        ending = "a::text" if all(node.css_first(f"td:nth-child({number}) a") for node in nodes) else ""
        query = f"td:nth-child({number}) {ending}" if ending else f"td:nth-child({number})::text"
        values = values_of(nodes, query)
        if _is_filled(values):
            kind = "price" if all(PRICE.search(each) for each in values if each) else "text"
            found.append(Column(identifier(head) or f"column_{number}", query, kind))
    return found


def _named(nodes: Sequence[LexborNode]) -> list[Column]:
    """Texts in what has a class that says something; those that are the same in all blocks say nothing."""
    found: dict[str, Column] = {}
    for node in nodes[:5]:
        for each in node.css("[class], [itemprop]"):
            own = [name for name in classes(each) if has_meaning(name)]
            if not own or not each.text(deep=False, strip=True):
                continue
            query = f"{each.tag}.{own[0]}::text"
            values = values_of(nodes, query)
            if query not in found and _is_filled(values) and len(set(values)) > 1:
                found[query] = Column(identifier(own[0]) or "text", query)
    return list(found.values())


def _is_filled(values: tuple[str | None, ...]) -> bool:
    return sum(bool(each and each.strip()) for each in values) >= NEARLY_ALL * max(1, len(values))


def identifier(text: str) -> str:
    """A name for a field: ``star-rating`` -> ``star_rating``; empty when there is none in it."""
    name = (
        re.sub(r"\W+", "_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text.strip()), flags=re.ASCII).strip("_").lower()[:30]
    )
    if not name or not name[0].isalpha():
        return ""
    return f"{name}_" if keyword.iskeyword(name) or name in ("key", "url", "self") else name
