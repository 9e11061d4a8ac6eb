"""What a request may be given besides its own arguments, and what is checked of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from scraper.auth import authorization
from scraper.errors import RequestError
from scraper.filename import flaw_of
from scraper.proxy import parse_proxy

OPTIONS: dict[str, type | tuple[type, ...]] = {
    "cookies": bool,
    "cookiejar": str,
    "auth": str,
    "proxy": str,
    "obey_robots": bool,
    "nofollow": bool,
    "resend": bool,
    "stream_to": str,
    "max_body_size": int,
}
"""What a request may be given besides its own arguments, and the type of each. None is as if it were not given."""

ELSEWHERE = {
    "formdata": "FormRequest(url, formdata=…)",
    "files": "FormRequest(url, files=…)",
    "data": "JsonRequest(url, data=…) or FormRequest(url, formdata=…)",
    "json": "JsonRequest(url, data=…)",
}
"""What people give a plain Request, and who takes it."""

ARGUMENTS = ("url callback method headers body cookies meta cb_kwargs priority dont_filter errback").split()


def check_options(options: Mapping[str, Any], url: str) -> dict[str, Any] | None:
    """Those that are given. Raises RequestError for an unknown one, or one of the wrong type."""
    for name, value in options.items():
        if name not in OPTIONS:
            if name in ELSEWHERE:
                raise RequestError(f"Request for {url} takes no {name}; write {ELSEWHERE[name]}")
            near = difflib.get_close_matches(name, [*OPTIONS, *ARGUMENTS], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(OPTIONS)}"
            raise RequestError(f"Request for {url} knows no argument {name!r}; {hint}")
        if value is not None and not isinstance(options[name], OPTIONS[name]):
            shown = "" if name in ("auth", "proxy") else f": {value!r:.80}"  # secrets
            raise RequestError(f"{name} of {url} must be a {OPTIONS[name]}{shown}")
        if name == "auth" and value is not None:
            try:
                authorization(value)
            except ValueError as error:
                raise RequestError(f"auth of {url} {error}") from None  # its cause would show the text
        if name == "max_body_size" and value is not None and value < 1:
            raise RequestError(f"max_body_size of {url} must be 1 byte or more: {value}")
        if name == "stream_to" and value is not None and (flaw := flaw_of(value)) is not None:
            raise RequestError(f"stream_to of {url} {flaw}: {value!r:.80}; give a name such as 'images/a.jpg'")
    try:
        parse_proxy(options.get("proxy") or "http://none")
    except ValueError as error:
        raise RequestError(f"proxy of {url}: {error}") from None
    return {name: value for name, value in options.items() if value is not None} or None
