"""Codings are undone whole or not at all, and never past the cap."""

import gzip
import random
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest

import scraper.decompress
from scraper.decompress import (
    MAX_CODINGS,
    MAX_MEMBERS,
    BodyError,
    CorruptBody,
    CutBody,
    Decompressor,
    OverLimit,
    UnknownCoding,
    decompress,
)

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Encode = Callable[[bytes], bytes]
LIMIT = 1 << 24
PAGE = b"".join(b"<li>%d: %x</li>\n" % (number, number * 7919 % 251) for number in range(3_000))


def raw_deflate(content: bytes) -> bytes:
    encoder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return encoder.compress(content) + encoder.flush()


def checked_zstd(content: bytes) -> bytes:
    return zstd.compress(content, options={zstd.CompressionParameter.checksum_flag: 1})


CODINGS: list[tuple[str, Encode]] = [
    ("gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", lambda content: brotli.compress(content, quality=4)),  # the best would take a second
    ("zstd", checked_zstd),
]
each_coding = pytest.mark.parametrize(("coding", "encode"), CODINGS, ids=["gzip", "zlib", "raw", "br", "zstd"])


@pytest.fixture(autouse=True, params=["isal", "zlib"])
def inflate(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both libraries keep every promise; isal need not be there."""
    library = zlib if request.param == "zlib" else pytest.importorskip("isal.isal_zlib")
    monkeypatch.setattr(scraper.decompress, "inflate", library)


def streamed(body: bytes, coding: str, size: int) -> bytes:
    decoder = Decompressor(coding, LIMIT)
    content = b"".join(piece for at in range(0, len(body), size) for piece in decoder.feed(body[at : at + size]))
    decoder.finish()
    return content


@each_coding
@pytest.mark.parametrize(
    "content", [b"", b"x", PAGE, bytes(1 << 19), bytes(1 << 20), random.Random(3).randbytes(700_001)]
)
def test_round_trip(coding: str, encode: Encode, content: bytes) -> None:
    body = encode(content)
    assert decompress(body, coding, LIMIT) == content
    assert streamed(body, coding, 4093) == content


@each_coding
def test_chunks_of_one_byte(coding: str, encode: Encode) -> None:
    assert streamed(encode(PAGE[:500]), coding, 1) == PAGE[:500]


@pytest.mark.parametrize("coding", ["", "identity", " Identity ,", ","])
def test_no_coding(coding: str) -> None:
    assert decompress(PAGE, coding, LIMIT) == PAGE
    with pytest.raises(OverLimit):
        decompress(PAGE, coding, len(PAGE) - 1)


@pytest.mark.parametrize("coding", ["X-GZip", " gzip ", "identity, gzip"])
def test_names_as_servers_write_them(coding: str) -> None:
    assert decompress(gzip.compress(PAGE), coding, LIMIT) == PAGE


def test_stacked_codings_are_named_in_the_order_applied() -> None:
    body = checked_zstd(brotli.compress(gzip.compress(PAGE)))
    assert decompress(body, "gzip, br,zstd", LIMIT) == PAGE
    assert streamed(body, "gzip, br, zstd", 100) == PAGE
    with pytest.raises(CorruptBody):
        decompress(body, "zstd, br, gzip", LIMIT)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "gzip, br", "identity"])
def test_an_empty_body_is_empty_in_any_coding(coding: str) -> None:
    assert decompress(b"", coding, LIMIT) == b""
    assert streamed(b"", coding, 1) == b""


@pytest.mark.parametrize(
    "coding", ["compress", "utf-8", "gzip;q=1", "gzip, lzma", ", ".join(["gzip"] * (MAX_CODINGS + 1))]
)
def test_unknown_codings(coding: str) -> None:
    with pytest.raises(UnknownCoding):
        Decompressor(coding, LIMIT)


@each_coding
def test_a_cut_body_is_an_error_wherever_it_is_cut(coding: str, encode: Encode) -> None:
    body = encode(PAGE[:2_000])
    for end in range(1, len(body)):
        with pytest.raises(CutBody):
            decompress(body[:end], coding, LIMIT)


def test_a_body_cut_under_a_second_coding() -> None:
    with pytest.raises(CutBody, match="br"):
        decompress(gzip.compress(brotli.compress(PAGE)[:-1]), "br, gzip", LIMIT)


@pytest.mark.parametrize(
    ("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("zstd", checked_zstd)]
)
def test_a_damaged_body_never_passes_for_another(coding: str, encode: Encode) -> None:
    body = encode(PAGE)
    dice = random.Random(4)
    for _ in range(1_000):
        damaged = bytearray(body)
        damaged[dice.randrange(len(body))] ^= 1 << dice.randrange(8)
        try:
            content = decompress(bytes(damaged), coding, LIMIT)
        except BodyError:
            continue
        assert content == PAGE, "only what is no content (a gzip header's date) may change unnoticed"


@each_coding
@pytest.mark.parametrize("body", [b"<!doctype html><p>not encoded", b"\xff" * 50])
def test_a_body_that_is_not_encoded_is_corrupt(coding: str, encode: Encode, body: bytes) -> None:
    with pytest.raises(BodyError):
        decompress(body, coding, LIMIT)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(PAGE) + gzip.compress(b"") + gzip.compress(b"end")),
        ("gzip", gzip.compress(PAGE) + bytes(700) + gzip.compress(b"end") + bytes(9)),
        ("gzip", gzip.compress(PAGE) + gzip.compress(b"end") + b"\x1f"),
        ("gzip", gzip.compress(PAGE + b"end") + b"junk" + gzip.compress(b"ignored")),
        ("gzip", gzip.compress(PAGE + b"end") + b"\x1f\x1f\x8b"),
        ("zstd", checked_zstd(PAGE) + checked_zstd(b"end")),
        ("zstd", b"\x5a\x2a\x4d\x18\x02\0\0\0ab" + checked_zstd(PAGE + b"end")),
        ("zstd", checked_zstd(PAGE + b"end") + b"junk"),
        ("deflate", zlib.compress(PAGE + b"end") + b"junk"),
    ],
)
def test_what_follows_the_first_stream(coding: str, body: bytes) -> None:
    for size in (1, 7, len(body)):
        assert streamed(body, coding, size) == PAGE + b"end"


def test_a_second_member_is_checked_too() -> None:
    with pytest.raises(CutBody):
        decompress(gzip.compress(PAGE) + gzip.compress(PAGE)[:-1], "gzip", LIMIT)
    with pytest.raises(CorruptBody):
        decompress(gzip.compress(PAGE) + gzip.compress(PAGE)[:-8] + bytes(8), "gzip", LIMIT)


def test_the_number_of_members_is_bounded() -> None:
    member = gzip.compress(b"")
    assert decompress(member * MAX_MEMBERS, "gzip", LIMIT) == b""
    with pytest.raises(CorruptBody, match="members"):
        decompress(member * (MAX_MEMBERS + 1), "gzip", LIMIT)


@each_coding
def test_the_limit_is_exact(coding: str, encode: Encode) -> None:
    body = encode(PAGE)
    assert decompress(body, coding, len(PAGE)) == PAGE
    with pytest.raises(OverLimit, match=str(len(PAGE) - 1)):
        decompress(body, coding, len(PAGE) - 1)


@each_coding
@pytest.mark.parametrize("stacked", [False, True])
def test_a_bomb_costs_the_cap_and_no_more(coding: str, encode: Encode, stacked: bool) -> None:
    body = encode(bytes(32 << 20))
    if stacked:
        body, coding = gzip.compress(body), coding + ", gzip"
    limit = 4 << 20
    tracemalloc.start()
    try:
        with pytest.raises(OverLimit):
            decompress(body, coding, limit)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit + (3 << 20)


@each_coding
def test_a_bomb_goes_off_no_faster_than_its_pieces_are_taken(coding: str, encode: Encode) -> None:
    decoder = Decompressor(coding, 64 << 20)
    feeding = decoder.feed(encode(bytes(32 << 20)))
    tracemalloc.start()
    try:
        sizes = [len(next(feeding)) for _ in range(4)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 0 < max(sizes) <= 2 << 20
    assert peak < 6 << 20


def test_the_limit_holds_across_chunks_and_between_codings() -> None:
    decoder = Decompressor("gzip", 1_000)
    body = gzip.compress(bytes(2_000), 0)
    assert b"".join(decoder.feed(body[:900]))
    with pytest.raises(OverLimit):
        list(decoder.feed(body[900:]))
    inflated = gzip.compress(b"") + bytes(1 << 20)
    assert decompress(inflated, "gzip", 10) == b""
    with pytest.raises(OverLimit):
        decompress(gzip.compress(inflated), "gzip, gzip", 1_000)


def test_zstd_windows_beyond_the_rfc_are_refused() -> None:
    options = {zstd.CompressionParameter.window_log: 25, zstd.CompressionParameter.content_size_flag: 0}
    with pytest.raises(CorruptBody):
        decompress(zstd.compress(PAGE * 300, options=options), "zstd", LIMIT)
