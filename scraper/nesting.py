"""The guard before the parser: markup that is small to send and takes seconds or gigabytes to build.

An HTML parser looks back through the open elements at nearly every tag, so N tags at depth D cost N * D: 100,000
nested ``<div>`` take a minute. It opens unclosed ``<b>`` or ``<font>`` again in every following block, so 4,000 of
them, 50 kB, take 3 GB. And it compares each attribute of a tag with all before it. For nearly every page to count its
tags is enough; the others are read once, tag by tag, with a stack that may hold more than the parser's, never less.
"""

from __future__ import annotations

import re

_FEW_TAGS = 2_000  # the worst of them take 0.2 s and 330 MB: half unclosed formatting, half blocks
_MANY_TAGS = 15_000  # nested in one another, half a second
_BUDGET = 1_000_000  # formatting elements opened again, of 1 µs and 360 bytes each
_WORK = 200_000_000  # open elements looked at, of about 4 ns each
_LOOK = 20  # one look of our own at an open element takes as long as so many of the parser's
_LONG = 128 * 1024  # bytes; no single tag of a shorter page has attributes for more than a second

_FORMATTING_TAG = re.compile(
    rb"<[bcefinstu](?:|ig|ode|m|ont|obr|mall|trike|trong|t)[\s/]", re.IGNORECASE
)  # the bare ones: no more than three alike are opened again
_TOKEN = re.compile(
    rb"<!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|<(script|style|textarea|title|xmp|iframe|noembed|noframes)(?=[\s/>]).*?(?:</\1(?=[\s/>])|\Z)"
    rb"|<(/?)([a-z][^\s/>]*)([^>]*)",
    re.IGNORECASE | re.DOTALL,
)
_MANY_ATTRIBUTES = re.compile(rb"<[a-z](?:[^\s<>]*+[\s/]++){1000}", re.IGNORECASE)


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


_FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
# Elements that hold nothing, and those that the next of their kind, or their table, closes.
_SHALLOW = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr "
    "html head body frameset p li dd dt option optgroup td th tr tbody thead tfoot caption colgroup rb rp rt rtc"
)
# An end tag does not reach beyond one of these.
_WALLS = _names("table template object applet marquee select svg math button")


def too_deep(body: bytes | str, limit: int = 5000) -> bool:
    """Whether building the tree of a page would stall: deeper than ``limit`` elements, or about a second of work.

    Takes time linear in the size of the body; for a page of less than 2,000 tags, that of counting them. A page can
    be refused that is merely very large and very odd.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    if len(body) >= _LONG and _MANY_ATTRIBUTES.search(body):
        return True
    tags = body.count(b"<")
    if tags < _FEW_TAGS:
        return False
    if tags < _MANY_TAGS and len(_FORMATTING_TAG.findall(body)) * tags < _BUDGET:
        return False
    return _stalls(body, limit)


def _stalls(body: bytes, limit: int) -> bool:
    """Read the tags once, keeping the open elements; formatting stays open until its own end tag comes."""
    stack: list[bytes] = []
    formatting: list[tuple[bytes, bytes]] = []  # name and attributes
    work = reopened = 0
    for token in _TOKEN.finditer(body):
        close, name = token[2], token[3]
        if name is None:
            continue
        name = name.lower()
        if name in _FORMATTING:
            if not close:
                if formatting[-64:].count((name, token[4])) < 3:  # of those alike no more than three are opened again
                    formatting.append((name, token[4]))
            else:
                for at in range(len(formatting) - 1, max(-1, len(formatting) - 9), -1):
                    if formatting[at][0] == name:
                        del formatting[at]
                        break
        elif close:
            work += _LOOK * _close(stack, name)
        elif name not in _SHALLOW:
            stack.append(name)
        depth = len(stack) + len(formatting)
        work += depth
        reopened += len(formatting)
        if depth > limit or work > _WORK or reopened > 2 * _BUDGET:
            return True
    return False


def _close(stack: list[bytes], name: bytes) -> int:
    """Pop to the element that an end tag closes, if no wall stands before it; tell how many were looked at."""
    top = len(stack)
    for at in range(top - 1, -1, -1):
        if stack[at] == name:
            del stack[at:]
            return top - at
        if stack[at] in _WALLS:
            return top - at
    return top
