"""What is wrong with a setting, in words for those who wrote it. Nothing here shows what may be a secret."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

TIME = "a time: give seconds, or such as 90s, 50m, 1h30m"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NOT_IN_A_HOST = re.compile(r"[^!-~]|[/@#%<>\\^|]")
_PORT = re.compile(r"\d{1,5}|.*[*?\[].*")
_CONTACT = re.compile(r"(?:mailto:)?[^\s@]+@[^\s@]+|https?://\S+", re.IGNORECASE)
_SECRET_HEADERS = {
    "authorization": "give it with the setting auth (it goes to the hosts of the spider only), or by host: "
    "hosts={'api.example.org': {'auth': …}}",
    "proxy-authorization": "write user and password into the URL of the setting proxy",
    "cookie": "give it to the requests that need it: Request(url, cookies={…})",
}
PATTERN = "example.org, *.example.org, 127.0.0.1:8000, [::1], example.*"


def described(kind: Any) -> str:
    """A type, as in "is not …"."""
    return _described(msgspec.inspect.type_info(kind))


def _described(kind: msgspec.inspect.Type) -> str:
    match kind:
        case msgspec.inspect.BoolType():
            return "true or false"
        case msgspec.inspect.IntType():
            return f"a whole number, {kind.ge} or more" if kind.le is None else f"a number from {kind.ge} to {kind.le}"
        case msgspec.inspect.FloatType():
            if kind.le is not None and kind.le > 1e6:
                return TIME if kind.gt is None else f"{TIME}, more than 0"
            return f"a number from {kind.ge} to {kind.le}"
        case msgspec.inspect.LiteralType(values=values):
            return f'"{values[0]}"' if len(values) == 1 else f"one of {', '.join(map(str, values))}"
        case msgspec.inspect.VarTupleType(item_type=item):
            texts = isinstance(item, msgspec.inspect.StrType)
            return "a list of texts" if texts else f"a list, each {_described(item)}"
        case msgspec.inspect.DictType(value_type=value):
            if isinstance(value, msgspec.inspect.StructType):
                return 'a table of hosts, such as {"*.example.org": {"delay": 1}}'
            return 'a table of texts, such as {"Accept-Language": "de"}'
        case msgspec.inspect.UnionType(types=types):
            named = [_described(each) for each in types if not isinstance(each, msgspec.inspect.NoneType)]
            return " or ".join(named)
        case _:
            return "text"


def rules_flaw(hosts: Any, kind: type[msgspec.Struct]) -> str | None:
    """Which rule of the setting ``hosts`` is no ``kind``, and why; None when that is not what is wrong."""
    if not isinstance(hosts, Mapping):
        return None
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for pattern, rule in hosts.items():
        where = f"hosts[{pattern!r}]"
        if isinstance(rule, kind):
            continue
        if not isinstance(rule, Mapping):
            return f"{where} must be a table such as {{'delay': 1}}, of {', '.join(fields)}"
        for name, value in rule.items():
            if name not in fields:
                near = difflib.get_close_matches(str(name), fields, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"it may have {', '.join(fields)}"
                return f"{where} has no {name!r}; {hint}"
            try:
                msgspec.convert(value, fields[name], strict=False)
            except msgspec.ValidationError:
                shown = "what is given" if name == "auth" else repr(value)
                return f"{where}[{name!r}]: {shown} is not {described(fields[name])}"
    return None


def meaning_flaw(name: str, value: Any) -> str | None:
    """What is wrong with a value of the right type, or None."""
    match name:
        case "hosts":
            return next(filter(None, map(_pattern_flaw, value)), None)
        case "headers":
            return next((flaw for pair in value.items() if (flaw := _header_flaw(*pair)) is not None), None)
        case "user_agent":
            if not value.strip() or not value.isprintable():
                return f"{value!r} names nobody; leave it out, or write a product and its version: 'shop-watch/1.0'"
        case "contact":
            if value is not None and not _CONTACT.fullmatch(value):
                return f"{value!r} is neither a mail address nor a URL that begins with http:// or https://"
        case "allow_private":
            if value != "all" and any(each.lower() in ("yes", "true", "on", "1", "*", "any") for each in value):
                return f'{", ".join(value)!r} is no host and no network; for all private addresses write "all"'
    return None


def _pattern_flaw(pattern: str) -> str | None:
    host, _, port = pattern.rpartition(":") if ":" in pattern and not pattern.endswith("]") else (pattern, "", "*")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if (
        not bare
        or _NOT_IN_A_HOST.search(pattern)
        or host.endswith(".")
        or (":" in host and bare == host)
        or host.count("[") != host.count("]")
        or not _PORT.fullmatch(port)
        or (port.isdigit() and not 0 < int(port) < 65536)
    ):
        shown = pattern.rpartition("@")[2]  # what stands before it may be a password
        return f"{shown!r} can be no host: write a name or address in ASCII, without scheme, path and spaces: {PATTERN}"
    return None


def _header_flaw(name: str, value: str) -> str | None:
    if (instead := _SECRET_HEADERS.get(name.lower())) is not None:
        return f"{name!r} would be sent to every host that is asked; {instead}"
    if not _TOKEN.fullmatch(name):
        shown = name.partition(":")[0]  # a value may follow
        return f"{shown!r} is no name of a header (RFC 9110, 5.6.2): letters, digits and - _ . without spaces and colon"
    if any(each in value for each in "\r\n\0"):
        return f"the value of {name!r} has a line break or a NUL byte"
    return None
