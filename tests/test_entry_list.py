"""What a form sends: the rules of the HTML standard, control by control."""

import pytest
from steps import lines_of

from scraper import FormRequest, Response, entry_list
from scraper.errors import ParseError
from scraper.form_choice import choose
from scraper.formdata import NO_FILE

Sent = list[tuple[str, object]]


def page(html: str, content_type: str = "text/html; charset=utf-8", url: str = "http://h.test/a/b?c=d") -> Response:
    return Response(url, 200, {"Content-Type": content_type}, html.encode())


def sent(html: str, **which: object) -> Sent:
    """What the first form of a page sends, with its first button."""
    arguments: dict[str, object] = dict.fromkeys(("formname", "formid", "formcss", "clickdata"))
    chosen = choose(page(html), **{**arguments, "formnumber": 0, "dont_click": False, **which})  # type: ignore[arg-type]
    return list(chosen.entries("utf-8"))


@pytest.mark.parametrize(
    ("controls", "expected"),
    [
        # written
        ("<input name=a value=1>", [("a", "1")]),
        ("<input name=a>", [("a", "")]),
        ("<input name=a type=unheard-of value=1>", [("a", "1")]),
        ("<input name='' value=1><input value=1>", []),
        ("<input name=a value='x\ny\r'>", [("a", "xy")]),
        ("<input name=a type=hidden value='x\ny'>", [("a", "x\ny")]),
        ("<input name=a type=email value=' x '>", [("a", "x")]),
        ("<input name=a type=password value=' x '>", [("a", " x ")]),
        ("<input name=a type=number value=x><input name=b type=number value=-1.5e3>", [("a", ""), ("b", "-1.5e3")]),
        ("<input name=a type=range><input name=b type=range min=10 max=20>", [("a", "50"), ("b", "15")]),
        ("<input name=a type=range value=7><input name=b type=range min=9 max=3>", [("a", "7"), ("b", "9")]),
        ("<input name=a type=color><input name=b type=color value=#ABCDEF>", [("a", "#000000"), ("b", "#abcdef")]),
        ("<input name=_CHARSET_ type=hidden value=x>", [("_CHARSET_", "utf-8")]),
        ("<input name=_charset_ value=x>", [("_charset_", "x")]),
        ("<textarea name=a>\nx\ny </textarea>", [("a", "x\ny ")]),
        ("<textarea name=a>\n\nx &lt;b&gt;</textarea>", [("a", "\nx <b>")]),
        ("<textarea name=a></textarea>", [("a", "")]),
        ("<input name=a dirname=d><textarea name=b dir=rtl dirname=e></textarea>", [
            ("a", ""), ("d", "ltr"), ("b", ""), ("e", "rtl")]),
        # checked
        ("<input name=a type=checkbox><input name=b type=checkbox checked>", [("b", "on")]),
        ("<input name=a type=checkbox checked value=1><input name=a type=CHECKBOX checked value=2>", [
            ("a", "1"), ("a", "2")]),
        ("<input name=a type=radio value=1><input name=a type=radio value=2>", []),
        ("<input name=a type=radio value=1 checked><input name=a type=radio value=2 checked>", [("a", "2")]),
        ("<input name=a type=radio value=1 checked><input name=b type=radio checked>", [("a", "1"), ("b", "on")]),
        # selected
        ("<select name=a><option>  x \n y <option value=z>Z</select>", [("a", "x y")]),
        ("<select name=a><option>x<option value='' selected>none</select>", [("a", "")]),
        ("<select name=a><option selected>x<option selected>y</select>", [("a", "y")]),
        ("<select name=a><option disabled>x<option>y</select>", [("a", "y")]),
        ("<select name=a><option disabled selected>x<option>y</select>", []),
        ("<select name=a><optgroup disabled><option>x</optgroup><optgroup><option>y</select>", [("a", "y")]),
        ("<select name=a size=3><option>x</select>", []),
        ("<select name=a size=1><option>x</select>", [("a", "x")]),
        ("<select name=a></select>", []),
        ("<select name=a multiple><option>x<option selected>y<option selected>z</select>", [("a", "y"), ("a", "z")]),
        ("<select name=a multiple><option>x</select>", []),
        # disabled
        ("<input name=a disabled><select name=b disabled><option>x</select><textarea name=c disabled></textarea>", []),
        ("<fieldset disabled><legend><input name=a></legend><legend><input name=b></legend><p><input name=c>"
         "</fieldset><input name=d>", [("a", ""), ("d", "")]),
        ("<fieldset disabled><legend><fieldset disabled><input name=a></fieldset></legend></fieldset>", []),
        ("<fieldset><input name=a></fieldset>", [("a", "")]),
        ("<datalist><input name=a></datalist>", []),
        ("<div dir=rtl><p dir=x><input name=a dirname=b></p></div>", [("a", ""), ("b", "rtl")]),
        ("<fieldset disabled><div><legend><input name=a></legend></div></fieldset>", []),
        ("<fieldset disabled><legend><input name=a></legend><p><fieldset><input name=b>", [("a", "")]),
        # buttons
        ("<button name=a value=1>x</button><input type=submit name=b>", [("a", "1")]),
        ("<input name=x><input type=submit name=a value=1><input type=submit name=b value=2>", [("x", ""), ("a", "1")]),
        ("<button type=button name=a>x</button><input type=button name=b><input type=reset name=c>", []),
        ("<button disabled name=a>x</button><button name=b>y</button>", [("b", "")]),
        ("<button type=nonsense name=a value=1>x</button>", [("a", "1")]),
        ("<input type=image name=a value=1>", [("a.x", "0"), ("a.y", "0")]),
        ("<input type=image>", [("x", "0"), ("y", "0")]),
        # files
        ("<input type=file name=a>", [("a", NO_FILE)]),
    ],
)  # fmt: skip
def test_a_control_sends(controls: str, expected: Sent) -> None:
    assert sent(f"<form>{controls}</form>") == expected


def test_they_are_sent_in_the_order_of_the_page() -> None:
    html = "<form><select name=b><option>1</select><input name=a><button name=c>x</button><textarea name=d></textarea>"
    assert [name for name, _ in sent(html)] == ["b", "a", "c", "d"]


@pytest.mark.parametrize(
    ("html", "names"),
    [
        ("<input name=before form=f><form id=f><input name=in></form><input name=after form=f>", "before in after"),
        ("<form id=f><input name=a form=g><input name=b form=''><input name=c></form><form id=g></form>", "c"),
        ("<p id=f></p><form id=f><input name=a></form><input name=b form=f>", "a"),
        ("<form id='a\"b\\'><input name=a></form><input name=b form='a\"b\\'>", "a b"),
        ("<form><input name=a></form><form><input name=b></form><input name=c>", "a"),
        # closed at once by the parser, as a form between the rows of a table is
        ("<table><form><tr><td><input name=a></td></tr><tr><td><input name=b></table><input name=c>", "a b"),
        ("<table><tr><form><td><input name=a></td></form></tr></table>", "a"),
        ("<input name=x><table><form><tr><td><input name=a></table>", "a"),
        ("<table><form><tr><td><input name=a></form><form><tr><td><input name=b></table>", "a"),
        ("<div><form><div><input name=a></form><input name=b></div>", "a b"),
    ],
)
def test_whose_control_it_is(html: str, names: str) -> None:
    assert [name for name, _ in sent(html)] == names.split()


@pytest.mark.parametrize(
    ("around", "control"),
    [
        ("<form>{}", "<input name=a value=1 dirname=b>"),
        ("<form><fieldset disabled><legend>{}", "<button name=a>"),
        ("<table><form><tr><td>{}", "<input name=a>"),
    ],
)
def test_controls_deep_down_are_not_each_a_walk_to_the_root(around: str, control: str) -> None:
    html = around.format("<span>" * 1000 + control * 1000)
    response = page(html)
    assert response.tree.css("form")
    steps = lines_of(entry_list, lambda: FormRequest.from_response(response, formcss="form, input"))
    assert 0 < steps < 300_000  # a walk for each is a million


FORMS = """<form name=one action=/1><input name=a></form><form id=two action=/2><p class=x><input name=b></p></form>
<form name=three action=/3></form>"""


@pytest.mark.parametrize(
    ("which", "path"),
    [
        ({}, "/1"),
        ({"formnumber": 2}, "/3"),
        ({"formnumber": -1}, "/3"),
        ({"formname": "three"}, "/3"),
        ({"formid": "two"}, "/2"),
        ({"formcss": "#two"}, "/2"),
        ({"formcss": "p.x input"}, "/2"),
        ({"formcss": "form[name=three]", "formnumber": 1}, "/3"),
        ({"formname": "one", "formid": "two"}, "/1"),
    ],
)
def test_which_form(which: dict[str, object], path: str) -> None:
    assert FormRequest.from_response(page(FORMS), **which).url.partition("?")[0] == f"http://h.test{path}"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("which", "says"),
    [
        ({"formnumber": 3}, "no form number 3 .from 0., there are 3"),
        ({"formname": "four"}, "no form with the name 'four'"),
        ({"formid": "one"}, "no form with the id 'one'"),
        ({"formcss": "b"}, "no form at 'b'"),
    ],
)
def test_a_form_that_is_not_there(which: dict[str, object], says: str) -> None:
    with pytest.raises(ParseError, match=f"there is {says} on http://h.test/a/b"):
        FormRequest.from_response(page(FORMS), **which)  # type: ignore[arg-type]
    with pytest.raises(ParseError, match="there is no form on http:"):
        FormRequest.from_response(page("<input name=a>"))


BUTTONS = """<form method=post action=/form enctype=multipart/form-data><input name=q value=1>
<button name=go value=a>A</button><button name=go value=b formaction=/b formmethod=get>B</button>
<button name=del formaction formenctype=text/plain id=d>C</button><button name=off disabled>D</button></form>"""


@pytest.mark.parametrize(
    ("which", "method", "url", "kind"),
    [
        ({}, "POST", "http://h.test/form", "multipart/form-data"),
        ({"clickdata": {"value": "b"}}, "GET", "http://h.test/b?q=1&go=b", None),
        ({"clickdata": {"id": "d"}}, "POST", "http://h.test/a/b?c=d", "text/plain"),
        ({"clickdata": {"name": "go", "nr": 1}}, "GET", "http://h.test/b?q=1&go=b", None),
        ({"clickdata": {"nr": 2}}, "POST", "http://h.test/a/b?c=d", "text/plain"),
        ({"dont_click": True, "method": "get"}, "GET", "http://h.test/form?q=1", None),
        ({"url": "../x", "clickdata": {"id": "d"}}, "POST", "http://h.test/x", "text/plain"),
    ],
)
def test_the_button_says_where_and_how(which: dict[str, object], method: str, url: str, kind: str | None) -> None:
    request = FormRequest.from_response(page(BUTTONS), **which)  # type: ignore[arg-type]
    assert (request.method, request.url) == (method, url)
    found = (request.headers or {}).get("Content-Type")
    assert found == kind if found is None or kind is None else found.startswith(kind)


@pytest.mark.parametrize("clickdata", [{"name": "go"}, {"name": "off"}, {"name": "none"}, {"nr": 3}, {"nr": -1}])
def test_clickdata_must_name_one_button(clickdata: dict[str, object]) -> None:
    with pytest.raises(ParseError, match="it must name one"):
        FormRequest.from_response(page(BUTTONS), clickdata=clickdata)


@pytest.mark.parametrize(
    ("attributes", "method", "url"),
    [
        ("", "GET", "http://h.test/a/b?x=1"),
        ("action=''", "GET", "http://h.test/a/b?x=1"),
        ("action=' /y '", "GET", "http://h.test/y?x=1"),
        ("action='z?old=1#part'", "GET", "http://h.test/base/z?x=1"),
        ("action='z?old=1' method=post", "POST", "http://h.test/base/z?old=1"),
        ("method=PUT", "GET", "http://h.test/a/b?x=1"),
        ("method=' post '", "POST", "http://h.test/a/b?c=d"),
    ],
)
def test_where_a_form_goes(attributes: str, method: str, url: str) -> None:
    response = page(f"<base href=/base/><form {attributes}><input name=x value=1></form>")
    request = FormRequest.from_response(response)
    assert (request.method, request.url) == (method, url)


def test_a_form_that_goes_nowhere() -> None:
    with pytest.raises(ParseError, match=r"goes to 'javascript:void\(0\)', not an http"):
        FormRequest.from_response(page("<form action=javascript:void(0)></form>"))
    with pytest.raises(ParseError, match="of a dialog and sends nothing"):
        FormRequest.from_response(page("<form method=dialog></form>"))
    assert FormRequest.from_response(page("<form method=dialog></form>"), method="POST").method == "POST"


@pytest.mark.parametrize(
    ("content_type", "attribute", "query"),
    [
        ("text/html; charset=utf-8", "", "x=%C3%A9%E2%82%AC%E6%97%A5"),
        ("text/html; charset=iso-8859-1", "", "x=%E9%80%26%2326085%3B"),
        ("text/html; charset=shift_jis", "", "x=%26%23233%3B%26%238364%3B%93%FA"),
        ("text/html; charset=utf-16le", "", "x=%C3%A9%E2%82%AC%E6%97%A5"),
        ("text/html; charset=iso-8859-1", "accept-charset='none UTF-8 latin1'", "x=%C3%A9%E2%82%AC%E6%97%A5"),
        ("text/html; charset=utf-8", "accept-charset=koi8-r", "x=%26%23233%3B%26%238364%3B%26%2326085%3B"),
    ],
)
def test_in_which_encoding(content_type: str, attribute: str, query: str) -> None:
    html = f"<form {attribute}><input name=x></form>"
    body = html.encode("utf-16-le" if "utf-16" in content_type else "ascii")
    response = Response("http://h.test/", 200, {"Content-Type": content_type}, body)
    assert FormRequest.from_response(response, formdata={"x": "é€日"}).url == f"http://h.test/?{query}"
