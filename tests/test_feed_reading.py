"""What feeds are read with: sources, XML within bounds, CSV, JSON and dates; in pieces, whatever comes."""

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from scraper.errors import ContentError, NestingError, ParseError
from scraper.feeds import markup, source
from scraper.feeds.dates import parse_date
from scraper.feeds.json_values import Broken, read_values
from scraper.feeds.maps import read_map
from scraper.feeds.node import Node, NodeReader
from scraper.feeds.source import Source
from scraper.feeds.table import Wrong, read_rows

URL = "http://shop.test/feed"


def of(content: bytes | str | Path, content_type: str = "", limit: int = 2**30) -> Source:
    return Source(content.encode() if isinstance(content, str) else content, URL, content_type, limit)


def nodes(content: bytes | str, tag: str = "item", **options: Any) -> list[Node]:
    return list(NodeReader(URL, tag, **options).read(of(content).pieces(markup=True)))


def whole_then(rows: Iterator[Any]) -> tuple[list[Any], ParseError]:
    """What came before the error, and the error."""
    found: list[Any] = []
    with pytest.raises(ParseError) as caught:
        for row in rows:
            found.append(row)
    return found, caught.value


# the source


@pytest.mark.parametrize(
    ("body", "content_type", "text"),
    [
        ("<a>é</a>".encode(), "", "<a>é</a>"),
        ("<a>é</a>".encode("latin-1"), "text/xml; charset=iso-8859-1", "<a>é</a>"),
        ('<?xml version="1.0" encoding="shift_jis"?><a>本</a>'.encode("shift_jis"), "", "<a>本</a>"),
        ("\ufeff<a>é</a>".encode("utf-16"), "", "<a>é</a>"),
        ("<a>é</a>".encode("utf-8-sig"), "text/xml; charset=iso-8859-1", "<a>é</a>"),
        ('<?xml version="1.0" encoding="utf-8"?><a>é</a>'.encode("latin-1"), "", "<a>\ufffd</a>"),
        ("a;é".encode("latin-1"), "text/csv", "a;é"),
        (("x" * 200_000 + ";é").encode(), "text/csv", ";é"),
    ],
    ids=["utf-8", "header", "declared", "utf-16", "bom-wins", "wrong", "guessed", "guessed-late"],
)
def test_any_encoding_becomes_utf_8(body: bytes, content_type: str, text: str) -> None:
    assert b"".join(of(body, content_type).pieces()).decode().endswith(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le", "shift_jis", "gb18030", "koi8-r"])
def test_a_character_may_be_cut_between_two_pieces(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "PIECE", 3)
    text = "аб" * 50 if encoding == "koi8-r" else "本語" * 50
    body = text.encode(encoding)
    assert b"".join(of(body, f"text/plain; charset={encoding}").pieces()).decode() == text


def test_a_feed_is_unpacked_as_often_as_it_was_packed() -> None:
    for layers in range(3):
        body = b"<urlset/>"
        for _ in range(layers):
            body = gzip.compress(body)
        assert of(body).look() == "urlset"


def test_a_bomb_goes_off_no_further_than_the_limit() -> None:
    with pytest.raises(ParseError, match="cannot be unpacked: more than 100000 bytes"):
        b"".join(of(gzip.compress(b"a" * 10_000_000), limit=100_000).pieces())


def test_a_cut_file_gives_what_was_whole() -> None:
    body = gzip.compress(("<r>" + "".join(f"<item>{n}</item>" for n in range(20_000)) + "</r>").encode())
    rows, error = whole_then(NodeReader(URL, "item").read(of(body[:-2000]).pieces(markup=True)))
    assert [row.text for row in rows] == [str(n) for n in range(len(rows))] and len(rows) > 1000
    assert "ends in the middle of its gzip data" in str(error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\xef\xbb\xbf \n<?xml version='1.0'?><!-- c --><s:urlset xmlns:s='x'>", "urlset"),
        (b'<?xml version="1.0"?>\n<rdf:RDF xmlns:rdf="x">', "rdf"),
        (b' {"items": []}', "json"),
        (b"http://shop.test/a\n", "text"),
        (b" \n", "empty"),
    ],
    ids=["urlset", "rdf", "json", "text", "empty"],
)
def test_what_it_is(body: bytes, kind: str) -> None:
    assert of(body).look() == kind


@pytest.mark.parametrize(
    "body",
    [b"<!doctype html><title>x", b"\n<HTML><p>", b"<!-- x --><html>", b"<?xml version='1.0'?><html xmlns='x'><p/>"],
    ids=["doctype", "upper", "comment", "xhtml"],
)
def test_html_is_said_to_be_html(body: bytes) -> None:
    with pytest.raises(ContentError, match="is an HTML page"):
        of(body, "text/xml").look()


# XML


def test_a_node_is_read_whatever_its_namespace() -> None:
    (one, two) = nodes(
        '<r xmlns:g="http://g/" xmlns="http://d/"><g:item id="1" g:x="2"><g:price c="EUR">3&nbsp;€</g:price>'
        "<link rel='next' href='n'/><b><![CDATA[<x>]]> &amp; y</b></g:item><item xmlns=''><price>4</price></item></r>"
    )
    assert (one.name, one.namespace, two.name, two.namespace) == ("item", "http://g/", "item", "")
    assert (one.get("price"), one.get("g:price"), two.get("price"), two.get("g:price")) == (
        "3\xa0€",
        "3\xa0€",
        "4",
        None,
    )
    assert (one.get("@id"), one.get("@g:x"), one.get("price/@c"), one.get("link[@rel='next']/@href")) == (
        "1",
        "2",
        "EUR",
        "n",
    )
    assert (one.get("b"), one.get("none"), one.get("none", "-"), one.getall("*")) == (
        "<x> & y",
        None,
        "-",
        ["3\xa0€", "", "<x> & y"],
    )
    assert one.attrib == {"id": "1", "x": "2"}
    price = one.find("price")
    assert price is not None and price.text == "3\xa0€"
    with pytest.raises(ParseError, match="is no path"):
        one.find("a[")


def test_a_node_can_be_asked_by_xpath() -> None:
    doc = '<r xmlns:g="http://g/"><item><g:price c="EUR">3</g:price><name>x</name></item></r>'
    (node,) = nodes(doc, namespaces={"q": "http://g/"})
    assert node.xpath("name/text()").get() == "x"
    assert node.xpath("g:price/@c").get() == node.xpath("//q:price/@c").get() == "EUR"


def test_a_tag_may_name_its_namespace() -> None:
    doc = '<r xmlns:g="http://g/"><g:item>1</g:item><item>2</item><x:item xmlns:x="http://g/">3</x:item></r>'
    assert [each.text for each in nodes(doc)] == ["1", "2", "3"]
    assert [each.text for each in nodes(doc, "g:item")] == ["1", "3"]
    assert [each.text for each in nodes(doc, "{http://g/}item")] == ["1", "3"]
    assert [each.text for each in nodes(doc, "q:item", namespaces={"q": "http://g/"})] == ["1", "3"]


def test_an_item_in_an_item_is_part_of_it() -> None:
    assert [each.text for each in nodes("<r><item>1<item>2</item></item><item>3</item></r>")] == ["12", "3"]


def test_prefixes_that_nobody_declared_and_bytes_that_xml_forbids_are_taken() -> None:
    (node,) = nodes(b"<r><item><media:title>a\x0b\x01b</media:title></item></r>")
    assert node.get("title") == "ab"


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
REFUSED = {
    "billion laughs": f'<!DOCTYPE r [<!ENTITY l0 "lol">{LAUGHS}]><r><item>&l11;</item></r>',
    "quadratic": f'<!DOCTYPE r [<!ENTITY a "{"a" * 50_000}">]><r><item>{"&a;" * 1000}</item></r>',
    "a file": '<!DOCTYPE r [<!ENTITY f SYSTEM "file:///etc/passwd">]><r><item>&f;</item></r>',
    "a parameter": '<!DOCTYPE r [<!ENTITY % f SYSTEM "http://127.0.0.1:9/x"> %f;]><r/>',
    "default attributes": f'<!DOCTYPE r [<!ATTLIST item a CDATA "{"a" * 50_000}">]><r>{"<item/>" * 1000}</r>',
}


@pytest.mark.parametrize("document", REFUSED.values(), ids=REFUSED)
def test_declared_entities_are_refused(document: str) -> None:
    with pytest.raises(ParseError, match="declares entities or default attributes"):
        nodes(document)


def test_an_external_dtd_is_not_asked_for() -> None:
    """RSS 0.91 has one; what it might declare stays as it is written."""
    doc = '<!DOCTYPE rss SYSTEM "http://127.0.0.1:9/rss.dtd"><r><item>&copy; &foo;</item></r>'
    assert [each.text for each in nodes(doc)] == ["© &foo;"]


def test_nesting_is_bounded() -> None:
    with pytest.raises(NestingError, match="more than 500 deep"):
        nodes("<r><item>" + "<a>" * 100_000)


BOUNDS: dict[str, tuple[Any, str]] = {
    "one tag": (("<r><item a='", "x" * 100_000), "a tag or comment of more than 300,000"),
    "one comment": (("<r><!--", "x" * 100_000), "a tag or comment of more than 300,000"),
    "one row": (("<r><item>", "text " * 10_000), "a row of more than 200,000"),
    "elements of a row": (("<r><item>", "<a/>" * 1000), "a row of more than 5,000 elements"),
    "prefixes": (("<r " + " ".join(f"xmlns:p{n}='u'" for n in range(200)) + ">",), "more than 100 prefixes"),
    "names": (("<r>", *[f"<n{n}/>" for n in range(2000)]), "more than 1,000 different names"),
}


@pytest.mark.parametrize(("pieces", "words"), BOUNDS.values(), ids=BOUNDS)
def test_what_would_grow_without_end_is_an_error(
    pieces: tuple[str, ...], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TOKEN": 300_000, "ROW": 200_000, "INSIDE": 5_000, "NAMES": 1_000, "PREFIXES": 100}.items():
        monkeypatch.setattr(markup, f"MOST_{name}", value)

    def endless() -> Iterator[bytes]:
        head, *rest = pieces
        yield head.encode()
        for _ in range(1000):
            yield from (each.encode() for each in rest)

    with pytest.raises(ParseError, match=words):
        list(NodeReader(URL, "item").read(endless()))


def test_truncated_xml_gives_what_was_whole() -> None:
    rows, error = whole_then(NodeReader(URL, "item").read(of("<r><item>1</item><item>2</item><item>3").pieces()))
    assert [row.text for row in rows] == ["1", "2"]
    assert "not well-formed XML" in str(error) and URL in str(error)


def large(path: Path, row: str, count: int, head: str = "", tail: str = "") -> Path:
    with path.open("w") as file:
        file.write(head)
        for number in range(count):
            file.write(row.replace("N", str(number)))
        file.write(tail)
    return path


PAD = "x" * 2000
LARGE: dict[str, Any] = {
    "map": (
        lambda source: read_map(source)[1],
        (f"<url><loc>http://shop.test/{PAD}/N</loc></url>\n", 2200, "<urlset>", "</urlset>"),
    ),
    "nodes": (
        lambda source: NodeReader(URL, "item").read(source.pieces(markup=True)),
        (f"<item><a>N</a><b>{PAD}</b></item>\n", 2200, "<r>", "</r>"),
    ),
    "csv": (read_rows, (f"N,{PAD}\n", 2200, "a,b\n")),
    "json": (lambda source: read_values(source, "a.b"), (f'{{"n": "N{PAD}"}},\n', 2200, '{"a":{"b":[', "0]}}")),
    "lines": (read_values, (f'{{"n": "N{PAD}"}}\n', 2200)),
}


@pytest.mark.parametrize(("read", "content"), LARGE.values(), ids=LARGE)
def test_megabytes_are_read_in_flat_memory(read: Any, content: Any, tmp_path: Path) -> None:
    path = large(tmp_path / "large", *content)
    assert path.stat().st_size > 4_000_000
    tracemalloc.start()
    try:
        count = sum(1 for _ in read(of(path)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count >= content[1]
    assert peak < 2_000_000, "the file, or its rows, were in memory as a whole"


# CSV


def rows_of(text: str | bytes, **options: Any) -> list[Any]:
    return list(read_rows(of(text, "text/csv"), **options))


def test_csv_rows_are_dicts() -> None:
    assert rows_of('\ufeffa,b\r\n"1, x","2 ""q""\nline"\r\n\r\n3,é\r\n') == [
        {"a": "1, x", "b": '2 "q"\nline'},
        {"a": "3", "b": "é"},
    ]
    assert rows_of("1;'2;3'\n", delimiter=";", quotechar="'", headers=["x", "y"]) == [{"x": "1", "y": "2;3"}]
    assert rows_of("a\tb\r1\t2\r", dialect="excel-tab") == [{"a": "1", "b": "2"}]
    assert rows_of("") == []


def test_a_row_of_the_wrong_length_is_told() -> None:
    assert rows_of("a,b\n1\n1,2\n1,2,3\n") == [
        Wrong(2, ["1"], "line 2: 1 values in place of 2"),
        {"a": "1", "b": "2"},
        Wrong(4, ["1", "2", "3"], "line 4: 3 values in place of 2"),
    ]


def test_what_is_no_csv_is_an_error_after_what_was_whole() -> None:
    rows, error = whole_then(read_rows(of('a,b\n1,2\n"' + "x" * 200_000)))
    assert rows == [{"a": "1", "b": "2"}]
    assert "no CSV from line" in str(error)
    with pytest.raises(ParseError, match="called alike: 'a'"):
        rows_of("a,a\n1,2\n")
    with pytest.raises(ContentError, match="HTML"):
        rows_of("<html>a,b")


# JSON


def values(text: str, path: str = "", **options: Any) -> list[Any]:
    return list(read_values(of(text), path, **options))


def test_json_arrays_are_found_and_read() -> None:
    assert values(' [1, "a,]", {"b": [2]}, null, 3.5e2] ') == [1, "a,]", {"b": [2]}, None, 350.0]
    assert values('{"x": {"data": [9]}, "data": {"z": [0], "items": [1, 2]}}', "data.items") == [1, 2]
    assert values("[]") == values("") == values('{"a": []}', "a") == []


@pytest.mark.parametrize("size", range(1, 9))
def test_a_value_may_be_cut_anywhere(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scraper.feeds.json_values.WINDOW", size)
    expected = [123456, -1.5e10, 'a\\u00e9"\\', True, None, {"long key": ["x", {}]}, 7]
    assert values('{"skip": [1, {"a": 2}], "a": ' + json.dumps(expected, indent=1) + "}", "a") == expected


@pytest.mark.parametrize(
    ("text", "path", "words", "whole"),
    [
        ("[1, 2,", "", "Expecting value", [1, 2]),
        ("[1 2]", "", "expected ',' or ']'", [1]),
        ('[1, {"a": nope}, ' + "1, " * 100 + "2]", "", "Expecting value", [1]),
        ('{"a": 1}', "b", "no key 'b'", []),
        ('{"a": {"b": 1}}', "a.b", "no array at 'a.b'", []),
        ('{"a": 1', "b", "it ends within an object", []),
        ("[" * 100_000, "", "nested too deeply", []),
        ("[1, " + "9" * 5000 + ", 3]", "", "4300 digits", [1]),
    ],
    ids=["cut", "comma", "bad", "no-key", "no-array", "open", "deep", "digits"],
)
def test_what_is_no_json_is_an_error_after_what_was_whole(text: str, path: str, words: str, whole: list[int]) -> None:
    rows, error = whole_then(read_values(of(text), path))
    assert rows == whole
    assert words in str(error)


def test_json_lines_and_a_line_that_is_none() -> None:
    found = values('{"a": 1}\n\n{"a": nope}\r\n[2]\n"last"')
    assert [found[0], *found[2:]] == [{"a": 1}, [2], "last"]
    assert isinstance(found[1], Broken) and (found[1].line, found[1].text) == (3, '{"a": nope}')


def test_one_object_over_many_lines_is_one_value() -> None:
    assert values('{\n "a": {\n  "b": 1}\n}\n') == [{"a": {"b": 1}}]


# dates


@pytest.mark.parametrize(
    ("text", "date"),
    [
        ("2024-03-04", datetime(2024, 3, 4, tzinfo=UTC)),
        ("2024", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-03", datetime(2024, 3, 1, tzinfo=UTC)),
        ("2024-03-04T05:06Z", datetime(2024, 3, 4, 5, 6, tzinfo=UTC)),
        (" 2024-03-04T05:06:07.1234567+02:00\n", datetime(2024, 3, 4, 3, 6, 7, 123456, tzinfo=UTC)),
        ("2024-03-04 05:06:07 +0530", datetime(2024, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))),
        ("2024-03-04T05:06:60Z", datetime(2024, 3, 4, 5, 6, 59, tzinfo=UTC)),
        ("20240304", datetime(2024, 3, 4, tzinfo=UTC)),
        ("Mon, 04 Mar 2024 05:06:07 GMT", datetime(2024, 3, 4, 5, 6, 7, tzinfo=UTC)),
        ("04 March 24 05:06 EST", datetime(2024, 3, 4, 10, 6, tzinfo=UTC)),
        ("Lun, 4 Mar 2024 05:06:07 GMT+2", datetime(2024, 3, 4, 3, 6, 7, tzinfo=UTC)),
        ("Mon, 04 Mar 2024", datetime(2024, 3, 4, tzinfo=UTC)),
        ("yesterday", None),
        ("2024-13-04", None),
        ("2024-03-04T25:00:00Z", None),
        ("", None),
        (None, None),
        ("1" * 500, None),
    ],
)
def test_dates_as_sites_write_them(text: str | None, date: datetime | None) -> None:
    found = parse_date(text)
    assert found == date
    assert found is None or found.tzinfo is not None
