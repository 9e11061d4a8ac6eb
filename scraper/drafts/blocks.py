"""The block that a listing repeats: a product, a post, a row. Found by its shape, not by a list of sites."""

from __future__ import annotations

from collections import defaultdict
from statistics import median

from msgspec import Struct
from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.drafts.selecting import classes, has_meaning

FEWEST = 3
MOST_NODES = 20_000
"""Elements that are looked at; a page of more is judged by its beginning."""
ENOUGH = 20
"""Blocks after which more of them say nothing new."""
FEWEST_WORDS = 30
"""Fewer than these may be "Loading…", or "please enable JavaScript": of a page that its scripts fill."""
ASIDE = ("nav", "header", "footer", "aside", "form", "select")
NO_BLOCKS = frozenset(
    """a abbr b br button em h1 h2 i img input label link meta option p path script small span strong style svg td
    th""".split()
)
TELLING = {"article": 1.3, "tr": 1.1, "li": 1.05}


class Blocks(Struct):
    """``nodes`` are what ``css`` selects; ``parts`` how many texts and pictures one of them has, as a rule."""

    css: str
    nodes: list[LexborNode]
    parts: float
    score: float


def repeated(tree: LexborHTMLParser) -> Blocks | None:
    """The block that looks most like the rows of a listing; None when nothing on the page does."""
    found: dict[str, list[LexborNode]] = defaultdict(list)
    body = tree.body
    if body is None:
        return None
    for number, node in enumerate(body.traverse()):
        if number > MOST_NODES:
            break
        if node.tag in NO_BLOCKS or node.tag is None or node.tag.startswith("-"):
            continue
        for css in _names(node):
            found[css].append(node)
    judged = [_judged(css, nodes) for css, nodes in found.items() if len(nodes) >= FEWEST]
    best = max((each for each in judged if each is not None), key=lambda each: each.score, default=None)
    if best is not None:
        best.nodes = tree.css(best.css)
        if best.nodes[0].tag == "tr" and len(rows := tree.css(f"{best.css}:has(td)")) < len(best.nodes):
            best.css, best.nodes = f"{best.css}:has(td)", rows  # the head of a table is no row of it
    return best


def is_shell(tree: LexborHTMLParser) -> bool:
    """Whether there is hardly a word on a page, and a script that may fill it."""
    words = 0
    for node in tree.body.traverse() if tree.body is not None else ():
        if node.tag not in ("script", "style"):
            words += len(node.text(deep=False).split())
        if words >= FEWEST_WORDS:
            return False
    return tree.css_first("script") is not None


def _names(node: LexborNode) -> list[str]:
    """Selectors by which a node may be one of many: its classes, or what it stands in."""
    named = [f"{node.tag}.{name}" for name in classes(node)]
    if named:
        return named
    above = node.parent
    for _ in range(3):
        if above is None or above.tag in ("body", "html"):
            break
        within = next((f"{above.tag}.{name}" for name in classes(above)), None)
        if within is not None:
            return [f"{within} {node.tag}"]
        above = above.parent
    return [node.tag] if node.tag in ("article", "tr") else []


def _judged(css: str, nodes: list[LexborNode]) -> Blocks | None:
    """What speaks for it: many of them, each with a link of its own, text, and several parts."""
    sample = nodes[:ENOUGH]
    ids = {each.mem_id for each in nodes}
    if any(_is_inside(each, ids) for each in sample):
        return None
    links, parts, texts = [], [], []
    for each in sample:
        own = [link.attributes.get("href") for link in each.css("a[href]")]
        links.append(next((href for href in own if href and not href.startswith(("#", "javascript:"))), None))
        parts.append(_parts(each))
        texts.append(each.text(strip=True)[:500])
    if len(set(texts)) < max(2, 0.6 * len(sample)) or median(map(len, texts)) < 5:
        return None
    with_link = sum(link is not None for link in links)
    linked = with_link / len(sample) * len({link for link in links if link}) / max(1, with_link)
    richness = median(parts)
    if richness < 2 and linked < 0.6:
        return None
    score = min(len(nodes), ENOUGH) ** 0.5 * richness * (0.3 + linked) * TELLING.get(nodes[0].tag or "", 1.0)
    score *= 0.2 if _stands_in(sample[0], ASIDE) else 1.0
    name = css.rpartition(".")[2]
    score *= 1.0 if "." not in css or has_meaning(name) else 0.9
    score *= 0.95 if " " in css else 1.0
    return Blocks(css, sample, richness, score)


def _parts(node: LexborNode) -> int:
    """Texts, pictures and dates in a node, no more of them than one row has."""
    found = 0
    for each in node.traverse():
        found += each.tag in ("img", "time") or bool(each.text(deep=False, strip=True))
        if found >= 12:
            break
    return found


def _is_inside(node: LexborNode, ids: set[int]) -> bool:
    above = node.parent
    while above is not None:
        if above.mem_id in ids:
            return True
        above = above.parent
    return False


def _stands_in(node: LexborNode, tags: tuple[str, ...]) -> bool:
    above = node.parent
    while above is not None:
        if above.tag in tags:
            return True
        above = above.parent
    return False
