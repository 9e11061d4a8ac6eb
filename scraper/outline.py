"""What building the tree of a page would cost, told from its tags alone.

The same stack of open elements and list of formatting elements as in the standard's tree construction
(https://html.spec.whatwg.org/multipage/parsing.html#tree-construction), without the tree. It is an outline: where a
page is odd enough (a template in a select) an element may count as open that a parser has closed, or its content as
SVG that a parser takes for HTML. `scraper.nesting` asks it about the few pages that it cannot judge more cheaply.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

__all__ = ["BUDGET", "FORMATTING", "MOST_TAGS", "REOPEN", "Outline"]

BUDGET = 200_000_000
"""Steps of the parser, of 3 to 5 ns each: a second at the very most."""
REOPEN = 200
"""Steps to open a formatting element once more: about a microsecond and 360 bytes."""
MOST_TAGS = 250_000
"""Tags read at most: two seconds of our own work."""
_LONG_TAG = 1_000  # bytes of attributes from which they are counted

_SPACE = rb"\t\n\f\r "
_ATTRIBUTE = rb"[^%(s)s/>][^%(s)s/>=]*+(?:[%(s)s]*+=[%(s)s]*+(?:\"[^\"]*+(?:\"|\Z)|'[^']*+(?:'|\Z)|[^%(s)s>]*+))?+" % {
    b"s": _SPACE
}
_TOKEN = re.compile(
    rb"<(?:"
    rb"(/?)([a-zA-Z][^%(s)s/>]*+)((?:[%(s)s]++|/(?!>)|%(a)s)*+)(/?)(?:>|\Z)"  # close, name, attributes, self-closing
    rb"|!--(?:-?>|.*?(?:--!?>|\Z))"
    rb"|(!\[CDATA\[)"
    rb"|[!?/][^>]*+(?:>|\Z))" % {b"s": _SPACE, b"a": _ATTRIBUTE},
    re.DOTALL,
)
_ONE_ATTRIBUTE = re.compile(_ATTRIBUTE)
_FONT_STYLE = re.compile(rb"\b(?:color|face|size)\b", re.IGNORECASE)
_SCRIPT_MARK = re.compile(rb"<!--|-->|<(/?)script(?=[\t\n\f\r />])", re.IGNORECASE)


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


# The standard's sets of elements. A name with a colon is that of an SVG or MathML element.
FORMATTING = _names("a b big code em font i nobr s small strike strong tt u")
_VOID = _names("area base basefont bgsound br col embed frame hr image img input keygen link meta param source")
_VOID |= _names("track wbr")
_ONCE = _names("html head body frameset")
_RAW = _names("script style textarea title xmp iframe noembed noframes")
_HEADINGS = _names("h1 h2 h3 h4 h5 h6")
_BLOCKS = _names(
    "address article aside blockquote button center details dialog dir div dl fieldset figcaption figure footer header "
    "hgroup listing main menu nav ol pre section summary ul"
)
_CLOSES_P = (_BLOCKS - {b"button"}) | _HEADINGS | _names("p li dd dt form search table hr xmp plaintext")
_TABLE_PARTS = _names("td th tr tbody thead tfoot caption colgroup")
_IMPLIED = _names("dd dt li optgroup option p rb rp rt")
_MARKERS = _names("td th caption object applet marquee template")
_SVG_TO_HTML = _names("foreignobject desc title")
_MATH_TO_HTML = _names("mi mo mn ms mtext")
_LEAVES_FOREIGN = _names(
    "b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    "nobr ol p pre ruby s small span strong strike sub sup table tt u ul var"
)
_KEEPS_CLOSED = _CLOSES_P | _RAW | {b"noscript"}
# What a search for an open element does not look past.
_TABLE_SCOPE = _names("table template")
_SCOPE = _TABLE_SCOPE | _MARKERS | {b"select"} | {b"svg:" + name for name in _SVG_TO_HTML}
_SCOPE |= {b"math:" + name for name in _MATH_TO_HTML}
_SPECIAL = _SCOPE | _BLOCKS | _HEADINGS | _TABLE_PARTS | _names("p li dd dt form search noscript")
_BARRIERS = {
    **dict.fromkeys(_BLOCKS | _HEADINGS | _MARKERS | _names("dd dt form select"), _SCOPE),
    **dict.fromkeys(_TABLE_PARTS | _TABLE_SCOPE, _TABLE_SCOPE),
    b"p": _SCOPE | {b"button"},
    b"li": _SCOPE | {b"ol", b"ul"},
}
# The rows and sections that the parser puts between a table and its part.
_TABLE_PATH = {b"td": (b"tbody", b"tr"), b"th": (b"tbody", b"tr"), b"tr": (b"tbody",)}
_TABLE_ROWS = {b"td": _names("tr"), b"th": _names("tr"), b"tr": _names("tbody thead tfoot")}


class _Formatting:
    """A formatting element that is to be opened again wherever something else closed it."""

    __slots__ = ("is_open", "key", "name")

    def __init__(self, name: bytes, attributes: bytes) -> None:
        self.name = name
        self.key = (name, attributes.strip())
        self.is_open = True


class Outline:
    """The open elements and the formatting elements of a page, while its tags are read once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._names: list[bytes] = []
        self._foreign: list[bytes] = []  # for each open element: whether its content is b"svg", b"math" or HTML
        self._entries: list[_Formatting | None] = []
        self._open: Counter[bytes] = Counter()
        self._active: list[_Formatting] = []
        self._marks: list[int] = []  # where in it the formatting of each open cell, object ... begins
        self._form = False
        self._work = 0

    def exceeds(self, body: bytes) -> bool:
        at = 0
        names, foreign = self._names, self._foreign
        while token := _TOKEN.search(body, at):
            close, name, attributes, slash, cdata = token.groups()
            if self._active and token.start() > at:
                self._reopen()  # text
            at = token.end()
            if name is None:
                if cdata:
                    end = body.find(b"]]>" if foreign and foreign[-1] else b">", at)
                    at = end + 1 if end >= 0 else len(body)
                continue
            name = name.lower()
            if close:
                self._end(name)
            else:
                if len(attributes) > _LONG_TAG:
                    count = len(_ONE_ATTRIBUTE.findall(attributes))
                    self._work += count * count // 2
                if self._start(name, attributes, bool(slash)):
                    if name == b"plaintext":
                        return False
                    at = _raw_end(body, name, at)
            self._work += len(names)
            if len(names) > self._limit or self._work > BUDGET:
                return True
        return False

    def _start(self, name: bytes, attributes: bytes, slash: bool) -> bool:
        """Opens an element. True when its content is text alone."""
        if self._foreign and (space := self._foreign[-1]):
            if name not in _LEAVES_FOREIGN and not (name == b"font" and _FONT_STYLE.search(attributes)):
                if not slash:
                    to_html = name in (_SVG_TO_HTML if space == b"svg" else _MATH_TO_HTML)
                    to_html = to_html or (name == b"annotation-xml" and b"html" in attributes.lower())
                    self._push(b"%s:%s" % (space, name), b"" if to_html else space)
                return False
            self._leave_foreign()
        if name in _ONCE:
            self._work += len(attributes)  # their attributes go to the one element that there is
            return False
        if name in _TABLE_PARTS:
            self._start_table_part(name)
            return False
        if name == b"form" and self._form and not self._open[b"template"]:
            return False
        if name in (b"input", b"keygen", b"textarea") or (name == b"select" and self._open[name]):
            if self._close(b"select") and name == b"select":
                return False
        elif name in _CLOSES_P:
            if name in (b"li", b"dd", b"dt"):
                self._close_item((b"li",) if name == b"li" else (b"dd", b"dt"))
            self._close(b"p")
            if name in _HEADINGS:
                self._close_top(_HEADINGS)
            elif name == b"form":
                self._form = True
            elif name == b"table":
                self._leave_table()
        elif name == b"button":
            self._close(name)
        elif name in (b"option", b"optgroup"):
            self._close_top((b"option",))
            if name == b"optgroup" and self._open[b"select"]:
                self._close_top((b"optgroup",))
        elif name in (b"rb", b"rt", b"rtc", b"rp") and self._find(b"ruby", _SCOPE) >= 0:
            while self._close_top(_IMPLIED | {b"rtc"} if name in (b"rb", b"rtc") else _IMPLIED):
                pass
        if self._active and name not in _KEEPS_CLOSED:
            self._reopen()
        if name in FORMATTING:
            self._start_formatting(name, attributes)
        elif name in _RAW or name == b"plaintext":
            return True
        elif name not in _VOID:
            self._push(name, name if name in (b"svg", b"math") else b"")
            if slash and self._foreign[-1]:
                self._pop(len(self._names) - 1)
        return False

    def _end(self, name: bytes) -> None:
        """Closes what an end tag closes; often nothing."""
        names = self._names
        if self._foreign and self._foreign[-1]:
            if name in (b"p", b"br"):
                self._leave_foreign()
            at = len(names)
            while at and self._foreign[at - 1]:
                at -= 1
                self._work += 1
                if names[at].rpartition(b":")[2] == name:
                    self._pop(at)
                    return
        elif names and names[-1] in (b"svg:" + name, b"math:" + name):  # it holds HTML
            self._pop(len(names) - 1)
            return
        if name in FORMATTING:
            self._end_formatting(name)
        elif name in _HEADINGS:
            for at in range(len(names) - 1, -1, -1):
                self._work += 1
                if names[at] in _HEADINGS:
                    self._pop(at)
                if at >= len(names) or names[at] in _SCOPE:
                    return
        elif name == b"form" and not self._open[b"template"]:
            self._form = False
            at = self._find(name, _SCOPE)
            if at >= 0:
                self._remove(at)
        else:
            self._close(name)

    def _start_table_part(self, name: bytes) -> None:
        """A cell, row or section closes what its row or table cannot hold; without a table it is nothing."""
        names = self._names
        at = len(names) - 1
        rows = _TABLE_ROWS.get(name, frozenset())
        while at >= 0 and names[at] not in _TABLE_SCOPE and names[at] not in rows:
            at -= 1
        self._work += len(names) - at
        if at < 0:
            return
        if names[at] != b"template":
            self._pop(at + 1)
            path = _TABLE_PATH.get(name, ())
            for row in path if names[at] == b"table" else path[1:] if names[at] not in rows else ():
                self._push(row)
        self._push(name)

    def _leave_table(self) -> None:
        """A table right in a table, not in a cell or caption of it, ends that one."""
        for at in range(len(self._names) - 1, -1, -1):
            self._work += 1
            if self._names[at] == b"table":
                self._pop(at)
            if at >= len(self._names) or self._names[at] in (b"td", b"th", b"caption", b"template"):
                return

    def _close_item(self, items: tuple[bytes, ...]) -> None:
        """The item of a list that a new item ends."""
        names = self._names
        if any(self._open[item] for item in items):
            for at in range(len(names) - 1, -1, -1):
                self._work += 1
                if names[at] in items:
                    self._pop(at)
                    return
                if names[at] in _SPECIAL and names[at] not in (b"address", b"div", b"p"):
                    return

    def _start_formatting(self, name: bytes, attributes: bytes) -> None:
        floor = self._marks[-1] if self._marks else 0
        if name in (b"a", b"nobr") and any(entry.name == name for entry in self._active[floor:]):
            self._end_formatting(name)
            self._reopen()
        entry = _Formatting(name, attributes)
        twins = [at for at in range(floor, len(self._active)) if self._active[at].key == entry.key]
        if len(twins) >= 3:  # the standard opens no more of a kind again
            del self._active[twins[0]]
        self._work += 10 * (len(self._active) - floor)
        self._active.append(entry)
        self._push(name, entry=entry)

    def _end_formatting(self, name: bytes) -> None:
        """The standard's "adoption agency", by its effect on the open elements."""
        names, entries = self._names, self._entries
        floor = self._marks[-1] if self._marks else 0
        index = next((at for at in range(len(self._active) - 1, floor - 1, -1) if self._active[at].name == name), -1)
        self._work += 10 * (len(self._active) - floor)
        if index < 0:
            self._close(name)
            return
        entry = self._active[index]
        at = last = len(names) - 1
        while entry.is_open and entries[at] is not entry:
            if names[at] in _SCOPE:
                return
            if names[at] in _SPECIAL and names[last] not in _SPECIAL:
                last = at
            at -= 1
        self._work += len(names) - at
        del self._active[index]
        if not entry.is_open:
            return
        if names[last] not in _SPECIAL:
            self._pop(at)
            return
        # What lies between the element and the last block within it stays open, but for plain inline elements.
        self._pop(last + 1)
        for inner in range(last - 1, at - 1, -1):
            if inner == at or (names[inner] not in _SPECIAL and entries[inner] is None):
                self._remove(inner)

    def _reopen(self) -> None:
        """Opens the formatting elements again that something else has closed."""
        floor = self._marks[-1] if self._marks else 0
        at = len(self._active)
        while at > floor and not self._active[at - 1].is_open:
            at -= 1
        for entry in self._active[at:]:
            entry.is_open = True
            self._push(entry.name, entry=entry)
            self._work += REOPEN
            if self._work > BUDGET:
                return

    def _push(self, name: bytes, foreign: bytes = b"", entry: _Formatting | None = None) -> None:
        self._names.append(name)
        self._foreign.append(foreign)
        self._entries.append(entry)
        self._open[name] += 1
        if name in _MARKERS:
            self._marks.append(len(self._active))

    def _pop(self, at: int) -> None:
        """Closes the elements from index ``at`` up."""
        for name, entry in zip(reversed(self._names[at:]), reversed(self._entries[at:]), strict=True):
            self._open[name] -= 1
            if entry is not None:
                entry.is_open = False
            elif name in _MARKERS:
                del self._active[self._marks.pop() :]
        del self._names[at:], self._foreign[at:], self._entries[at:]

    def _remove(self, at: int) -> None:
        self._open[self._names[at]] -= 1
        del self._names[at], self._foreign[at], self._entries[at]

    def _leave_foreign(self) -> None:
        while self._foreign and self._foreign[-1]:
            self._pop(len(self._names) - 1)

    def _close_top(self, names: Collection[bytes]) -> bool:
        if self._names and self._names[-1] in names:
            self._pop(len(self._names) - 1)
            return True
        return False

    def _close(self, name: bytes) -> bool:
        """Closes the innermost element of that name, and what is open in it, when it is in scope."""
        at = self._find(name, _BARRIERS.get(name, _SPECIAL))
        if at >= 0:
            self._pop(at)
        return at >= 0

    def _find(self, name: bytes, barriers: frozenset[bytes]) -> int:
        """The index of the innermost open element of that name, or -1 when none is, or a barrier comes first."""
        if not self._open[name]:
            return -1
        names = self._names
        at = len(names) - 1
        while names[at] != name:
            if names[at] in barriers:
                at = -1
                break
            at -= 1
        self._work += len(names) - at
        return at


def _raw_end(body: bytes, name: bytes, at: int) -> int:
    """Where the text content of a raw element that begins at ``at`` ends."""
    if name != b"script":
        end = re.compile(rb"</%s(?=[\t\n\f\r />])" % name, re.IGNORECASE).search(body, at)
        return end.start() if end else len(body)
    escaped = False  # within <!-- -->
    nested = False  # within <script> in that: then </script> ends only the inner one
    while mark := _SCRIPT_MARK.search(body, at):
        at = mark.end()
        if mark[0] == b"<!--":
            escaped, at = True, at - 2  # "<!-->" both opens and closes
        elif mark[0] == b"-->":
            escaped = nested = False
        elif not mark[1]:
            nested = escaped
        elif not nested:
            return mark.start()
        else:
            nested = False
    return len(body)
