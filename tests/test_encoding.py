"""Bytes become the text that a browser would show, whatever the server calls them."""

import random

import pytest

from scraper.encoding import decode, is_utf8, label_to_codec, sniff

HTML = "text/html"
LATIN = b"caf\xe9"


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("utf-8", "utf-8"),
        ("UTF8", "utf-8"),
        (" \t\n\f\rUtf-8 ", "utf-8"),
        ("unicode-1-1-utf-8", "utf-8"),
        ("iso-8859-1", "windows-1252"),
        ("latin1", "windows-1252"),
        ("us-ascii", "windows-1252"),
        ("iso-8859-9", "windows-1254"),
        ("iso-8859-11", "windows-874"),
        ("iso-8859-8-i", "iso-8859-8-i"),
        ("gb2312", "gbk"),
        ("ks_c_5601-1987", "euc-kr"),
        ("windows-31j", "shift_jis"),
        ("x-x-big5", "big5"),
        ("utf-16", "utf-16le"),
        ("hz-gb-2312", "replacement"),
        ("x-mac-ukrainian", "x-mac-cyrillic"),
        # continuation lines of the table
        ("sun_eu_greek", "iso-8859-7"),
        ("x-cp1252", "windows-1252"),
        ("iso-ir-127", "iso-8859-6"),
        # what Python knows and the web does not
        ("utf-7", None),
        ("cp437", None),
        ("zlib", None),
        ("rot13", None),
        ("idna", None),
        ("utf-8-sig", None),
        ("utf 8", None),
        ("", None),
        ("\ud800\0é", None),
    ],
)
def test_labels_are_those_of_the_web(label: str, name: str | None) -> None:
    assert label_to_codec(label) == name


@pytest.mark.parametrize(
    ("body", "content_type", "encoding"),
    [
        # a byte order mark beats all
        (b"\xef\xbb\xbfa", "text/html; charset=windows-1251", "utf-8"),
        (b"\xff\xfea\0", "text/html; charset=utf-8", "utf-16le"),
        (b"\xfe\xff\0a", None, "utf-16be"),
        # the header
        (LATIN, "text/html; charset=utf-8", "utf-8"),
        (b"<meta charset=koi8-r>", "text/html;charset=UTF8", "utf-8"),
        (LATIN, 'text/html; CharSet = "windows-1251" ', "windows-1251"),
        (LATIN, "text/html; charset='windows-1251'", "windows-1251"),
        (LATIN, "text/html; charset=windows-1251; charset=utf-8", "windows-1251"),
        (LATIN, "text/html, text/html; charset=windows-1251", "windows-1251"),
        (LATIN, "text/html; xcharset=windows-1251", "windows-1252"),
        (LATIN, "charset", "windows-1252"),
        (b"<meta charset=koi8-r>", "text/html; charset=nonsense", "koi8-r"),
        (b"<meta charset=koi8-r>", "text/html; charset=", "koi8-r"),
        # the page itself
        (b"<meta charset=windows-1251>", None, "windows-1251"),
        (b"<META CHARSET='Windows-1251'>", HTML, "windows-1251"),
        (b"<meta/charset=koi8-r>", HTML, "koi8-r"),
        (b'<meta name=a charset = "koi8-r" />', HTML, "koi8-r"),
        (b'<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">', HTML, "koi8-r"),
        (b"<meta content=\"a; CHARSET = 'koi8-r' ; b\" http-equiv=content-type>", HTML, "koi8-r"),
        (b'<meta content="text/html; charset=koi8-r">', HTML, "windows-1252"),
        (b'<meta http-equiv=refresh content="0; charset=koi8-r">', HTML, "windows-1252"),
        (b'<meta http-equiv=content-type content="charset=\'koi8-r">', HTML, "windows-1252"),
        (b"<metacharset=koi8-r>", HTML, "windows-1252"),
        (b"<meta charset=nonsense><meta charset=koi8-r>", HTML, "koi8-r"),
        (b"<meta charset=koi8-r><meta charset=utf-8>", HTML, "koi8-r"),
        (b"<meta charset=koi8-r charset=utf-8>", HTML, "koi8-r"),
        (b"<!-- <meta charset=utf-8> --><meta charset=koi8-r>", HTML, "koi8-r"),
        (b"<!--><meta charset=koi8-r>", HTML, "koi8-r"),
        (b"<!-- <meta charset=koi8-r>", HTML, "windows-1252"),
        (b"<!doctype html><?x?></b><meta charset=koi8-r>", HTML, "koi8-r"),
        (b'<p title="<meta charset=utf-8>" a=b><meta charset=koi8-r>', HTML, "koi8-r"),
        (b'<p title="><meta charset=koi8-r>', HTML, "windows-1252"),
        (b"<p a='x'b=\"y\"=z/><meta charset=koi8-r>", HTML, "koi8-r"),
        (b"<meta charset=koi8-r", HTML, "windows-1252"),
        (b"<meta charset=utf-16be>\xc3\xa9", HTML, "utf-8"),
        (b"<meta charset=x-user-defined>", HTML, "windows-1252"),
        (b" " * 1003 + b"<meta charset=koi8-r>", HTML, "koi8-r"),
        (b" " * 1004 + b"<meta charset=koi8-r>", HTML, "windows-1252"),
        (b'<?xml version="1.0" encoding="koi8-r"?>', "application/xml", "koi8-r"),
        (b"<?xml version='1.0' encoding = 'UTF-16'?>\xc3\xa9", None, "utf-8"),
        (b' <?xml version="1.0" encoding="koi8-r"?>', None, "windows-1252"),
        (b"<\0?\0x\0m\0l\0", None, "utf-16le"),
        (b"\0<\0?\0x\0m\0l", None, "utf-16be"),
        # no markup: what looks like a declaration is data
        (b'{"html": "<meta charset=koi8-r>"}', "application/json", "windows-1252"),
        # nothing said
        (b"caf\xc3\xa9", HTML, "utf-8"),
        (LATIN, HTML, "windows-1252"),
        (b"plain", HTML, "windows-1252"),
        (b"", None, "windows-1252"),
        (b"caf\xc3\xa9 \xe9", None, "windows-1252"),
    ],
)
def test_sniff(body: bytes, content_type: str | None, encoding: str) -> None:
    assert sniff(body, content_type) == encoding


@pytest.mark.parametrize(
    ("body", "encoding", "text"),
    [
        (b"caf\xc3\xa9", "utf-8", "café"),
        (b"\xef\xbb\xbfa", "utf-8", "a"),
        (b"a\xef\xbb\xbfa", "utf-8", "a\ufeffa"),
        (b"ok \xff\xe9 end \xf0\x9f\x98", "utf-8", "ok \ufffd\ufffd end \ufffd"),
        (b"\xff\xfea\0", "utf-16le", "a"),
        (b"\xfe\xff\0a\0", "utf-16be", "a\ufffd"),
        (b"a\0b\0", "utf-16le", "ab"),
        (b"\x80\x81\x8d\x8f\x90\x9d\xe9", "windows-1252", "€\x81\x8d\x8f\x90\x9dé"),
        (b"plain", "windows-1252", "plain"),
        (LATIN, "latin1", "café"),
        (b"\xcf\xf0\xe8\x98", "windows-1251", "При\x98"),
        (b"\x81\xd9\xca", "windows-1255", "\x81\ufffd\u05ba"),
        (b"\xf0\xae\xbe", "koi8-u", "ПўЎ"),
        (b"\xa1\xfc", "windows-874", "ก\ufffd"),
        (b"\xe0\xa1", "iso-8859-8-i", "א\ufffd"),
        (b"\x8e\xa5", "macintosh", "é•"),
        (b"\x80\xa2", "x-mac-cyrillic", "АҐ"),
        (b"\xd6\xd0\x95\x32\x82\x36", "gbk", "中𠀀"),
        (b"\xd6\xd0", "gb18030", "中"),
        (b"\x93\xfa\x87\x40", "shift_jis", "日①"),
        (b"\xc6\xfc\xff", "euc-jp", "日\ufffd"),
        (b"\x1b$BF|\x1b(Ba", "iso-2022-jp", "日a"),
        (b"\xa4\xa4\x81<", "big5", "中\ufffd<"),
        (b"\xc7\xd1\x8c\x63", "euc-kr", "한똠"),
        (b"a\x80\xff", "x-user-defined", "a\uf780\uf7ff"),
        (b"<script>", "replacement", "\ufffd"),
        (b"", "replacement", ""),
        (b"caf\xc3\xa9", "nonsense", "café"),
    ],
)
def test_decode(body: bytes, encoding: str, text: str) -> None:
    assert decode(body, encoding) == text


def test_every_encoding_decodes_every_byte() -> None:
    noise = random.Random(1).randbytes(5_000)
    for label in "866 l2 l3 l4 cyrillic arabic greek hebrew logical l6 iso-8859-13 iso-8859-14 l9 iso-8859-16".split():
        assert decode(bytes(range(256)), label).startswith("\0\1\2")
    for label in ("koi koi8-u mac tis-620 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258").split():
        text = decode(bytes(range(256)), label)
        assert len(text) == 256
        assert text[:128] == bytes(range(128)).decode()
    for (
        label
    ) in "gbk gb18030 big5 euc-jp iso-2022-jp sjis euc-kr utf-16 utf-16be utf-8 x-user-defined hz-gb-2312".split():
        assert isinstance(decode(noise, label), str)


def test_nothing_raises_on_cut_or_damaged_declarations() -> None:
    dice = random.Random(2)
    pieces = [
        b"<meta ",
        b"charset",
        b"=",
        b'"',
        b"'",
        b"utf-8",
        b"koi8-r",
        b">",
        b"/",
        b" ",
        b"<!--",
        b"-->",
        b"<p",
        b"</",
        b"\xe9",
    ]
    pieces += [b"http-equiv=content-type ", b"content=", b"<?xml ", b"encoding=", b"\0", b"<!", b";"]
    for _ in range(20_000):
        body = b"".join(dice.choices(pieces, k=dice.randrange(12)))
        header = b"".join(dice.choices(pieces, k=dice.randrange(5))).decode("latin-1")
        encoding = sniff(body, header)
        assert label_to_codec(encoding) == encoding
        decode(body, encoding)


@pytest.mark.parametrize(
    ("body", "valid"), [(b"", True), (b"a", True), (b"\xc3\xa9", True), (LATIN, False), (b"\xed\xa0\x80", False)]
)
def test_is_utf8(body: bytes, valid: bool) -> None:
    assert is_utf8(body) is valid
