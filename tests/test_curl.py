"""curl commands: as browsers copy them, as people write them, and there and back again."""

import random
import shutil
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from scraper import FormRequest, Request
from scraper.errors import RequestError
from scraper.formdata import Upload
from scraper.shell_words import cmd_words, shell_words

URL = "https://h.test/a?b=1"


def read(command: str, **more: Any) -> Request:
    return Request.from_curl(command, **more)


CHROME_BASH = r"""curl 'https://h.test/api?q=1' \
  -X 'PATCH' \
  -H 'accept: */*' \
  -H 'accept-language: de-DE,de;q=0.9' \
  -b 'sid=abc=; theme=dark' \
  -H 'content-type: application/json' \
  -H 'user-agent: Mozilla/5.0 (X11)' \
  --data-raw $'{"a":"it\'s \u0021 \u00e9 \ud83d\ude00"}' \
  --compressed ;
"""
CHROME_CMD = (
    'curl ^"https://h.test/api?q=1^&r=2^" ^\r\n  -H ^"accept: */*^" ^\r\n  -b ^"sid=abc^" ^\r\n'
    '  -H ^"content-type: text/plain^" ^\r\n  --data-raw ^"^{^\\^"a^\\^":^\\^"50^% ^^ x\\y^\r\n\r\nz^\\^"^}^"'
)
FIREFOX_CMD = 'curl.exe "https://h.test/api?q=1&r=2" -X POST -H "X: a ""b"" \\"c\\"" ^\r\n --data-raw "50"%" ^ x\\y"'


def test_chrome_for_bash() -> None:
    request = read(CHROME_BASH)
    assert (request.method, request.url) == ("PATCH", "https://h.test/api?q=1")
    assert request.cookies == {"sid": "abc=", "theme": "dark"}
    assert request.headers == {
        "accept": "*/*",
        "accept-language": "de-DE,de;q=0.9",
        "content-type": "application/json",
        "user-agent": "Mozilla/5.0 (X11)",
    }
    assert request.body == '{"a":"it\'s ! é 😀"}'.encode()


def test_chrome_for_windows() -> None:
    request = read(CHROME_CMD)
    assert (request.method, request.url) == ("POST", "https://h.test/api?q=1&r=2")
    assert (request.cookies, request.headers) == ({"sid": "abc"}, {"accept": "*/*", "content-type": "text/plain"})
    assert request.body == b'{"a":"50% ^ x\\y\nz"}'


def test_firefox_for_windows() -> None:
    request = read(FIREFOX_CMD)
    assert (request.url, request.headers and request.headers["X"]) == ("https://h.test/api?q=1&r=2", 'a "b" "c"')
    assert request.body == b"50% ^ x\\y"


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"method": "GET", "body": None, "headers": None, "cookies": None, "options": None}),
        ("-X put", {"method": "PUT", "body": None}),
        ("-XPUT", {"method": "PUT"}),
        ("--request=PUT", {"method": "PUT"}),
        ("-I", {"method": "HEAD"}),
        ("-d a=1 -d 'b=2 3'", {"method": "POST", "body": b"a=1&b=2 3", "headers": {"Content-Type": FORM}}),
        ("-da=1 --data-ascii b", {"body": b"a=1&b"}),
        ("--data-raw @x", {"body": b"@x"}),
        ("--data-binary $'a\\nb\\x00\\377'", {"body": b"a\nb\0\xff"}),
        ("--data-urlencode 'a=b c&ü' --data-urlencode '=x y' --data-urlencode 'x y'", {
            "body": b"a=b%20c%26%C3%BC&x%20y&x%20y"}),
        ("-d a=1 -X PUT -H 'content-type: text/x'", {"method": "PUT", "headers": {"content-type": "text/x"}}),
        ("-d a=1 -H 'Content-Type:'", {"headers": None, "body": b"a=1"}),
        ("-d a=1 -G", {"method": "GET", "body": None, "url": f"{URL}&a=1"}),
        ("-G -d a=1 -I", {"method": "HEAD", "url": f"{URL}&a=1"}),
        ("--url-query 'x=y z' --url-query +p=%20", {"url": f"{URL}&x=y%20z&p=%20"}),
        ("--json '{}' --json '[]'", {"method": "POST", "body": b"{}[]", "headers": {
            "Content-Type": "application/json", "Accept": "application/json"}}),
        ("-u ann:pw:x", {"options": {"auth": "ann:pw:x"}}),
        ("-u ann", {"options": {"auth": "ann:"}}),
        ("--oauth2-bearer t0k", {"options": {"auth": "Bearer t0k"}}),
        ("-A agent/1 -e 'http://r.test/;auto'", {"headers": {"User-Agent": "agent/1", "Referer": "http://r.test/"}}),
        ("-x p.test:3128", {"options": {"proxy": "http://p.test:3128"}}),
        ("-x http://p.test -U u:p@w", {"options": {"proxy": "http://u:p%40w@p.test"}}),
        ("-H 'X-A: 1' -H 'x-a: 2' -H 'Empty;' -H ':path: /x' -H 'Content-Length: 9'", {
            "headers": {"x-a": "1, 2", "Empty": ""}}),
        ("-b 'a=1; b=2' -H 'Cookie: c=3;'", {"cookies": {"a": "1", "b": "2", "c": "3"}, "headers": None}),
        ("-H 'Cookie: a=1; a=2; bare'", {"cookies": None, "headers": {"Cookie": "a=1; a=2; bare"}}),
        ("-sSLk --compressed -o /dev/null -m 10 --http2 --no-compressed", {"method": "GET", "options": None}),
        ("-sLXPOST", {"method": "POST"}),
    ],
)  # fmt: skip
def test_an_option(options: str, expected: dict[str, Any]) -> None:
    request = read(f"curl {options} '{URL}'")
    assert {name: getattr(request, name) for name in expected} == expected
    assert request.url.startswith(URL)


@pytest.mark.parametrize("command", ["curl h.test/a", "curl --url http://h.test/a", "/usr/bin/curl -- h.test/a#part"])
def test_a_url_may_stand_anywhere_and_need_no_scheme(command: str) -> None:
    assert read(command).url == "http://h.test/a"


def test_a_form() -> None:
    request = read("curl -F 'a=1 2' -F 'b=x;type=text/x' --form-string 'c=@d;type=e' https://h.test/")
    same = FormRequest("https://h.test/", formdata=[], files=[("b", ("", b"x", "text/x"))])
    assert request.method == "POST" and (request.headers or {})["Content-Type"].startswith("multipart/form-data; bound")
    body = request.body or b""
    assert b'name="a"\r\n\r\n1 2\r\n' in body and b'name="c"\r\n\r\n@d;type=e\r\n' in body
    assert (same.body or b"").split(b"\r\n")[1:4] == body.split(b"\r\n")[5:8]


def test_files_are_read_only_when_that_is_allowed(tmp_path: Path) -> None:
    file = tmp_path / "x.txt"
    file.write_bytes(b"a\nb\r\n")
    for option in ("-d '@", "--data-binary '@", "-F 'f=@", "-F 'f=<", "--data-urlencode 'f@", "--json '@"):
        with pytest.raises(RequestError, match="pass files=True to allow"):
            read(f"curl {option}{file}' {URL}")
    assert read(f"curl -d @{file} {URL}", files=True).body == b"ab"
    assert read(f"curl --data-binary @{file} {URL}", files=True).body == b"a\nb\r\n"
    assert read(f"curl --data-urlencode f@{file} {URL}", files=True).body == b"f=a%0Ab%0D%0A"
    body = read(f"curl -F 'f=@{file};filename=y' {URL}", files=True).body or b""
    assert b'name="f"; filename="y"' in body and b"\r\n\r\na\nb\r\n\r\n" in body


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "not a curl command"),
        ("wget http://h.test/", "not a curl command: it begins with 'wget'"),
        ("curl", "must have one URL .* has 0"),
        ("curl http://a.test/ http://b.test/", "has 2"),
        ("curl --unheard http://a.test/", "'--unheard' is not known .*ignore_unknown_options=True"),
        ("curl -Z http://a.test/", "'-Z' is not known"),
        ("curl http://a.test/ -X", "-X has no value"),
        ("curl http://a.test/ -H nonsense", "not 'name: value'"),
        ("curl http://a.test/ -b jar.txt", "reads a file of cookies"),
        ("curl http://a.test/ -F nonsense", "must be name=value"),
        ("curl http://a.test/ -F a=b -d c", "-d or -F, not both"),
        ("curl 'http://a.test/", "ends within a quote"),
        ('curl ^"http://a.test/', "ends within a quote"),
        ("curl http://a.test/?a=1&b=2", "after the command comes '&b=2'"),
        ("curl http://a.test/ | sh", "after the command comes"),
        ("curl http://a.test/$(id)", "after the command comes"),
        ("curl http://a.test/ -H $'X: \\xff'", "no UTF-8"),
        ("curl mailto:a", "not an absolute http"),
    ],
)
def test_what_is_none_is_refused(command: str, says: str) -> None:
    with pytest.raises(RequestError, match=says):
        read(command)


def test_unknown_options_can_be_passed_over() -> None:
    request = read(f"curl --unheard -Z -X PUT {URL}", ignore_unknown_options=True)
    assert (request.method, request.url) == ("PUT", URL)


def test_arguments_go_before_what_the_command_says() -> None:
    request = read(f"curl -X PUT -d x {URL}", callback="parse_it", method="POST", meta={"a": 1}, cookiejar="j")
    assert (request.method, request.callback, request.meta, request.body) == ("POST", "parse_it", {"a": 1}, b"x")


def test_secrets_are_shown_only_when_asked_for() -> None:
    headers = {"Authorization": "s3cret", "Proxy-Authorization": "s3cret", "COOKIE": "x=s3cret", "A": "shown"}
    headers |= dict.fromkeys(("X-Api-Key", "X-CSRF-Token", "client_secret", "X-Auth", "Session-Id"), "s3cret")
    request = Request(
        "http://u:s3cret@h.test/",
        headers=headers,
        cookies={"c": "s3cret"},
        auth="a:s3cret",
        proxy="http://u:s3cret@p.test",
    )
    command = request.to_curl()
    assert "s3cret" not in command and "s3cret" not in Request("http://h.test/", auth="Bearer s3cret").to_curl()
    assert "A: shown" in command and "***@h.test" in command
    assert request.to_curl(secrets=True).count("s3cret") == 12


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ("a:s3cret b", "-u 'a:s3cret b'"),
        ("bearer  s3cret", "--oauth2-bearer s3cret"),
        ("Token s3cret", "-H 'Authorization: Token s3cret'"),
    ],
)
def test_credentials_of_any_scheme(auth: str, words: str) -> None:
    request = Request(URL, auth=auth)
    assert request.to_curl(secrets=True) == f"curl '{URL}' {words}"
    assert "s3cret" not in request.to_curl() and "***" in request.to_curl()


def test_a_user_with_a_space_is_no_scheme() -> None:
    request = read(f"curl -u 'ann lee:pw' {URL}")
    assert request.options == {"auth": f"Basic {b64encode(b'ann lee:pw').decode()}"}


@pytest.mark.parametrize("kind", ["text/plain\r\nX: y", "text/plain\nX: y"])
def test_a_type_with_a_line_break_is_refused(kind: str) -> None:
    with pytest.raises(RequestError, match=r"the content type .* of a file is none"):
        read(f"curl {URL} -F $'a=b;type={kind}'")
    with pytest.raises(RequestError, match=r"the content type .* is none"):
        FormRequest(URL, files={"a": Upload("a", b"b", kind)})


@pytest.mark.parametrize(
    "words",
    [
        "'\ud800'", "-d '\ud800'", "-H 'a: \udcff'", "-X '\udcff'", "-x '\udcff'", "-u '\udcff'", "-A '\ud800'",
        "--oauth2-bearer '\udcff'", "--url-query '\udcffa=b'", "-x h:1 -U '\udcff:b'", "-F 'a=\udcff'", "-b 'a=\udcff'",
        "-X $'\\xff'", "-H $'a: \\xff'",
    ],
)  # fmt: skip
def test_text_that_is_none_is_a_request_error(words: str) -> None:
    with pytest.raises(RequestError):
        read(f"curl {URL} {words}")


@pytest.mark.parametrize(
    "words", ["-H 'Authorization Bearer s3cret'", "-b s3cret", "-F s3cret", "-x http://u:s3cret/x@h", "-x u:s3cret"]
)
def test_an_error_does_not_show_what_may_be_a_secret(words: str) -> None:
    with pytest.raises(RequestError) as caught:
        read(f"curl {words} {URL}")
    assert "s3cret" not in str(caught.value)


def test_a_body_with_nul_bytes_fits_on_no_command_line() -> None:
    with pytest.raises(RequestError, match="NUL bytes"):
        Request(URL, method="POST", body=b"a\0").to_curl()


def some(choose: random.Random) -> Request:
    """Any request that a command line can hold."""

    def text(letters: str, least: int = 0) -> str:
        return "".join(choose.choice(letters) for _ in range(choose.randrange(least, 12)))

    any_text = "ab '\"\\$`!&;|<>(){}[]*?#~^%=@:,/é😀"
    options: dict[str, Any] = {}
    if choose.random() < 0.3:
        options["auth"] = choose.choice([f"{text('abé$', 1)}:{text(any_text)}", f"Bearer {text('abc-._~+/', 1)}"])
    if choose.random() < 0.2:
        options["proxy"] = choose.choice(["http://p.test:3128", "socks5://u:p@p.test:1"])
    if choose.random() < 0.5:
        options["headers"] = {
            name: text(any_text).strip() for name in choose.sample(["A", "x-b", "Accept", "Content-Type"], 2)
        }
    if choose.random() < 0.4:
        options["cookies"] = {f"c{n}": text("ab'\"$=!é") for n in range(choose.randrange(1, 3))}
    body = bytes(choose.choice(b"a'\"\\$\n\r\t\x01\x7f\xff\xc3\xa9@!&=") for _ in range(choose.randrange(12)))
    method = choose.choice(["GET", "POST", "HEAD", "PUT", "PROPFIND"])
    url = f"https://u:p@h.test/{text('ab[]{}é $')}?{text(any_text)}"
    return Request(url, method=method, body=body or None, **options)


def same(one: Request, other: Request) -> bool:
    names = ("method", "url", "body", "headers", "cookies", "options")
    return all((getattr(one, name) or None) == (getattr(other, name) or None) for name in names)


def test_there_and_back_again() -> None:
    choose = random.Random(4)
    for _ in range(1000):
        request = some(choose)
        command = request.to_curl(secrets=True)
        assert same(read(command), request), command


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash to compare with")
def test_our_words_are_those_of_bash() -> None:
    choose = random.Random(5)
    commands = [some(choose).to_curl(secrets=True) for _ in range(60)]
    commands += [
        CHROME_BASH.strip().removesuffix(";").replace(r"\ud83d\ude00", ""),
        'curl "a\\"b\\$c\\x" a\\ b "" x""y \'\' $"q" a#b\\\n  c',
        "curl $'\\cA\\e\\q\\101\\u41'",
    ]
    script = "\n".join(f"printf '%s\\0' {command} END" for command in commands)
    environment = {"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True, env=environment)
    theirs = [part.split(b"\0") for part in done.stdout.split(b"\0END\0")[:-1]]
    ours = [[word.encode("utf-8", "surrogateescape") for word in shell_words(command)] for command in commands]
    for command, one, other in zip(commands, ours, theirs, strict=True):
        assert one == other, command


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('a "b c" d', ["a", "b c", "d"]),
        ('a ^"b^ c^" d', ["a", "b c", "d"]),
        ('"a\\\\" b', ["a\\", "b"]),
        ('"a\\\\\\"b"', ['a\\"b']),
        ("a\\b \\\\c", ["a\\b", "\\\\c"]),
        ('a^^b "c^d" ^&', ["a^b", "c^d", "&"]),
        ('"" x""y', ["", "xy"]),
        ('"a""b"', ['a"b']),
        ("a ^\n b", ["a", "b"]),
    ],
)
def test_words_for_windows(line: str, words: list[str]) -> None:
    assert cmd_words(line) == words
