"""The guard before the parser: markup that is small to send and takes seconds or gigabytes to build.

An HTML parser looks back through the open elements at nearly every tag, so N tags at depth D cost N * D: 100,000
nested ``<div>`` take a minute. It opens unclosed ``<b>`` or ``<font>`` again in every following block, so 4,000 of
them, 50 kB, take 3 GB. It compares each attribute of a tag with all before it, each ``<option>`` with all of its
list, and looks a name up in a table that does not grow. And each tag of five bytes is a node of two hundred. For
nearly every page to count its tags is enough; the others are read once, tag by tag.

One more thing must not reach it: in a drawing or a formula it takes an ``<option selected>`` for that of a form, and
writes past its end.
"""

from __future__ import annotations

import re

__all__ = ["too_deep"]

_FEW_TAGS = 1_250  # half of them unclosed formatting, half blocks: 400,000 elements
_MANY_TAGS = 15_000  # nested in one another, half a second
_BUDGET = 400_000  # formatting elements opened again, of 360 bytes each
_WORK = 200_000_000  # steps of about 4 ns each
_SIZE = 120_000_000  # bytes of a tree
_MOST_TAGS = 1_000_000  # whatever they are, they take more
_LONG = 100_000  # bytes; no shorter page has attributes for more than a second
_ATTRIBUTES = 25_000  # on one tag, each with a name of its own, a second

_ELEMENT, _TEXT, _ATTRIBUTE, _SCRAP = 190, 150, 280, 30  # bytes of the tree for each, at most
_REACH = 6  # open elements that an end tag may close besides its own; what it leaves open counts on

_FORMATTING_TAG = re.compile(
    rb"<[bcefinstu](?:|ig|ode|m|ont|obr|mall|trike|trong|t)[\s/]", re.IGNORECASE
)  # the bare ones: no more than three alike are opened again
_PLAIN_TEXT = re.compile(rb">[^<>\"']++(?=<)")  # no attributes in it: a ">" that ends no tag stands in quotes
_SPACE = rb"\t\n\f\r "
_TAG = re.compile(
    rb"<(/?)([a-z][^_/>]*)"
    rb"((?:[_/]++|[^_/>][^_/>=]*+[_]*+(?:=[_]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^_>]*+))?+)*+)".replace(
        b"_", _SPACE
    ),
    re.IGNORECASE,
)
_TOKEN = re.compile(
    _TAG.pattern + rb"|<!--(?:-?>|.*?(?:--!?>|\Z))|<[!?]",
    re.IGNORECASE | re.DOTALL,
)
_RAW = {
    name: re.compile(rb".*?(?:</" + name + rb"(?=[\t\n\f\r />])|\Z)", re.IGNORECASE | re.DOTALL)
    for name in (b"script", b"style", b"textarea", b"title", b"xmp", b"iframe", b"noembed", b"noframes")
}  # what such an element holds is text
_NAME = re.compile(
    rb"([^_/>][^_/>=]*+)[_]*+(?:=[_]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^_>]*+))?+".replace(b"_", _SPACE)
)

_FOREIGN = re.compile(rb"<(?:svg|math)[_/>]".replace(b"_", _SPACE), re.IGNORECASE)
# A drawing or formula that is read alike by all rules there are: no choice in it, nothing that leads back to HTML, no
# tag in a comment, and in those of its elements that hold text, text.
# No "<" in a tag: else each of many tags that are never closed is read to the end of the page.
_ATTRIBUTES_OF = rb"(?:[_/]++|[^_/><][^_/>=<]*+[_]*+(?:=[_]*+(?:\"[^\"<]*+\"|'[^'<]*+'|[^_>\"'<][^_><]*+))?+)*+>"
_PLAIN_FOREIGN = re.compile(
    (
        rb"<(svg|math)(?=[_/>])@(?:[^<]++|<!--[^<>-]*+-->|<!\[CDATA\[[^<\]]*+\]\]>"
        rb"|<(title|desc|style|mi|mo|mn|ms|mtext)(?=[_/>])@(?:[^<]++|<!\[CDATA\[[^<\]]*+\]\]>)*+</\2[_]*+>"
        rb"|</?(?!(?:svg|math|option|foreignobject|annotation-xml|script"
        rb"|title|desc|style|mi|mo|mn|ms|mtext)[_/>])[a-z][^_/><]*+@"
        rb")*+</\1[_]*+>"
    )
    .replace(b"@", _ATTRIBUTES_OF)
    .replace(b"_", _SPACE),
    re.IGNORECASE,
)


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


_FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
_VOID = _names(
    "area base basefont bgsound br col embed frame hr image img input keygen link meta param source track wbr"
)
_ONCE = _names("html head body")
# An end tag does not reach beyond one of these.
_WALLS = _names("table td th caption template object applet marquee select svg math button")
_CELLS = _names("td th")
_ROWS = _names("tbody thead tfoot caption colgroup")
_TABLE = _names("tr table") | _CELLS | _ROWS
# The end tag of another element does not reach beyond one of these either.
_BLOCKS = _names(
    "address article aside blockquote body center dd details dir div dl dt fieldset figcaption figure footer form "
    "frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html iframe li listing main menu nav noembed noframes noscript "
    "object ol p pre script search section style summary textarea title ul"
)
_SPECIAL = _BLOCKS | _TABLE | _WALLS
# Start tags that close what lies on top, should it be one of these.
_CLOSED_BY: dict[bytes, frozenset[bytes]] = {name: _names("p") for name in _BLOCKS}
_CLOSED_BY |= {
    b"li": _names("li p"),
    b"dd": _names("dd dt p"),
    b"dt": _names("dd dt p"),
    b"option": _names("option"),
    b"optgroup": _names("option"),
    b"td": _CELLS,
    b"th": _CELLS,
    b"tr": _CELLS | {b"tr"},
} | {name: _CELLS | _ROWS | {b"tr"} for name in _ROWS}
_LISTS = _names("ul ol menu dl")


def too_deep(body: bytes | str, limit: int = 5000) -> bool:
    """Whether building the tree of a page would stall: deeper than ``limit`` elements, about a second of work, or
    120 MB; or be unsafe.

    Takes time linear in the size of the body; for a page of few tags, that of counting them. A page can be refused
    that is merely very large and very odd.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    tags = body.count(b"<")
    if tags < _FEW_TAGS and len(body) < _LONG:
        return _foreign_choice(body.lower())
    if len(body) >= _LONG:
        if tags > _MOST_TAGS or _scraps(body) > _SIZE or _foreign_choice(body.lower()):
            return True
        if _separators(body) > _ATTRIBUTES and _separators(_PLAIN_TEXT.sub(b"", body)) > _ATTRIBUTES:
            return _stalls(body, limit if tags >= _MANY_TAGS else 2 * tags)
    elif _foreign_choice(body.lower()):
        return True
    if tags < _MANY_TAGS and len(_FORMATTING_TAG.findall(body)) * tags < _BUDGET:
        return False
    return _stalls(body, limit)


def _foreign_choice(body: bytes) -> bool:
    """Whether an ``<option selected>`` may stand in a drawing or formula; ``body`` is in lower case."""
    # Of the words that must be there the rarest first; rfind takes a third of the time that "in" takes.
    if body.rfind(b"<option") < 0 or b"selected" not in body or (b"<svg" not in body and b"<math" not in body):
        return False
    for _ in range(4):  # drawings in one another, the innermost first
        body, count = _PLAIN_FOREIGN.subn(b"", body)
        if not count:
            break
    found = _FOREIGN.search(body)
    return found is not None and body.find(b"<option", found.end()) >= 0


def _separators(body: bytes) -> int:
    """No fewer than there are attributes."""
    return len(body) - len(body.translate(None, b"\t\n\f\r /\"'"))


def _scraps(body: bytes) -> int:
    """Bytes that the text of a page takes, without its tags."""
    return 4 * len(body) + _SCRAP * (body.count(0) + body.count(b"&"))


def _stalls(body: bytes, limit: int) -> bool:
    """Read the tags once, keeping the open elements; formatting stays open until its own end tag comes."""
    stack: list[bytes] = []
    formatting: list[tuple[bytes, bytes]] = []  # name and attributes of what is opened again
    known: set[bytes] = set()  # names of tags and attributes
    size = _scraps(body)
    work = reopened = options = shared = at = 0
    drawing: int | None = None  # where the lowest drawing or formula stands among the open ones: other rules hold there
    while token := _TOKEN.search(body, at):
        at = token.end()
        close, name, text = token.groups()
        size += _TEXT
        if name is not None:
            name = name.lower()
            found = _NAME.findall(text) if text else ()
            count = len(found)
            size += _ATTRIBUTE * count
            if drawing is not None and drawing >= len(stack):
                drawing = None
            if close:
                if name == b"select" and b"select" in stack[-_REACH:]:
                    options = 0
                _end(stack, formatting, name)
            else:
                size += _ELEMENT
                if name in _ONCE:
                    shared += count  # they are added to those that are there
                    work += shared * count
                elif drawing is not None:
                    stack.append(name)
                elif name in _RAW and b"frameset" not in known and (name == b"script" or b"select" not in stack):
                    rest = _RAW[name].match(body, at)
                    assert rest is not None  # it can match nothing
                    at = rest.end()
                elif name not in _VOID:
                    _start(stack, name)
                    if name in (b"svg", b"math"):
                        drawing = len(stack) - 1
                    elif name == b"option" and b"select" in known:
                        options += 1
                        work += options
                if name in _FORMATTING:
                    if formatting[-64:].count((name, text)) < 3:  # of those alike no more are opened again
                        formatting.append((name, text))
                    work += len(formatting) * count
            work += count * count // 2
            if name in _SPECIAL:
                size += (_ELEMENT + _ATTRIBUTE // 2) * len(formatting)
            if not known.issuperset(found) or name not in known:
                before = len(known)
                known.update(found)
                known.add(name)
                work += (len(known) - before) * len(known) // 4
        depth = len(stack) + len(formatting)
        work += depth
        reopened += len(formatting)
        if depth > limit or work > _WORK or reopened > 2 * _BUDGET or size > _SIZE:
            return True
    return False


def _start(stack: list[bytes], name: bytes) -> None:
    """Push, after what the tag closes of itself."""
    closed = _CLOSED_BY.get(name)
    if closed is not None and (name not in _TABLE or b"table" in stack[-2 * _REACH :]):
        at = len(stack)
        for _ in range(_REACH):
            at -= 1
            if at < 0:
                break
            if stack[at] in closed:
                del stack[at:]
            elif name in _TABLE and stack[at] == b"p":
                continue
            elif stack[at] not in _FORMATTING or name in (b"option", b"optgroup"):
                break
    stack.append(name)


def _end(stack: list[bytes], formatting: list[tuple[bytes, bytes]], name: bytes) -> None:
    """Pop to the element that an end tag closes, if it is near and nothing stands before it."""
    if name in _FORMATTING:
        for at in range(len(formatting) - 1, max(-1, len(formatting) - 9), -1):
            if formatting[at][0] == name:
                del formatting[at]
                break
    top = len(stack)
    for at in range(top - 1, max(-1, top - 1 - _REACH), -1):
        each = stack[at]
        if each == name:
            if name in _FORMATTING or name == b"form":
                del stack[at]
            else:
                del stack[at:]
            return
        if name in _TABLE or name == b"template":
            if each in (b"table", b"template"):
                return
        elif each in _WALLS or (name not in _SPECIAL and each in _SPECIAL) or (name == b"li" and each in _LISTS):
            return
