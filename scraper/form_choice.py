"""Which form of a page is meant, which of its buttons, and where that sends it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scraper.encoding import label_to_codec
from scraper.entry_list import Surroundings, controls, entry_list, is_disabled, kind_of
from scraper.errors import ParseError
from scraper.formdata import MULTIPART, PLAIN, URLENCODED, Entry

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

    from scraper.response import Response


class Chosen:
    """A form and the button (or None) that sends it.

    ``url`` is None when ``action`` is no http(s) URL; ``method`` is GET, POST or DIALOG.
    """

    def __init__(
        self,
        response: Response,
        form: LexborNode,
        nodes: list[LexborNode],
        button: LexborNode | None,
        surroundings: Surroundings,
    ) -> None:
        self._nodes = nodes
        self._surroundings = surroundings
        self._button = button
        own = {} if button is None else button.attributes
        attributes = form.attributes

        def said(name: str) -> str:
            return (own.get(f"form{name}") or "" if f"form{name}" in own else attributes.get(name) or "").strip()

        self.action = said("action")
        # An empty action is the page itself, not its base.
        self.url = response.resolver[self.action] if self.action else response.url
        method = said("method").upper()
        self.method = method if method in ("POST", "DIALOG") else "GET"
        enctype = said("enctype").lower()
        self.enctype = enctype if enctype in (MULTIPART, PLAIN) else URLENCODED
        labels = (attributes.get("accept-charset") or "").split()
        name = next((name for label in labels if (name := label_to_codec(label))), response.encoding)
        self.encoding = "utf-8" if name == "replacement" or name.startswith("utf-16") else name

    def entries(self, encoding: str) -> list[Entry]:
        """What it sends."""
        return entry_list(self._nodes, self._button, encoding, self._surroundings)


def choose(
    response: Response,
    formname: str | None,
    formid: str | None,
    formcss: str | None,
    formnumber: int,
    clickdata: Mapping[str, Any] | None,
    dont_click: bool,
    formxpath: str | None = None,
) -> Chosen:
    """The arguments are those of ``FormRequest.from_response``. Raises ParseError for what is not there."""
    surroundings = Surroundings()
    form = _form(response, formname, formid, formcss, formxpath, formnumber, surroundings)
    nodes = controls(response.tree, form, surroundings)
    button = None if dont_click else _button(response, nodes, clickdata, surroundings)
    return Chosen(response, form, nodes, button, surroundings)


def _form(
    response: Response,
    formname: str | None,
    formid: str | None,
    formcss: str | None,
    formxpath: str | None,
    formnumber: int,
    surroundings: Surroundings,
) -> LexborNode:
    forms = response.tree.css("form")
    if not forms:
        raise ParseError(f"there is no form on {response.url}", request=response.request)
    if formname is not None or formid is not None:
        name, value = ("name", formname) if formname is not None else ("id", formid)
        forms = [form for form in forms if form.attributes.get(name) == value]
        wanted = f"with the {name} {value!r}"
    elif formcss is not None:
        found: list[LexborNode] = []
        for match in response.css(formcss):
            above = None if match.node is None else surroundings.of(match.node).form
            found += [] if above is None else [above]
        forms = found
        wanted = f"at {formcss!r}"
    elif formxpath is not None:
        forms, wanted = _at_xpath(response, formxpath, forms), f"at {formxpath!r}"
    else:
        if -len(forms) <= formnumber < len(forms):
            return forms[formnumber]
        forms, wanted = [], f"number {formnumber} (from 0), there are {len(forms)}"
    if not forms:
        raise ParseError(f"there is no form {wanted} on {response.url}", request=response.request)
    return forms[0]


def _at_xpath(response: Response, formxpath: str, forms: list[LexborNode]) -> list[LexborNode]:
    """The forms that an XPath leads to, or into. They are the same in both trees when there are as many in each."""
    theirs = [match.root for match in response.xpath("//form")]
    if len(theirs) != len(forms):
        raise ParseError(
            f"the forms of {response.url} are broken, so that formxpath cannot tell them apart; use formcss",
            request=response.request,
        )
    found = []
    for match in response.xpath(formxpath):
        node = match.root
        while node is not None and node not in theirs:
            node = node.getparent()
        found += [] if node is None else [forms[theirs.index(node)]]
    return found


def _button(
    response: Response, nodes: list[LexborNode], clickdata: Mapping[str, Any] | None, surroundings: Surroundings
) -> LexborNode | None:
    buttons = [node for node in nodes if kind_of(node) in ("submit", "image") and not is_disabled(node, surroundings)]
    if clickdata is None:
        return buttons[0] if buttons else None
    wanted = {name: str(value) for name, value in clickdata.items() if name != "nr"}
    fits = [
        node for node in buttons if all((node.attributes.get(name) or "") == value for name, value in wanted.items())
    ]
    number: int = clickdata.get("nr", 0)
    if not fits or ("nr" not in clickdata and len(fits) > 1) or not 0 <= number < len(fits):
        raise ParseError(
            f"{len(fits)} of the {len(buttons)} buttons of the form on {response.url} are what clickdata says "
            f"({dict(clickdata)!r:.200}); it must name one, if need be by nr",
            request=response.request,
        )
    return fits[number]
