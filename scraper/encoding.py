"""Text from bytes as browsers read it: the WHATWG Encoding Standard and HTML's encoding sniffing.

Encodings go by their WHATWG names in lower case (``utf-8``, ``windows-1252``, ``shift_jis``). Those are not
Python's codec names: on the web ``iso-8859-1`` and ``ascii`` mean windows-1252, ``gb2312`` means gbk, and
``utf-7`` or ``zlib`` mean nothing. Nothing here raises on any input.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from functools import cache, lru_cache

__all__ = ["declared", "decode", "decoder", "encode", "is_utf8", "label_to_codec", "sniff"]

# https://encoding.spec.whatwg.org/#names-and-labels: name, then its other labels; deeper lines continue.
_NAMES_AND_LABELS = """
utf-8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8
ibm866 866 cp866 csibm866
iso-8859-2 csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2
iso-8859-3 csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3
iso-8859-4 csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4
iso-8859-5 csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988
iso-8859-6 arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i
    iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987
iso-8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7
    iso_8859-7:1987 sun_eu_greek
iso-8859-8 csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8
    iso_8859-8:1988 visual
iso-8859-8-i csiso88598i logical
iso-8859-10 csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso-8859-13 iso8859-13 iso885913
iso-8859-14 iso8859-14 iso885914
iso-8859-15 csisolatin9 iso8859-15 iso885915 iso_8859-15 l9
iso-8859-16
koi8-r cskoi8r koi koi8 koi8_r
koi8-u koi8-ru
macintosh csmacintosh mac x-mac-roman
windows-874 dos-874 iso-8859-11 iso8859-11 iso885911 tis-620
windows-1250 cp1250 x-cp1250
windows-1251 cp1251 x-cp1251
windows-1252 ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591
    iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii x-cp1252
windows-1253 cp1253 x-cp1253
windows-1254 cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5
    latin5 x-cp1254
windows-1255 cp1255 x-cp1255
windows-1256 cp1256 x-cp1256
windows-1257 cp1257 x-cp1257
windows-1258 cp1258 x-cp1258
x-mac-cyrillic x-mac-ukrainian
gbk chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 iso-ir-58 x-gbk
gb18030
big5 big5-hkscs cn-big5 csbig5 x-x-big5
euc-jp cseucpkdfmtjapanese x-euc-jp
iso-2022-jp csiso2022jp
shift_jis csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis
euc-kr cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949
replacement csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr
utf-16be unicodefffe
utf-16le csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16
x-user-defined
"""
_LABELS = {
    label: line.split(maxsplit=1)[0]
    for line in _NAMES_AND_LABELS.replace("\n    ", " ").splitlines()
    for label in line.split()
}

# Where Python's codec of that name differs or has another name. The others go by their WHATWG name.
_PYTHON_CODECS = {
    "big5": "big5hkscs",
    "euc-kr": "cp949",
    "gbk": "gb18030",
    "iso-2022-jp": "iso2022_jp_ext",
    "iso-8859-8-i": "iso8859-8",
    "macintosh": "mac-roman",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac-cyrillic",
}
_MULTI_BYTE = frozenset("big5 euc-jp euc-kr gb18030 gbk iso-2022-jp shift_jis utf-16be utf-16le utf-8".split())
_NOT_ASCII = frozenset("iso-2022-jp replacement utf-16be utf-16le".split())
# Single characters that the standard has and Python's table lacks or has otherwise.
_AMENDED = {"koi8-u": {0xAE: "\u045e", 0xBE: "\u040e"}, "windows-1255": {0xCA: "\u05ba"}}

_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))

_PRESCAN_BYTES = 1024
_HEADER_CHARSET = re.compile(r"""(?:^|[;,\s])charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)
_NO_MARKUP = re.compile(r"json|javascript|text/css", re.IGNORECASE)
_TAG = re.compile(rb"<(?:(!--)|(meta(?=[\t\n\f\r /]))|(/?[a-z])|[!/?])", re.IGNORECASE)
# From within a tag's name to its end; an open quote takes all that is left.
_REST_OF_TAG = re.compile(
    rb"""[^\t\n\f\r >]*+(?:[\t\n\f\r /]++|[^\t\n\f\r />][^\t\n\f\r />=]*+"""
    rb"""(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"[^"]*+(?:"|\Z)|'[^']*+(?:'|\Z)|[^\t\n\f\r >]*+))?+)*+"""
)
_ATTRIBUTE_NAME = re.compile(rb"[\t\n\f\r /]*([^\t\n\f\r />][^\t\n\f\r />=]*)?[\t\n\f\r ]*")
_ATTRIBUTE_VALUE = re.compile(rb"""=[\t\n\f\r ]*(?:"([^"]*)"|'([^']*)'|(?!["'])([^\t\n\f\r >]*))""")
_CONTENT_CHARSET = re.compile(rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*", re.IGNORECASE)
_CONTENT_VALUE = re.compile(rb"""(?:"([^"]*)"|'([^']*)'|(?!["'])([^\t\n\f\r ;]*))""")
_XML_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding[\0-\x20]*=[\0-\x20]*(?:"([^">]*)"|'([^'>]*)')""")


def label_to_codec(label: str) -> str | None:
    """The WHATWG name of the encoding that a label means, or None when it is not a label of the web."""
    return _LABELS.get(label.strip("\t\n\f\r ").lower())


def is_utf8(body: bytes) -> bool:
    """Whether the bytes are valid UTF-8; plain ASCII is."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def sniff(body: bytes, content_type: str | None) -> str:
    """The WHATWG name of the encoding of a body.

    A byte order mark decides, then the charset of the Content-Type header, then the ``<meta>`` or XML
    declaration within the first 1,024 bytes. Where a browser would then guess, a body that is valid UTF-8 and
    more than ASCII is utf-8; any other is windows-1252 (for pure ASCII the two are the same text).
    """
    found = declared(body, content_type)
    if found is not None:
        return found
    return "utf-8" if is_utf8(body) and not body.isascii() else "windows-1252"


def declared(body: bytes, content_type: str | None) -> str | None:
    """The same of the beginning of a body; None where it would be a guess."""
    for bom, name in _BOMS:
        if body.startswith(bom):
            return name
    found, may_be_markup = _of_header(content_type or "")
    if found is None and may_be_markup:
        found = _prescan(body[:_PRESCAN_BYTES])
    return found


def decoder(encoding: str) -> Callable[[bytes, bool], str]:
    """`decode` for a body that comes in pieces: called with each piece and whether it is the last. A BOM stays in."""
    name = label_to_codec(encoding) or "utf-8"
    if name in _MULTI_BYTE:
        return codecs.getincrementaldecoder(_PYTHON_CODECS.get(name, name))("replace").decode
    if name == "replacement":
        return lambda piece, last: "\ufffd" if piece else ""
    table = _table(name)
    return lambda piece, last: codecs.charmap_decode(piece, "replace", table)[0]


def decode(body: bytes, encoding: str) -> str:
    """The text of a body in ``encoding`` (any label; an unknown one counts as utf-8), without its BOM.

    Bytes that mean nothing become U+FFFD.
    """
    name = encoding if encoding == "utf-8" else _LABELS.get(encoding) or label_to_codec(encoding) or "utf-8"
    for bom, bom_name in _BOMS:
        if bom_name == name and body.startswith(bom):
            body = body[len(bom) :]
    if name == "utf-8":
        return body.decode("utf-8", "replace")
    if name == "replacement":  # encodings that are only used to smuggle markup past filters
        return "\ufffd" if body else ""
    if name not in _NOT_ASCII and body.isascii():
        return body.decode("ascii")
    if name in _MULTI_BYTE:
        return body.decode(_PYTHON_CODECS.get(name, name), "replace")
    return codecs.charmap_decode(body, "replace", _table(name))[0]


def encode(text: str, encoding: str) -> bytes:
    """A text as a form sends it in ``encoding`` (any label; an unknown one counts as utf-8).

    What the encoding lacks becomes ``&#N;``. The standard sends UTF-8 in place of UTF-16.
    """
    name = label_to_codec(encoding) or "utf-8"
    if name in ("utf-8", "replacement") or name.startswith("utf-16"):
        return text.encode("utf-8", "replace")
    if name in _MULTI_BYTE:
        return text.encode(_PYTHON_CODECS.get(name, name), "xmlcharrefreplace")
    # In a table of Python's, U+FFFE stands for a byte that means nothing.
    table = codecs.charmap_build(_table(name).replace("\ufffd", "\ufffe"))
    return codecs.charmap_encode(text, "xmlcharrefreplace", table)[0]


@cache
def _table(name: str) -> str:
    """The 256 characters of a single-byte encoding; bytes 0x80-0x9F that Python leaves out are C1 controls."""
    if name == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    table = list(bytes(range(256)).decode(_PYTHON_CODECS.get(name, name), "replace"))
    for byte in range(0x80, 0xA0):
        if table[byte] == "\ufffd":
            table[byte] = chr(byte)
    for byte, character in _AMENDED.get(name, {}).items():
        table[byte] = character
    return "".join(table)


@lru_cache(maxsize=512)  # a site sends few different ones
def _of_header(content_type: str) -> tuple[str | None, bool]:
    """The encoding that a Content-Type names, and whether a body of that type may hold a ``<meta>``."""
    charset = _HEADER_CHARSET.search(content_type)
    return label_to_codec(charset[1]) if charset else None, not _NO_MARKUP.search(content_type)


def _prescan(head: bytes) -> str | None:
    """HTML's "prescan a byte stream to determine its encoding" over the first bytes of a page.

    https://html.spec.whatwg.org/multipage/parsing.html#prescan-a-byte-stream-to-determine-its-encoding
    """
    if head.startswith(b"<\0?\0x\0"):
        return "utf-16le"
    if head.startswith(b"\0<\0?\0x"):
        return "utf-16be"
    if b"charset" in head.lower():
        found = _of_meta(head)
        if found is not None:
            return found
    xml = _XML_ENCODING.match(head)
    return _declared(xml[1] or xml[2] or b"") if xml else None


def _of_meta(head: bytes) -> str | None:
    """The encoding of the first ``<meta>`` that names a known one. A tag that the bytes cut short ends it."""
    at = 0
    while tag := _TAG.search(head, at):
        comment, meta, name = tag.groups()
        if comment:
            at = head.find(b"-->", tag.start() + 2) + 3  # "<!-->" is a whole comment
            if at < 3:
                return None
        elif name:
            rest = _REST_OF_TAG.match(head, tag.end())
            at = rest.end() if rest else len(head)
        elif meta:
            attributes, at = _attributes(head, tag.end())
            if at < len(head) and (found := _of_attributes(attributes)):
                return found
        else:
            at = head.find(b">", tag.end())
            if at < 0:
                return None
    return None


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of a tag in lower case, and where they end: at the ``>``, or at the end of a cut tag."""
    found: dict[bytes, bytes] = {}
    while True:
        name = _ATTRIBUTE_NAME.match(head, at)
        assert name is not None  # it can match nothing
        at = name.end()
        if name[1] is None or at == len(head):
            return found, at
        content = b""
        if head[at] == 0x3D:  # "="
            value = _ATTRIBUTE_VALUE.match(head, at)
            if value is None or value.end() == len(head):
                return found, len(head)
            content = value[value.lastindex or 0]
            at = value.end()
        found.setdefault(name[1].lower(), content.lower())


def _of_attributes(attributes: dict[bytes, bytes]) -> str | None:
    if (charset := attributes.get(b"charset")) is not None:
        return _declared(charset)
    if attributes.get(b"http-equiv") != b"content-type":
        return None
    content = attributes.get(b"content", b"")
    if (charset_at := _CONTENT_CHARSET.search(content)) is None:
        return None
    value = _CONTENT_VALUE.match(content, charset_at.end())
    return _declared(value[value.lastindex or 0]) if value else None


def _declared(label: bytes) -> str | None:
    """The encoding that a page declares in its own bytes: readable as ASCII, so it cannot be UTF-16."""
    name = label_to_codec(label.decode("latin-1"))
    return {"utf-16le": "utf-8", "utf-16be": "utf-8", "x-user-defined": "windows-1252"}.get(name or "", name)
