"""What is not written into a fixture: it is shared with everybody who reads the repository."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from scraper.settings import SECRET as SECRET_SETTINGS
from scraper.url import shown

HIDDEN = "***"

_NAMES = re.compile(r"auth(?!or(?!i[sz]))|cookie|credential|passw|secret|session|token|api.?key|csrf", re.IGNORECASE)
"""Headers and arguments of spiders that hold what only their owner should know."""

_CARRIED = re.compile(r"passw|pwd|secret|credential|api.?key|(access|auth|bearer|refresh).?token", re.IGNORECASE)
"""Fields of forms, keys of JSON, of meta and cb_kwargs, parameters of URLs. A token as such is none: that of a form
stands in the page and ends with its session, and that of an API may be the number of the next page."""

_PARAMETER = re.compile(r"(?<=[?&])([^=&#]+)=([^&#]+)")

_PASSING = frozenset(
    """
    accept-ranges age alt-svc cache-control connection content-encoding content-length content-security-policy
    content-security-policy-report-only date etag expect-ct expires keep-alive nel permissions-policy pragma
    referrer-policy report-to reporting-endpoints server server-timing set-cookie strict-transport-security
    transfer-encoding vary via www-authenticate x-content-type-options x-frame-options x-powered-by x-xss-protection
    x-cache x-cache-hits x-served-by x-timer x-runtime x-request-id x-amz-request-id x-amz-id-2 x-amz-cf-id
    x-amz-cf-pop cf-ray cf-cache-status
    """.split()
)
"""Headers of answers that are another one each time, or of the connection, or of a browser: they say nothing that
callbacks read, and each new recording would change them."""

OF_OWNER = frozenset(("auth", "proxy"))
"""Options of a request that are secrets, or of one machine."""


def is_secret(name: str) -> bool:
    """Whether what has this name should be known to its owner only."""
    return _NAMES.search(name) is not None


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers of a request without those that hold secrets, by name."""
    return {name: value for name, value in sorted(headers.items()) if not is_secret(name)}


def kept_answer_headers(headers: Mapping[str, str], besides: Collection[str] = ()) -> dict[str, str]:
    """Headers of an answer that a callback may read, by name; of those that come more than once all, joined by commas.

    ``besides`` names some to be kept though they would be left out.
    """
    wanted = {name.lower() for name in besides}
    found: dict[str, str] = {}
    for name, value in sorted(headers.items(), key=lambda pair: pair[0].lower()):
        lower = name.lower()
        if lower in wanted or not (lower in _PASSING or is_secret(name)):
            title = lower.title()
            found[title] = f"{found[title]}, {value}" if title in found else value
    return found


BASE64 = "base64:"


def kept_body(body: bytes | None) -> tuple[str | None, list[str]]:
    """A body that people can read (``base64:…`` for what is no text, or looks like that), and the fields of a form or
    of a JSON object that are replaced in it."""
    if not body:
        return None, []
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return _coded(body), []
    if text.startswith("{"):
        try:
            values = json.loads(text)
        except ValueError:
            values = {}
        hidden = [name for name in values if _CARRIED.search(name)]
        if hidden:
            text = json.dumps(values | dict.fromkeys(hidden, HIDDEN), ensure_ascii=False, separators=(",", ":"))
        return text, hidden
    fields = [each.partition("=") for each in text.split("&")]
    hidden = [name for name, equals, _ in fields if equals and _CARRIED.search(name) and "\n" not in name]
    if hidden:
        text = "&".join(f"{name}={HIDDEN if name in hidden else value}" for name, _, value in fields)
    return text if not text.startswith(BASE64) else _coded(body), hidden


def _coded(body: bytes) -> str:
    return f"{BASE64}{b64encode(body).decode()}"


def kept_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a request without those that are their owner's."""
    return {name: value for name, value in sorted(options.items()) if name not in OF_OWNER}


def kept_arguments(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a spider; those with the name of a secret are replaced, also for the replay."""
    return {name: HIDDEN if is_secret(name) else value for name, value in arguments.items()}


def kept_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that may hold a password."""
    return {name: value for name, value in settings.items() if name not in SECRET_SETTINGS}


def kept_url(url: str) -> str:
    """A URL without ``user:password@``, and with ``***`` for the values of parameters that are secret."""
    return _PARAMETER.sub(lambda each: f"{each[1]}={HIDDEN}" if _CARRIED.search(each[1]) else each[0], shown(url))


def hidden_in(url: str) -> list[str]:
    """Names of the parameters that ``kept_url`` hides."""
    return [name for name, _ in _PARAMETER.findall(url) if _CARRIED.search(name)]


def kept_carried(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a request carries (meta, cb_kwargs), as it comes back from JSON, with ``***`` for texts that are secret."""
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(values))
    return {name: HIDDEN if _secret_text(name, value) else value for name, value in decoded.items()}


def hidden_of(values: Mapping[str, Any]) -> list[str]:
    """Names of what ``kept_carried`` hides."""
    return [name for name, value in values.items() if _secret_text(name, value)]


def _secret_text(name: str, value: object) -> bool:
    return isinstance(value, str) and _CARRIED.search(name) is not None
