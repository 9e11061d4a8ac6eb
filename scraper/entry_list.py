"""What a form of a page would send: "constructing the entry list" of the HTML standard, over selectolax nodes.

Scripts are not run, and nothing is typed in: every control has the state that the page gives it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.formdata import NO_FILE, Entry

CONTROLS = "button, input, select, textarea"
_SPACES = re.compile(r"[\t\n\f\r ]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ROWS = ("table", "tbody", "thead", "tfoot", "tr")


class Around(NamedTuple):
    """What an element and all that it stands in mean for the controls in it."""

    form: LexborNode | None = None
    datalist: bool = False
    disabled: bool = False
    direction: str = ""


class Surroundings:
    """What the elements of one page stand in. Each is looked at once: a hostile page has thousands, one in another, and
    thousands of controls in these."""

    def __init__(self) -> None:
        self._known: dict[int, Around] = {}
        self._legends: dict[int, int | None] = {}

    def of(self, node: LexborNode) -> Around:
        """Of the node itself and what is around it."""
        path = []
        above: LexborNode | None = node
        while above is not None and above.mem_id not in self._known:
            path.append(above)
            above = above.parent
        around = Around() if above is None else self._known[above.mem_id]
        for each in reversed(path):
            around = self._known[each.mem_id] = self._inner(each, above, around)
            above = each
        return around

    def _inner(self, node: LexborNode, parent: LexborNode | None, around: Around) -> Around:
        if parent is not None and parent.mem_id in self._legends:
            around = around._replace(disabled=around.disabled or self._legends[parent.mem_id] != node.mem_id)
        tag = node.tag
        if tag == "form":
            around = around._replace(form=node)
        elif tag == "datalist":
            around = around._replace(datalist=True)
        elif tag == "fieldset" and "disabled" in node.attributes:  # what stands in its first legend is not
            legends = (child.mem_id for child in node.iter() if child.tag == "legend")
            self._legends[node.mem_id] = next(legends, None)
        if (given := _value(node, "dir").lower()) in ("ltr", "rtl"):
            around = around._replace(direction=given)
        return around


def controls(tree: LexborHTMLParser, form: LexborNode, surroundings: Surroundings) -> list[LexborNode]:
    """The controls whose form owner this is, in the order of the page."""
    name = form.attributes.get("id")
    if name and (first := tree.css_first(f'[id="{_css(name)}"]')) is not None and first.mem_id != form.mem_id:
        name = None  # another element has that id, so form= means that one
    # A form between the rows of a table is closed at once by the parser, but owns what follows in that table.
    parent = form.parent
    adrift = parent if parent is not None and parent.tag in _ROWS and form.first_child is None else None
    while adrift is not None and adrift.tag != "table":
        adrift = adrift.parent
    in_table = set() if adrift is None else {node.mem_id for node in adrift.css(CONTROLS)}
    later = False
    found = []
    for node in tree.css(f"form, {CONTROLS}"):
        if node.tag == "form":
            later = node.mem_id == form.mem_id
            continue
        given = node.attributes.get("form", "") if "form" in node.attributes else None
        if given is not None:
            mine = bool(name) and given == name
        else:
            owner = surroundings.of(node).form
            mine = owner.mem_id == form.mem_id if owner is not None else later and node.mem_id in in_table
        if mine:
            found.append(node)
    return found


def entry_list(
    nodes: list[LexborNode], clicked: LexborNode | None, encoding: str, surroundings: Surroundings
) -> list[Entry]:
    """Names and values that a form with these controls sends when ``clicked`` (a button, or None) sends it."""
    radios: dict[str, int] = {}
    for node in nodes:
        if kind_of(node) == "radio" and "checked" in node.attributes:
            radios[_value(node, "name")] = node.mem_id  # the last one checked unchecks the others
    entries: list[Entry] = []
    for node in nodes:
        if is_disabled(node, surroundings) or surroundings.of(node).datalist:
            continue
        kind = kind_of(node)
        name = _value(node, "name")
        if kind in ("submit", "image", "reset", "button"):
            if clicked is None or node.mem_id != clicked.mem_id:
                continue
            if kind == "image":
                start = f"{name}." if name else ""
                entries += [(f"{start}x", "0"), (f"{start}y", "0")]
                continue
        if not name:
            continue
        if kind == "select":
            entries += [(name, value) for value in _selected(node)]
        elif kind in ("checkbox", "radio"):
            checked = radios.get(name) == node.mem_id if kind == "radio" else "checked" in node.attributes
            if checked:
                entries.append((name, _value(node, "value", "on")))
        elif kind == "file":
            entries.append((name, NO_FILE))
        elif kind == "hidden" and name.lower() == "_charset_":
            entries.append((name, encoding))
        else:
            entries.append((name, _written(node, kind)))
        direction = _value(node, "dirname")
        if direction and kind in ("text", "search", "tel", "url", "email", "password", "textarea", "hidden"):
            entries.append((direction, surroundings.of(node).direction or "ltr"))
    return entries


def kind_of(node: LexborNode) -> str:
    """``select``, ``textarea``, or the type of an input or a button; one that is not known is ``text``."""
    tag = node.tag or ""
    if tag not in ("input", "button"):
        return tag
    kind = _value(node, "type").lower()
    if tag == "button":
        return kind if kind in ("reset", "button") else "submit"
    return kind or "text"


def is_disabled(node: LexborNode, surroundings: Surroundings) -> bool:
    """By itself, or by a fieldset around it."""
    return "disabled" in node.attributes or surroundings.of(node).disabled


def _selected(node: LexborNode) -> list[str]:
    options = node.css("option")
    chosen = [each for each in options if "selected" in each.attributes]
    groups = {group.mem_id for group in node.css("optgroup") if "disabled" in group.attributes}
    if "multiple" not in node.attributes:
        size = _value(node, "size")
        if not chosen and not (size.isdigit() and int(size[:9]) > 1):
            chosen = [each for each in options if not _is_off(each, groups)][:1]
        chosen = chosen[-1:]
    return [_option(each) for each in chosen if not _is_off(each, groups)]


def _is_off(option: LexborNode, groups: set[int]) -> bool:
    group = option.parent
    return "disabled" in option.attributes or (group is not None and group.mem_id in groups)


def _option(node: LexborNode) -> str:
    if "value" in node.attributes:
        return _value(node, "value")
    return _SPACES.sub(" ", node.text()).strip("\t\n\f\r ")


def _written(node: LexborNode, kind: str) -> str:
    """What stands in a control one can write in, after the sanitising that its type asks for."""
    if kind == "textarea":
        return node.text()
    text = _value(node, "value")
    if kind == "hidden":
        return text
    if kind == "range" and not _NUMBER.fullmatch(text):
        low, high = (_number(node, "min", 0.0), _number(node, "max", 100.0))
        return f"{low + (high - low) / 2 if high > low else low:g}"
    if kind == "number":
        return text if _NUMBER.fullmatch(text) else ""
    if kind == "color":
        return text.lower() if _COLOUR.fullmatch(text) else "#000000"
    text = text.replace("\r", "").replace("\n", "")
    return text.strip("\t\f ") if kind in ("url", "email") else text


def _number(node: LexborNode, name: str, default: float) -> float:
    text = _value(node, name)
    return float(text) if _NUMBER.fullmatch(text) else default


def _value(node: LexborNode, name: str, default: str = "") -> str:
    attributes = node.attributes
    return (attributes[name] or "") if name in attributes else default


def _css(text: str) -> str:
    """For a quoted string of a selector."""
    return "".join(f"\\{ord(each):x} " if each in '"\\\n\r\f' else each for each in text)
