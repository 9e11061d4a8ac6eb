"""Entries of feeds: every format in one form."""

import json
from datetime import UTC, datetime

import pytest

from scraper.errors import ContentError
from scraper.feeds.entries import Enclosure, Entry, read_entries
from scraper.feeds.node import Node
from scraper.feeds.source import Source
from scraper.item import to_item
from scraper.page import Item

URL = "http://news.test/feeds/all.xml"


def entries(text: str) -> list[Entry]:
    return list(read_entries(Source(text.encode(), URL)))


RSS_2 = """<?xml version="1.0"?><rss version="2.0" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:media="http://search.yahoo.com/mrss/">
<channel><title>News</title><link>http://news.test/</link><item>
 <title>One &amp; only</title><link> /one </link><guid isPermaLink="false">id-1</guid>
 <pubDate>Mon, 04 Mar 2024 05:06:07 GMT</pubDate><dc:creator>Ann</dc:creator>
 <category>a</category><category>b</category><category>a</category>
 <description><![CDATA[<p>Short</p>]]></description><content:encoded><![CDATA[<p>Long</p>]]></content:encoded>
 <enclosure url="one.mp3" length="123" type="audio/mpeg"/><media:content url="/one.jpg" type="image/jpeg"/>
</item><item><guid>http://news.test/two</guid><description>x</description></item></channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xml:base="http://news.test/blog/"><title>News</title>
<link rel="alternate" href="index.html"/><entry xml:base="2024/"><title type="html">One &amp;amp; only</title>
 <id>id-1</id><link rel="self" href="one.atom"/><link href="one.html"/>
 <link rel="enclosure" href="one.mp3" length="123" type="audio/mpeg"/>
 <published>2024-03-04T05:06:07Z</published><updated>2024-03-05T00:00:00+01:00</updated>
 <author><name>Ann</name><email>ann@news.test</email></author><category term="a" label="A"/>
 <source><title>Other</title><id>no</id></source><summary>Short</summary>
 <content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>Long <b>x</b>&lt;</p><br/></div></content>
</entry></feed>"""

RDF = """<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"><channel rdf:about="http://news.test/"><title>News</title></channel>
<item rdf:about="http://news.test/one"><title>One</title><dc:date>2024-03-04</dc:date><dc:subject>a</dc:subject></item>
</rdf:RDF>"""

JSON_FEED = """{"version": "https://jsonfeed.org/version/1.1", "title": "News", "items": [{"id": 1, "url": "/one",
 "title": "One", "content_html": "<p>Long</p>", "summary": "Short", "date_published": "2024-03-04T05:06:07Z",
 "authors": [{"name": "Ann"}], "tags": ["a"], "attachments": [{"url": "one.mp3", "mime_type": "audio/mpeg",
 "size_in_bytes": 123}]}, {"content_text": "x"}]}"""

MOMENT = datetime(2024, 3, 4, 5, 6, 7, tzinfo=UTC)


def test_rss() -> None:
    one, two = entries(RSS_2)
    assert one == Entry(
        id="id-1",
        link="http://news.test/one",
        title="One & only",
        published=MOMENT,
        author="Ann",
        summary="<p>Short</p>",
        content="<p>Long</p>",
        categories=["a", "b"],
        enclosures=[
            Enclosure("http://news.test/feeds/one.mp3", "audio/mpeg", 123),
            Enclosure("http://news.test/one.jpg", "image/jpeg"),
        ],
    )
    assert (two.id, two.link) == ("http://news.test/two", "http://news.test/two")
    assert isinstance(one.raw, Node) and one.raw.get("dc:creator") == "Ann"


def test_atom_with_its_bases() -> None:
    (one,) = entries(ATOM)
    assert one == Entry(
        id="id-1",
        link="http://news.test/blog/2024/one.html",
        title="One &amp; only",
        published=MOMENT,
        updated=datetime(2024, 3, 4, 23, tzinfo=UTC),
        author="Ann",
        summary="Short",
        content="<div><p>Long <b>x</b>&lt;</p><br></div>",
        categories=["A"],
        enclosures=[Enclosure("http://news.test/blog/2024/one.mp3", "audio/mpeg", 123)],
    )


def test_rss_1() -> None:
    (one,) = entries(RDF)
    expected = Entry(id="http://news.test/one", link="http://news.test/one", title="One", categories=["a"])
    expected.published = datetime(2024, 3, 4, tzinfo=UTC)
    assert one == expected


def test_json_feed() -> None:
    one, two = entries(JSON_FEED)
    assert one == Entry(
        id="1",
        link="http://news.test/one",
        title="One",
        published=MOMENT,
        author="Ann",
        summary="Short",
        content="<p>Long</p>",
        categories=["a"],
        enclosures=[Enclosure("http://news.test/feeds/one.mp3", "audio/mpeg", 123)],
    )
    assert (two.content, two.link) == ("x", None)
    assert one.raw["title"] == "One"


def test_a_json_feed_of_odd_shapes_costs_no_entry() -> None:
    odd = ({"id": 1, name: value} for name in ("authors", "author", "tags", "attachments") for value in (5, "ab", None))
    found = entries(json.dumps({"items": [*odd, "no object"]}))
    assert len(found) == 12
    assert all((each.id, each.author, each.categories, each.enclosures) == ("1", None, [], []) for each in found)


def test_an_entry_is_an_item_with_a_key() -> None:
    with_id, without = entries("<rss><channel><item><title>x</title><guid>g</guid></item><item/></channel></rss>")
    again = entries("<rss><channel><item><title>x</title><guid>g</guid></item><item/></channel></rss>")[1]
    item = to_item(with_id)
    assert isinstance(item, Item) and (item.kind, item.key) == ("entry", "g")
    assert without.id and without.id == again.id, "made of what it says"


def test_a_date_that_is_none_and_a_link_that_is_none_are_left_out() -> None:
    (one,) = entries("<rss><channel><item><link>mailto:x</link><pubDate>soon</pubDate></item></channel></rss>")
    assert (one.link, one.published) == (None, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [("<urlset/>", "XML whose root is <urlset>"), ("some text", "is text, no feed"), ("<!doctype html>", "HTML")],
    ids=["map", "text", "html"],
)
def test_what_is_no_feed_is_said_to_be_none(text: str, words: str) -> None:
    with pytest.raises(ContentError, match=words):
        entries(text)
