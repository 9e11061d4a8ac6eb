"""What a request may be given besides its own arguments, and what is checked of it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Collection, Mapping
from typing import Any

from scraper.auth import authorization
from scraper.errors import RequestError
from scraper.filename import flaw_of
from scraper.proxy import parse_proxy
from scraper.settings import NAMES

OPTIONS: dict[str, type] = {
    "cookies": bool,
    "cookiejar": str,
    "auth": str,
    "proxy": str,
    "obey_robots": bool,
    "nofollow": bool,
    "resend": bool,
    "stream_to": str,
    "max_body_size": int,
    "total_timeout": float,
    "retry_attempts": int,
    "handle_statuses": list,
}
"""What a request may be given besides its own arguments, and the type of each. None is as if it were not given."""

_WORDS = {
    bool: "True or False",
    str: "text",
    int: "a whole number",
    float: "a number of seconds",
    list: 'a list of statuses, or "all"',
}

ELSEWHERE = {
    "formdata": "FormRequest(url, formdata=…)",
    "files": "FormRequest(url, files=…)",
    "data": "JsonRequest(url, data=…) or FormRequest(url, formdata=…)",
    "json": "JsonRequest(url, data=…)",
    "formxpath": "FormRequest.from_response(response, formxpath='…')",
}
"""What people give a plain Request, and who takes it."""

_LEAST = {"max_body_size": "1 byte", "retry_attempts": "1"}
LONGEST = 1_000_000

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_BROKEN = re.compile(r"[\r\n\0]")
IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods that do no more when they are sent twice (RFC 9110 section 9.2.2)."""

ALMOST = {
    "timeout": "total_timeout",
    "download_timeout": "total_timeout",
    "handle_httpstatus_list": "handle_statuses",
    "verify": "verify_tls",
    "verify_ssl": "verify_tls",
    "allow_redirects": "handle_statuses",
    "retries": "retry_attempts",
    "max_retries": "retry_attempts",
}
"""What people give a request, and the option or setting that does it."""

ARGUMENTS = ("url callback method headers body cookies meta cb_kwargs priority dont_filter errback").split()


def check_headers(headers: Mapping[str, str], body: bytes | None, url: str) -> None:
    """Raises RequestError for what a server may take for the end of this request, or the beginning of another one."""
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise RequestError(f"{name!r:.80} is no name of a header, for {url}; letters, digits and - make one")
        if _BROKEN.search(value):
            raise RequestError(f"header {name} of {url} has a line break or NUL in it; take it out")
        lower = name.lower()
        if lower == "transfer-encoding":
            raise RequestError(f"header {name} of {url} is not yours to give: a body is sent with its length")
        if lower == "content-length" and value.strip() != str(len(body or b"")):
            raise RequestError(
                f"header {name} of {url} says {value!r:.40}, and the body has {len(body or b'')} bytes; leave it out"
            )


def may_repeat(method: str, options: Mapping[str, Any] | None, unsafe: bool) -> bool:
    """Whether a request that was sent, and perhaps done, may be sent again; ``unsafe`` is what the settings say."""
    asked = options.get("resend") if options is not None else None
    return bool(asked) if asked is not None else unsafe or method in IDEMPOTENT


def check_options(options: Mapping[str, Any], url: str) -> dict[str, Any] | None:
    """Those that are given. Raises RequestError for an unknown one, or one of the wrong type."""
    if isinstance(options.get("stream_to"), os.PathLike):
        options = {**options, "stream_to": os.fspath(options["stream_to"])}
    for name, value in options.items():
        if name not in OPTIONS:
            if name in ELSEWHERE:
                raise RequestError(f"Request for {url} takes no {name}; write {ELSEWHERE[name]}")
            if name in NAMES:
                raise RequestError(f"Request for {url} takes no {name}; it is a setting of the crawl")
            if ALMOST.get(name) in OPTIONS:
                raise RequestError(f"Request for {url} takes no {name}; write {ALMOST[name]}=…")
            if name in ALMOST:
                raise RequestError(f"Request for {url} takes no {name}; {ALMOST[name]} is a setting of the crawl")
            near = difflib.get_close_matches(name, [*OPTIONS, *ARGUMENTS], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(OPTIONS)}"
            raise RequestError(f"Request for {url} knows no argument {name!r}; {hint}")
        if value is not None and not _fits(name, value):
            shown = "" if name in ("auth", "proxy") else f": {value!r:.80}"  # secrets
            raise RequestError(f"{name} of {url} must be {_WORDS[OPTIONS[name]]}{shown}")
        if name == "auth" and value is not None:
            try:
                authorization(value)
            except ValueError as error:
                raise RequestError(f"auth of {url} {error}") from None  # its cause would show the text
        if name in _LEAST and value is not None and value < 1:
            raise RequestError(f"{name} of {url} must be {_LEAST[name]} or more: {value}")
        if name == "total_timeout" and value is not None and not 0 < value <= LONGEST:
            raise RequestError(f"total_timeout of {url} must be more than 0 and at most {LONGEST:,} seconds: {value}")
        if name == "stream_to" and value is not None and (flaw := flaw_of(value)) is not None:
            raise RequestError(f"stream_to of {url} {flaw}: {value!r:.80}; give a name such as 'images/a.jpg'")
    try:
        parse_proxy(options.get("proxy") or "http://none")
    except ValueError as error:
        raise RequestError(f"proxy of {url}: {error}") from None
    given = {name: value for name, value in options.items() if value is not None}
    if "handle_statuses" in given and given["handle_statuses"] != "all":
        given["handle_statuses"] = sorted(set(given["handle_statuses"]))
    return given or None


def handles(options: Mapping[str, Any] | None, status: int, otherwise: Collection[int] | str) -> bool:
    """Whether a callback is to see this status, be it an error or a redirect: by the request's own ``handle_statuses``,
    else by ``otherwise``, those of the settings. "all" is all errors."""
    own = options.get("handle_statuses", otherwise) if options is not None else otherwise
    return status >= 400 if isinstance(own, str) else status in own


def _fits(name: str, value: Any) -> bool:
    kind = OPTIONS[name]
    if kind is list:
        if isinstance(value, str):
            return value == "all"
        if not isinstance(value, Collection):
            return False
        return all(isinstance(each, int) and 100 <= each <= 999 for each in value)
    if kind in (int, float) and isinstance(value, bool):
        return False
    return isinstance(value, (int, float) if kind is float else kind)
