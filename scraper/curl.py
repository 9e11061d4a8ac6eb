"""curl commands: read into the arguments of a Request, and written from one. Nothing is ever run.

Text from a shell stands for bytes; here those that are no UTF-8 are kept as lone surrogates (PEP 383).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from scraper.auth import authorization, basic, is_basic
from scraper.errors import RequestError
from scraper.formdata import MULTIPART, URLENCODED, Entry, Upload, form_body, read_file
from scraper.shell_words import cmd_words, is_cmd, shell_words

NAMES = {
    **dict.fromkeys(("-X", "--request"), "method"),
    **dict.fromkeys(("-H", "--header"), "header"),
    **dict.fromkeys(("-d", "--data", "--data-ascii"), "data"),
    "--data-raw": "raw",
    "--data-binary": "binary",
    "--data-urlencode": "urlencode",
    "--json": "json",
    **dict.fromkeys(("-F", "--form"), "form"),
    "--form-string": "form string",
    "--url-query": "query",
    **dict.fromkeys(("-b", "--cookie"), "cookie"),
    **dict.fromkeys(("-u", "--user"), "user"),
    "--oauth2-bearer": "bearer",
    **dict.fromkeys(("-A", "--user-agent"), "agent"),
    **dict.fromkeys(("-e", "--referer"), "referer"),
    **dict.fromkeys(("-x", "--proxy"), "proxy"),
    **dict.fromkeys(("-U", "--proxy-user"), "proxy user"),
    "--url": "url",
    **dict.fromkeys(
        "-o --output -m --max-time --connect-timeout --retry --retry-delay --retry-max-time -w --write-out "
        "--max-redirs -c --cookie-jar --max-filesize --limit-rate -y --speed-time -Y --speed-limit --keepalive-time "
        "--stderr --trace --trace-ascii -D --dump-header --ciphers --tls-max --expect100-timeout".split(),
        "nothing",
    ),
}
"""Options with a value, and what it is. "nothing": what has no meaning in a crawl, or has a setting."""

FLAGS = {
    **dict.fromkeys(("-G", "--get"), "get"),
    **dict.fromkeys(("-I", "--head"), "head"),
    **dict.fromkeys(
        "-L --location --compressed -k --insecure -s --silent -S --show-error -v --verbose -i --include -f --fail "
        "--fail-with-body -g --globoff -# --progress-bar --no-progress-meter -N --no-buffer -O --remote-name "
        "-0 --http1.0 --http1.1 --http2 --http2-prior-knowledge --http3 -4 --ipv4 -6 --ipv6 --tcp-nodelay --path-as-is "
        "--tlsv1 --tlsv1.0 --tlsv1.1 --tlsv1.2 --tlsv1.3 --ssl --ssl-reqd -R --remote-time -j --junk-session-cookies "
        "--no-keepalive --location-trusted -q --disable --post301 --post302 --post303 --raw --tr-encoding "
        "-a --append -J --remote-header-name --create-dirs --basic --anyauth".split(),
        "nothing",
    ),
}

SECRET = re.compile("auth|cookie|key|token|secret|session|password", re.IGNORECASE)
"""In the name of a header: what it holds only its owner should know."""
_HIDDEN = "***"


def read_curl(command: str, ignore_unknown: bool = False, files: bool = False) -> dict[str, Any]:
    """The arguments of Request that a command stands for; see ``Request.from_curl``. Raises RequestError."""
    try:
        command.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise RequestError("a curl command has lone surrogates, which no text has: read it as UTF-8") from None
    words = cmd_words(command) if is_cmd(command) else shell_words(command)
    program = re.split(r"[/\\]", words[0])[-1].lower() if words else ""
    if program not in ("curl", "curl.exe"):
        raise RequestError(f"not a curl command: it begins with {words[0] if words else ''!r:.60}")
    return _Command(_options(words[1:], ignore_unknown), files).arguments()


def _options(words: list[str], ignore_unknown: bool) -> Iterator[tuple[str, str, str]]:
    """What each option is, its value, and how it was written."""
    rest = iter(words)
    only_urls = False
    for word in rest:
        if only_urls or not word.startswith("-") or word == "-":
            yield "url", word, word
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            name, equals, value = word.partition("=")
            if word in FLAGS or (word.startswith("--no-") and f"--{word[5:]}" in FLAGS):
                yield FLAGS.get(word, "nothing"), "", word
            elif name in NAMES:
                yield NAMES[name], value if equals else _next(rest, name), name
            elif not ignore_unknown:
                raise _unknown(name)
        else:  # -sSXPOST: flags, and one with a value at the end
            for at in range(1, len(word)):
                letter = f"-{word[at]}"
                if letter in FLAGS:
                    yield FLAGS[letter], "", letter
                elif letter in NAMES:
                    yield NAMES[letter], word[at + 1 :] or _next(rest, letter), letter
                    break
                elif not ignore_unknown:
                    raise _unknown(letter)


def _unknown(name: str) -> RequestError:
    return RequestError(f"curl's option {name[:60]!r} is not known here; pass ignore_unknown_options=True")


def _next(words: Iterator[str], name: str) -> str:
    for word in words:
        return word
    raise RequestError(f"curl's option {name} has no value")


class _Command:
    """What the options of one command come to."""

    def __init__(self, options: Iterator[tuple[str, str, str]], files: bool) -> None:
        self._files = files
        self._urls: list[str] = []
        self._headers: dict[str, str] = {}
        self._removed: set[str] = set()
        self._data: list[bytes] = []
        self._form: list[Entry] = []
        self._query: list[str] = []
        self._cookies: list[str] = []
        self._more: dict[str, Any] = {}
        self._flags: set[str] = set()
        self._proxy_user = ""
        for kind, value, name in options:
            self._take(kind, value, name)

    def _take(self, kind: str, value: str, name: str) -> None:
        match kind:
            case "url":
                self._urls.append(value)
            case "method":
                self._more["method"] = _unicode(value)
            case "header":
                self._header(value)
            case "raw" | "data" | "binary" | "json":
                self._data.append(self._content(value, kind, name))
                if kind == "json":
                    self._flags.add("json")
            case "urlencode":
                self._data.append(self._urlencoded(value, name))
            case "query":
                self._query.append(value[1:] if value.startswith("+") else _text(self._urlencoded(value, name)))
            case "form" | "form string":
                self._form.append(self._part(value, name, literal=kind == "form string"))
            case "cookie":
                if "=" not in value:
                    raise RequestError(f"curl's {name} without '=' reads a file of cookies; give them as name=value")
                self._cookies.append(value)
            case "user":
                pair = _unicode(value if ":" in value else f"{value}:")
                self._more["auth"] = pair if is_basic(pair) else basic(pair)
            case "bearer":
                self._more["auth"] = f"Bearer {_unicode(value)}"
            case "agent":
                self._header(f"User-Agent: {value}")
            case "referer":
                self._header(f"Referer: {value.removesuffix(';auto')}")
            case "proxy":
                self._more["proxy"] = _unicode(value if "://" in value else f"http://{value}")
            case "proxy user":
                self._proxy_user = _unicode(value)
            case "get" | "head":
                self._flags.add(kind)

    def arguments(self) -> dict[str, Any]:
        if len(self._urls) != 1:
            raise RequestError(f"a curl command must have one URL to be one request; this one has {len(self._urls)}")
        url = self._urls[0]
        found = {"url": url if "://" in url else f"http://{url}", **self._more}
        if self._proxy_user and "proxy" in found:
            scheme, _, rest = found["proxy"].partition("://")
            user = ":".join(quote(part, safe="") for part in self._proxy_user.split(":", 1))
            found["proxy"] = f"{scheme}://{user}@{rest}"
        body, kind = self._body()
        if body is not None and "get" in self._flags:
            self._query.append(_text(body))
            body = None
        if self._query:
            base = found["url"].partition("#")[0]
            found["url"] = f"{base}{'&' if '?' in base else '?'}{'&'.join(self._query)}"
        if body is not None:
            found["body"] = body
            self._default("Content-Type", kind)
        if "json" in self._flags:
            self._default("Accept", "application/json")
        default = "HEAD" if "head" in self._flags else "POST" if body is not None else "GET"
        found.setdefault("method", default)
        self._add_cookies(found)
        if self._headers:
            found["headers"] = self._headers
        return found

    def _body(self) -> tuple[bytes | None, str]:
        if self._data and self._form:
            raise RequestError("a curl command has -d or -F, not both")
        if self._form:
            return form_body(self._form, MULTIPART)
        if "json" in self._flags:
            return b"".join(self._data), "application/json"
        return (b"&".join(self._data) if self._data else None), URLENCODED

    def _header(self, line: str) -> None:
        if line.startswith(":"):  # what HTTP/2 calls method and path
            return
        name, colon, value = line.partition(":")
        name, value = name.strip(), value.strip()
        if not colon:
            name, semicolon, rest = line.partition(";")
            if not semicolon or rest.strip():
                raise RequestError("a header of a curl command is not 'name: value'")  # it may be a secret
        elif not value:
            self._removed.add(name.lower())
            return
        if name.lower() == "content-length":  # ours is right
            return
        if name.lower() == "cookie":
            self._cookies.append(value)
            return
        for each in [each for each in self._headers if each.lower() == name.lower()]:
            value = f"{self._headers.pop(each)}, {value}"
        self._headers[name] = _unicode(value)

    def _default(self, name: str, value: str) -> None:
        lower = name.lower()
        if lower not in self._removed and not any(each.lower() == lower for each in self._headers):
            self._headers[name] = value

    def _add_cookies(self, found: dict[str, Any]) -> None:
        parts = [part.strip() for text in self._cookies for part in _unicode(text).split(";") if part.strip()]
        pairs = [part.partition("=") for part in parts]
        names = [name for name, _, _ in pairs]
        if len(set(names)) == len(names) and all(equals for _, equals, _ in pairs):
            found["cookies"] = {name: value for name, _, value in pairs} or None
        elif parts:  # what a dict cannot hold: two of one name, or one without
            self._headers["Cookie"] = "; ".join(parts)

    def _content(self, value: str, kind: str, name: str) -> bytes:
        if kind == "raw" or not value.startswith("@"):
            return value.encode("utf-8", "surrogateescape")
        content = self._read(value[1:], name).content
        return re.sub(rb"[\r\n\0]", b"", content) if kind == "data" else content

    def _urlencoded(self, value: str, name: str) -> bytes:
        mark = re.search("[=@]", value)
        at = mark.start() if mark is not None else -1
        if at >= 0 and value[at] == "@":
            content = self._read(value[at + 1 :], name).content
        else:
            content = value[at + 1 :].encode("utf-8", "surrogateescape")
        start = f"{value[:at]}=" if at > 0 else ""
        return start.encode("utf-8", "surrogateescape") + quote(content, safe="").encode()

    def _part(self, text: str, option: str, literal: bool) -> Entry:
        name, equals, value = _unicode(text).partition("=")
        if not equals:
            raise RequestError(f"curl's {option} must be name=value")
        if literal:
            return name, value
        value, *more = re.split(r";\s*(?=(?:type|filename|headers|encoder)=)", value)
        given = dict(each.strip().partition("=")[::2] for each in more)
        if value[:1] in ("@", "<"):
            file = self._read(value[1:].strip('"'), option)
            if value[0] == "<":
                return name, _text(file.content)
        else:
            if "type" not in given and "filename" not in given:
                return name, value.strip('"') if value.startswith('"') else value
            file = Upload("", value.encode())
        return name, Upload(given.get("filename", file.filename).strip('"'), file.content, given.get("type", ""))

    def _read(self, path: str, option: str) -> Upload:
        if not self._files:
            raise RequestError(f"curl's {option} reads the file {path[:200]!r}; pass files=True to allow that")
        return read_file(path, f"curl's {option}")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise RequestError("a curl command puts bytes that are no UTF-8 where only text can be") from error


def _unicode(text: str) -> str:
    return _text(text.encode("utf-8", "surrogateescape"))


def write_curl(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    cookies: Mapping[str, str],
    auth: str | None = None,
    proxy: str | None = None,
    secrets: bool = False,
) -> str:
    """The command for a POSIX shell; see ``Request.to_curl``. Raises RequestError for a body with NUL bytes."""
    if b"\0" in body:
        raise RequestError(f"the body for {url} has NUL bytes, which no command line can hold")
    words = ["curl"]
    if method == "HEAD" and not body:
        words.append("--head")
    elif method != ("POST" if body else "GET"):
        words += ["-X", method]
    if set("[]{}") & set(url):
        words.append("--globoff")
    words.append(url if secrets else _masked_url(url))
    shown = {name: value if secrets or not SECRET.search(name) else _HIDDEN for name, value in headers.items()}
    cookie = "; ".join(f"{name}={value if secrets else _HIDDEN}" for name, value in cookies.items())
    for name in [name for name in shown if name.lower() == "cookie" and cookie]:
        cookie = f"{shown.pop(name)}; {cookie}"
    if cookie:
        shown["Cookie"] = cookie
    for name, value in shown.items():
        words += ["-H", f"{name}: {value}" if value else f"{name};"]
    if body and not any(name.lower() == "content-type" for name in headers):
        words += ["-H", "Content-Type:"]
    if auth is not None:
        scheme, _, token = auth.partition(" ")
        if is_basic(auth):
            words += ["-u", auth if secrets else _HIDDEN]
        elif scheme.lower() == "bearer":
            words += ["--oauth2-bearer", token.strip() if secrets else _HIDDEN]
        else:
            words += ["-H", f"Authorization: {authorization(auth) if secrets else _HIDDEN}"]
    if proxy is not None:
        words += ["-x", proxy if secrets else _masked_url(proxy)]
    if body:
        words += ["--data-raw", body.decode("utf-8", "surrogateescape")]
    return " ".join(map(_quoted, words))


def _masked_url(url: str) -> str:
    return re.sub(r"^(\w+://)[^/?#]*@", rf"\1{_HIDDEN}@", url)


_UNSAFE = re.compile(r"[\x00-\x1f\x7f\udc80-\udcff]")


def _quoted(word: str) -> str:
    """For a POSIX shell; where that has no way to write a byte, as bash, zsh and ksh have it ($'…')."""
    if not _UNSAFE.search(word):
        return shlex.quote(word)

    def escape(match: re.Match[str]) -> str:
        each = match[0]
        return f"\\{each}" if each in "\\'" else f"\\{ord(each) & 0xFF:03o}"

    return "$'" + re.sub(r"[\\'\x00-\x1f\x7f\udc80-\udcff]", escape, word) + "'"
