"""Request: what is accepted, what is stored and comes back, and which key is named when it cannot be stored."""

import datetime
import json
import random
import re
from pathlib import PurePosixPath

import pytest

from scraper.errors import RequestError
from scraper.options import OPTIONS
from scraper.request import Request, from_json, link, to_json
from scraper.settings import NAMES
from scraper.theirs import ATTRIBUTES, META

URL = "http://example.org/a"


def stored_and_back(request):
    return from_json(request.url, request.callback, request.priority, request.depth, to_json(request))


def everything(request):
    return {name: getattr(request, name.lstrip("_")) for name in Request.__slots__}


def test_the_url_is_kept_in_canonical_form():
    assert Request("HTTP://Example.ORG:80/a/../b?B=1&a=2#part").url == "http://example.org/b?B=1&a=2"


@pytest.mark.parametrize("url", ["/relative", "", "mailto:a@example.org", "ftp://example.org/", None, 5, b"http://x/"])
def test_what_is_no_absolute_http_url_is_refused_with_the_way_out(url):
    with pytest.raises(RequestError, match=r"response\.follow"):
        Request(url)


def test_a_key_of_meta_that_would_do_nothing_is_refused_when_it_is_added_later():
    request = Request(URL, meta={"page": 1})
    request.meta["proxy"] = "http://h:1"
    with pytest.raises(RequestError, match=r"meta\['proxy'\] would not be read; write Request\(…, proxy='…'\)"):
        to_json(request)


def test_a_value_is_not_shown_for_it_may_be_a_secret():
    for bad in (
        {"headers": {"A": "s3cret", "B": 5, "C": "s3cret"}},
        {"cookies": {"a": b"s3cret"}},
        {"headers": "s3cret"},
    ):
        with pytest.raises(RequestError, match=r"all str: (that of '[Ba]'|it) is a (int|bytes|str)$"):
            Request(URL, **bad)


@pytest.mark.parametrize("options", [{"cookiejar": "\ud800"}, {"proxy": "http://\udcff:1"}, {"method": "\ud800"}])
def test_text_with_lone_surrogates_is_refused_when_it_is_to_be_stored(options):
    with pytest.raises(RequestError, match="holds text with lone surrogates"):
        to_json(Request(URL, **options))


def test_a_path_is_a_file_to_write_to():
    request = Request(URL, stream_to=PurePosixPath("images/a.jpg"))
    assert stored_and_back(request).options == {"stream_to": "images/a.jpg"}


def test_what_is_said_of_scrapys_names_is_true():
    """Each option and setting that is named exists."""
    options = {name for says in META.values() for name in re.findall(r"Request\(…, (\w+)=", says)}
    assert options and options <= OPTIONS.keys()
    told = " ".join([*META.values(), *ATTRIBUTES.values()])
    settings = {name for name in re.findall(r"\b[a-z]+_[a-z_]+\b", told)} - {"follow_all", "parse_page", "start_urls"}
    assert settings - OPTIONS.keys() <= {*NAMES, "retry_policy", "allowed_domains"}
    assert set(re.findall(r"settings = {'(\w+)'", told)) <= set(NAMES)


def test_method_body_and_names_are_put_into_one_form():
    request = Request(URL, method="post", body="é", headers={"A": "b"}, cookies={"c": "d"})
    assert (request.method, request.body, request.headers, request.cookies) == (
        "POST",
        "é".encode(),
        {"A": "b"},
        {"c": "d"},
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"body": {"a": 1}}, "body of http://example.org/a is a dict"),
        ({"headers": [("a", "b")]}, "headers of http://example.org/a must map names to values"),
        ({"headers": {"A": 1}}, "headers of .* all str"),
        ({"headers": {"A": b"x"}}, "headers of .* all str"),
        ({"cookies": [{"name": "a", "value": "b"}]}, "cookies of .* must map names to values"),
        ({"cookies": {"a": None}}, "cookies of .* all str"),
        ({"meta": [1]}, "meta of .* must be a dict"),
        ({"cb_kwargs": "x"}, "cb_kwargs of .* must be a dict"),
        ({"auth": ("a", "b")}, "auth of http://example.org/a must be text$"),
        ({"max_body_size": "1"}, "max_body_size of .* must be a whole number: '1'"),
        ({"obey_robots": "no"}, "obey_robots of .* must be True or False: 'no'"),
        ({"handle_statuses": 404}, 'handle_statuses of .* must be a list of statuses, or "all": 404'),
        ({"handle_statuses": ["404"]}, "handle_statuses of .* must be a list of statuses"),
        ({"handle_statuses": [99]}, "handle_statuses of .* must be a list of statuses"),
        ({"retry_attempts": 0}, "retry_attempts of .* must be 1 or more: 0"),
        ({"retry_attempts": True}, "retry_attempts of .* must be a whole number: True"),
        ({"total_timeout": 0}, "total_timeout of .* must be more than 0 and at most 1,000,000 seconds: 0"),
        ({"total_timeout": "5"}, "total_timeout of .* must be a number of seconds: '5'"),
        ({"max_redirects": 1}, "takes no max_redirects; it is a setting of the crawl"),
        ({"verify": False}, "takes no verify; verify_tls is a setting of the crawl"),
        ({"formxpath": "//form"}, r"takes no formxpath; write FormRequest\.from_response\(response, formxpath="),
        ({"timeout": 5}, "takes no timeout; write total_timeout="),
        ({"download_timeout": 5}, "takes no download_timeout; write total_timeout="),
        (
            {"meta": {"a": 1, "cookiejar": 1}},
            r"meta\['cookiejar'\] would not be read; write Request\(…, cookiejar='…'\)",
        ),
        ({"meta": {"proxy": "http://h"}}, r"http://example.org/a: meta\['proxy'\] would not .* Request\(…, proxy="),
        ({"meta": {"dont_retry": True}}, r"meta\['dont_retry'\] would .* write Request\(…, retry_attempts=1"),
    ],
)
def test_an_argument_of_the_wrong_type_is_refused_where_it_is_given(arguments, says):
    with pytest.raises(RequestError, match=says):
        Request(URL, **arguments)


def test_one_dict_can_be_changed_and_given_to_the_next_request():
    meta = {"page": 1}
    first = Request(URL, meta=meta, cb_kwargs=meta, headers={"A": "b"})
    meta["page"] = 2
    assert first.meta == first.cb_kwargs == {"page": 1}


def test_meta_can_be_filled_later_and_replaced():
    request = Request(URL)
    request.meta["a"] = 1
    assert request.meta == {"a": 1}
    request.meta = {"b": 2}
    assert json.loads(to_json(request)) == {"meta": {"b": 2}}


def test_a_plain_link_has_no_stored_form_and_equals_a_plain_request():
    assert to_json(link(URL)) is None
    assert everything(link(URL, "parse_book")) == everything(Request(URL, "parse_book"))


def test_everything_survives_being_stored():
    request = Request(
        URL,
        "parse_book",
        method="PUT",
        headers={"A": "ü"},
        body=bytes(range(256)),
        cookies={"c": "d"},
        meta={
            "n": None,
            "list": [1, 2.5, True, "é\U0001f600\0"],
            "big": 2**64 - 1,
            "small": -(2**63),
            "deep": {"a": [{}]},
        },
        cb_kwargs={"x": "y"},
        priority=-3,
        dont_filter=True,
        errback="failed",
    )
    request.depth, request.salt, request.trail = 4, "salt", ("http://example.org/", "http://example.org/b")
    back = stored_and_back(request)
    assert everything(back) == everything(request)
    assert back.fingerprint == request.fingerprint


def test_any_json_comes_back_as_it_went():
    random_ = random.Random(7)

    def value(depth=0):
        kind = random_.randrange(8 if depth < 4 else 6)
        if kind == 0:
            return random_.choice([None, True, False, "", 0, -0.0, 1e300])
        if kind in (1, 2):
            return random_.randint(-(2**63), 2**64 - 1)
        if kind in (3, 4):
            return "".join(chr(random_.choice([0, 9, 34, 92, 127, 233, 0x2028, 0xFFFF, 0x1F600])) for _ in range(5))
        if kind == 5:
            return random_.random()
        if kind == 6:
            return [value(depth + 1) for _ in range(random_.randrange(4))]
        return {str(random_.random()): value(depth + 1) for _ in range(random_.randrange(4))}

    for _ in range(300):
        meta = {"value": value()}
        assert stored_and_back(Request(URL, meta=meta)).meta == meta


itself = {}
itself["again"] = itself


@pytest.mark.parametrize(
    ("meta", "says"),
    [
        ({"a": {"b": [1, object()]}}, r"meta\['a'\]\['b'\]\[1\] is a object"),
        ({"when": datetime.date(2020, 1, 1)}, r"meta\['when'\] is a date"),
        ({"tags": {"x"}}, r"meta\['tags'\] is a set"),
        ({"raw": b"x"}, r"meta\['raw'\] is a bytes"),
        ({"a": {1: 2}}, r"meta\['a'\] has a key that is not a str: 1"),
        ({"n": 2**64}, r"meta\['n'\] is a number of more than 64 bits"),
        ({"n": float("nan")}, r"meta\['n'\] is nan"),
        ({"n": float("-inf")}, r"meta\['n'\] is -inf"),
        ({"t": "\ud800"}, r"meta\['t'\] holds text with lone surrogates"),
        ({"\ud800": 1}, r"meta\['\\ud800'\] holds text with lone surrogates"),
        (itself, "meta is nested too deeply, or holds itself"),
    ],
)
def test_what_would_not_survive_a_restart_is_named_by_its_key(meta, says):
    with pytest.raises(RequestError, match=says) as caught:
        to_json(Request(URL, meta=meta))
    assert caught.value.request.url == URL


def test_the_name_of_the_argument_is_said_too():
    with pytest.raises(RequestError, match=r"cb_kwargs\['book'\] is a set .*<GET http://example.org/a>"):
        to_json(Request(URL, cb_kwargs={"book": set()}))


def test_replace_makes_a_new_request_that_has_no_history():
    request = Request(URL, "parse_book", headers={"A": "b"}, meta={"a": 1}, priority=5)
    request.depth, request.salt, request.trail = 3, "salt", ("http://example.org/",)
    other = request.replace(url="http://example.org/b", method="POST")
    assert (other.url, other.method, other.callback, other.priority, other.meta) == (
        "http://example.org/b",
        "POST",
        "parse_book",
        5,
        {"a": 1},
    )
    assert (other.depth, other.salt, other.trail) == (0, "", ())
    other.meta["a"] = 2
    assert request.meta == {"a": 1}


def test_replace_refuses_what_a_request_does_not_take():
    with pytest.raises(RequestError, match="knows no argument parent"):
        Request(URL).replace(parent=1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Request(URL), Request(URL + "#part", "other", priority=4, meta={"a": 1}, headers={"A": "b"}), True),
        (Request(URL, method="POST", body=b""), Request(URL, method="post"), True),
        (Request(URL), Request(URL, method="HEAD"), False),
        (Request(URL, method="POST", body="a"), Request(URL, method="POST", body="b"), False),
        (Request(URL), Request(URL + "?"), False),
        (Request(URL), Request("http://example.org/A"), False),
    ],
)
def test_the_fingerprint_is_of_method_url_and_body(one, other, same):
    assert (one.fingerprint == other.fingerprint) is same


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"A b": "x"}, None),
        ({"": "x"}, None),
        ({"A:": "x"}, None),
        ({"A\r\nB": "x"}, None),
        ({"A": "x\r\nB: y"}, None),
        ({"A": "x\ny"}, None),
        ({"A": "\0"}, None),
        ({"transfer-encoding": "chunked"}, b"abc"),
        ({"Content-Length": "2"}, b"abc"),
        ({"content-length": "3"}, None),
        ({"Content-Length": "3, 3"}, b"abc"),
    ],
)
def test_headers_that_would_make_another_request_of_it_are_refused(headers, body):
    with pytest.raises(RequestError, match=r"http://h\.test/"):
        Request("http://h.test/", method="POST", headers=headers, body=body)


def test_a_right_length_and_odd_names_may_be_given():
    headers = {"Content-Length": "3", "x_odd!": "caf\u00e9 \t", "Cookie": ""}
    assert Request("http://h.test/", method="POST", headers=headers, body="abc").headers == headers
