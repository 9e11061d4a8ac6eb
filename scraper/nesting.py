"""The guard before the parser: markup that is small to send and takes seconds or gigabytes to build.

An HTML parser looks back through the open elements at nearly every tag, so N tags at depth D cost N * D: 100,000
nested ``<div>`` take a minute. It opens unclosed ``<b>`` or ``<font>`` again in every following block, so 4,000 of
them, 50 kB, take 3 GB. It compares each attribute of a tag with all before it. None of that happens in a page of few tags,
which is all that most pages are asked; the others are judged by what is left of them when whatever is opened
and closed right there has been struck out, and at last by an outline of the parser itself.
"""

from __future__ import annotations

import re

from scraper.outline import BUDGET, FORMATTING, MOST_TAGS, REOPEN, Outline

__all__ = ["too_deep"]

_FEW_TAGS = 2_000  # half of them unclosed formatting, the other half blocks, is the whole budget
_SHORT = 128 * 1024  # bytes; no single tag of a shorter page has attributes for more than two seconds
_PASSES = 8

_SPACE = rb"\t\n\f\r "
_NAME = rb"[a-z][^%s/><]*+" % _SPACE
# One attribute, or what stands between two. No "<" in it: so no byte is looked at from many tags, and time is linear.
_ATTRIBUTE = (
    rb"(?:[%(s)s/]++|[^%(s)s/><=][^%(s)s/><=]*+"
    rb"(?:[%(s)s]*+=[%(s)s]*+(?:\"[^\"<]*+\"|'[^'<]*+'|[^%(s)s><\"'][^%(s)s><]*+))?+)"
) % {b"s": _SPACE}
_ATTRIBUTES = _ATTRIBUTE + rb"{0,200}+"
_CHILDLESS = rb"<(?:br|img|hr|!--(?!-?>)[^<>-]*+--)(?=[%s/>])%s>" % (_SPACE, _ATTRIBUTES)
# An element with nothing in it but text, comments and elements that never hold any.
_LEAF = re.compile(
    rb"<(?!(?:br|img|hr)[%(s)s/>])(%(n)s)%(a)s>[^<]*+(?:%(c)s[^<]*+){0,20}+</\1[%(s)s]*+>"
    % {b"s": _SPACE, b"n": _NAME, b"a": _ATTRIBUTES, b"c": _CHILDLESS},
    re.IGNORECASE,
)
_MANY_ATTRIBUTES = re.compile(rb"<%s%s{1000}" % (_NAME, _ATTRIBUTE), re.IGNORECASE)
_FORMATTING_TAG = re.compile(
    rb"<([biustcef][a-z]{0,5})(?=[%s/>])(%s>)?" % (_SPACE, _ATTRIBUTES),
    re.IGNORECASE,
)


def too_deep(body: bytes | str, limit: int = 5000) -> bool:
    """Whether building the tree of a page would stall: deeper than ``limit`` elements, or about a second of work.

    Takes time linear in the size of the body, whatever it holds; for a page of less than 2,000 tags, that of
    counting them. A page can be refused that is merely very large and very odd.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    tags = body.count(b"<")
    if tags < limit and len(body) < _SHORT and (tags < _FEW_TAGS or _formatting_is_cheap(body, tags)):
        return False
    rest = body
    for strikes in range(_PASSES):
        # Striking out a leaf changes the depth of nothing else, so what is left tells how deep it can be: no deeper
        # than it has tags, and the leaves struck out in it, a level each time.
        opened = rest.count(b"<") - rest.count(b"</")
        if (
            opened + strikes < limit
            and opened * tags < BUDGET
            and _formatting_is_cheap(rest, tags)
            and (len(body) < _SHORT or not _MANY_ATTRIBUTES.search(rest))
        ):
            return False
        left = _LEAF.sub(b"", rest)
        if len(left) > 0.95 * len(rest):
            break
        rest = left
    return tags > MOST_TAGS or Outline(limit).exceeds(body)


def _formatting_is_cheap(body: bytes, tags: int) -> bool:
    """Whether opening its formatting elements again at each of so many tags stays within the budget."""
    found = [tag for tag in _FORMATTING_TAG.findall(body) if tag[0].lower() in FORMATTING]
    unlike = len({tag for tag in found if tag[1]})
    odd = sum(not tag[1] for tag in found)
    # Of a kind no more than three are opened again.
    return min(len(found), 3 * unlike + odd) * tags * REOPEN < BUDGET
