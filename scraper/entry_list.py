"""What a form of a page would send: "constructing the entry list" of the HTML standard, over selectolax nodes.

Scripts are not run, and nothing is typed in: every control has the state that the page gives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from selectolax.lexbor import LexborHTMLParser, LexborNode

from scraper.formdata import NO_FILE, Entry

CONTROLS = "button, input, select, textarea"
_SPACES = re.compile(r"[\t\n\f\r ]+")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ROWS = ("table", "tbody", "thead", "tfoot", "tr")


def controls(tree: LexborHTMLParser, form: LexborNode) -> list[LexborNode]:
    """The controls whose form owner this is, in the order of the page."""
    name = form.attributes.get("id")
    if name and (first := tree.css_first(f'[id="{_css(name)}"]')) is not None and first.mem_id != form.mem_id:
        name = None  # another element has that id, so form= means that one
    # A form between the rows of a table is closed at once by the parser, but owns what follows in that table.
    parent = form.parent
    adrift = parent if parent is not None and parent.tag in _ROWS and form.first_child is None else None
    while adrift is not None and adrift.tag != "table":
        adrift = adrift.parent
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
            owner = ancestor(node, "form")
            mine = owner.mem_id == form.mem_id if owner is not None else False
            if owner is None and later and adrift is not None:
                mine = any(each.mem_id == adrift.mem_id for each in ancestors(node))
        if mine:
            found.append(node)
    return found


def entry_list(nodes: list[LexborNode], clicked: LexborNode | None, encoding: str) -> list[Entry]:
    """Names and values that a form with these controls sends when ``clicked`` (a button, or None) sends it."""
    radios: dict[str, int] = {}
    for node in nodes:
        if kind_of(node) == "radio" and "checked" in node.attributes:
            radios[_value(node, "name")] = node.mem_id  # the last one checked unchecks the others
    entries: list[Entry] = []
    for node in nodes:
        if is_disabled(node) or ancestor(node, "datalist") is not None:
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
            entries.append((direction, _direction(node)))
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


def is_disabled(node: LexborNode) -> bool:
    """By itself, or by a fieldset around it; what stands in the first legend of that is not."""
    if "disabled" in node.attributes:
        return True
    inner = node
    for each in ancestors(node):
        if each.tag == "fieldset" and "disabled" in each.attributes:
            legend = next((child for child in each.iter() if child.tag == "legend"), None)
            if legend is None or legend.mem_id != inner.mem_id:
                return True
        inner = each
    return False


def ancestors(node: LexborNode) -> Iterator[LexborNode]:
    """From the parent upwards."""
    above = node.parent
    while above is not None:
        yield above
        above = above.parent


def ancestor(node: LexborNode, tag: str) -> LexborNode | None:
    return next((each for each in ancestors(node) if each.tag == tag), None)


def _selected(node: LexborNode) -> list[str]:
    options = node.css("option")
    chosen = [each for each in options if "selected" in each.attributes]
    if "multiple" not in node.attributes:
        size = _value(node, "size")
        if not chosen and not (size.isdigit() and int(size[:9]) > 1):
            chosen = [each for each in options if not _is_off(each)][:1]
        chosen = chosen[-1:]
    return [_option(each) for each in chosen if not _is_off(each)]


def _is_off(option: LexborNode) -> bool:
    group = option.parent
    return "disabled" in option.attributes or (
        group is not None and group.tag == "optgroup" and "disabled" in group.attributes
    )


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


def _direction(node: LexborNode) -> str:
    for each in (node, *ancestors(node)):
        if (given := _value(each, "dir").lower()) in ("ltr", "rtl"):
            return given
    return "ltr"


def _value(node: LexborNode, name: str, default: str = "") -> str:
    attributes = node.attributes
    return (attributes[name] or "") if name in attributes else default


def _css(text: str) -> str:
    """For a quoted string of a selector."""
    return "".join(f"\\{ord(each):x} " if each in '"\\\n\r\f' else each for each in text)
