"""One frozen Settings: arguments > environment > the spider's ``settings`` > scraper.toml > defaults.

Every name is documented in ``docs/settings.md``, which a test compares with this file.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from scraper import theirs
from scraper.errors import SettingsError
from scraper.setting_words import described, meaning_flaw, rules_flaw

Positive = Annotated[int, msgspec.Meta(ge=1)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]  # a bound, because no clock takes infinity
SomeSeconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Status = Annotated[int, msgspec.Meta(ge=100, le=999)]

VERSION = "0.1.0"

PREFIX = "SCRAPER_"
"""Of the variables in the environment."""


class Host(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is different for some hosts; what is None is as for all others.

    ``cap``: requests at once; ``delay``: seconds between their starts, ``jitter`` its random stretch;
    ``verify_tls``: False takes any certificate; ``auth``: ``user:password`` (Basic, RFC 7617) or ``<scheme>
    <credentials>`` such as ``Bearer …``, sent to these hosts and to no other.
    """

    cap: Positive | None = None
    delay: Seconds | None = None
    jitter: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    verify_tls: bool | None = None
    auth: str | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All settings of one crawl; times in seconds, sizes in bytes."""

    # how many at once
    concurrency: Positive = 32
    concurrency_per_host: Positive = 8
    delay: Seconds = 0.0
    jitter: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.5
    hosts: dict[str, Host] = {}
    slot_by: Literal["host", "domain", "ip"] = "host"
    adaptive: bool = True
    breaker_failures: Count = 10
    breaker_pause: SomeSeconds = 10.0
    breaker_max_pause: SomeSeconds = 300.0
    breaker_patience: Seconds = 900.0
    # what is fetched
    obey_robots: bool = True
    robots_agent: str | None = None
    crawl_delay_max: Seconds = 60.0
    obey_nofollow: bool = False
    max_depth: Count = 0
    max_redirects: Count = 20
    meta_refresh: bool = False
    max_url_length: Count = 4096
    max_path_repeats: Count = 10
    max_pages_per_host: Count = 0
    allow_private: tuple[str, ...] | Literal["all"] = ()
    handle_statuses: tuple[Status, ...] | Literal["all"] = ()
    limit_pages: Count = 0
    limit_items: Count = 0
    max_results: Positive = 100_000
    max_item_size: Positive = 4 * 1024 * 1024
    watchdog: Seconds = 5.0
    # runs
    if_running: Literal["exit", "wait", "replace"] = "exit"
    deadline: Seconds = 0.0
    grace: Seconds = 20.0
    busy_timeout: Seconds = 30.0
    # the pooled session
    keepalive_timeout: Seconds = 30.0
    dns_cache_ttl: Seconds = 300.0
    connect_timeout: SomeSeconds = 10.0
    read_timeout: SomeSeconds = 30.0
    total_timeout: SomeSeconds = 120.0
    max_body_size: Positive = 16 * 1024 * 1024
    max_file_size: Positive = 1024 * 1024 * 1024
    user_agent: str = f"scraper/{VERSION}"
    contact: str | None = None
    headers: dict[str, str] = {}
    cookies: bool = True
    auth: str | None = None
    verify_tls: bool = True
    proxy: str | None = None
    proxies: tuple[str, ...] = ()
    proxy_env: bool = True
    proxy_rest: Seconds = 60.0
    bind_address: str | None = None
    resend_unsafe: bool = False
    trace_connections: bool = False
    # retries
    retry_attempts: Positive = 4
    retry_max_wait: Seconds = 60.0
    retry_statuses: tuple[Status, ...] = (408, 429, 500, 502, 503, 504, 522, 524)
    retry_after_max: Seconds = 600.0
    # where things are
    spiders: str = "spiders"
    fixtures: str = "fixtures"
    data: str = "data"
    files: str = "data/files"
    # what is said
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "console", "json"] = "auto"
    log_file: str | None = None
    log_file_size: Positive = 10 * 1024 * 1024
    log_file_count: Count = 5

    @property
    def most_at_once(self) -> int:
        """Requests at once when some hang: the place of one that takes long is lent to another, unless it is the
        only one."""
        return 4 * self.concurrency if self.concurrency > 1 else 1

    @property
    def most_per_host(self) -> int:
        """Requests at once to one host, wherever the settings allow the most."""
        return max(self.concurrency_per_host, *(host.cap or 0 for host in self.hosts.values()), 0)


NAMES = tuple(Settings.__struct_fields__)

SCRAPY_NAMES = {
    "CONCURRENT_REQUESTS": "concurrency",
    "CONCURRENT_REQUESTS_PER_DOMAIN": "concurrency_per_host",
    "CONCURRENT_REQUESTS_PER_IP": "slot_by",
    "DOWNLOAD_DELAY": "delay",
    "RANDOMIZE_DOWNLOAD_DELAY": "jitter",
    "ROBOTSTXT_OBEY": "obey_robots",
    "ROBOTSTXT_USER_AGENT": "robots_agent",
    "DEPTH_LIMIT": "max_depth",
    "URLLENGTH_LIMIT": "max_url_length",
    "REDIRECT_MAX_TIMES": "max_redirects",
    "METAREFRESH_ENABLED": "meta_refresh",
    "AUTOTHROTTLE_ENABLED": "adaptive",
    "AUTOTHROTTLE_START_DELAY": "delay",
    "AUTOTHROTTLE_MAX_DELAY": "crawl_delay_max",
    "AUTOTHROTTLE_TARGET_CONCURRENCY": "concurrency_per_host",
    "DOWNLOAD_SLOTS": "hosts",
    "COOKIES_ENABLED": "cookies",
    "HTTPPROXY_ENABLED": "proxy_env",
    "DOWNLOAD_BIND_ADDRESS": "bind_address",
    "FILES_STORE": "files",
    "IMAGES_STORE": "files",
    "HTTPERROR_ALLOWED_CODES": "handle_statuses",
    "HTTPERROR_ALLOW_ALL": "handle_statuses",
    "CLOSESPIDER_PAGECOUNT": "limit_pages",
    "CLOSESPIDER_ITEMCOUNT": "limit_items",
    "CLOSESPIDER_TIMEOUT": "deadline",
    "DNSCACHE_ENABLED": "dns_cache_ttl",
    "DNS_TIMEOUT": "connect_timeout",
    "DOWNLOAD_TIMEOUT": "total_timeout",
    "DOWNLOAD_MAXSIZE": "max_body_size",
    "USER_AGENT": "user_agent",
    "DEFAULT_REQUEST_HEADERS": "headers",
    "DOWNLOAD_VERIFY_CERTIFICATES": "verify_tls",
    "RETRY_TIMES": "retry_attempts",
    "RETRY_HTTP_CODES": "retry_statuses",
    "SPIDER_MODULES": "spiders",
    "LOG_LEVEL": "log_level",
    "LOG_FILE": "log_file",
}


def load(
    arguments: Mapping[str, Any] | None = None,
    *,
    spider: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Settings:
    """Settings from every source, the nearest winning.

    Args:
        arguments: from the caller or ``-s``; strings are converted to the type of the setting.
        spider: the spider's ``settings`` attribute.
        environment: ``SCRAPER_<NAME>`` variables; the process's own when None. Names that are not nearly ours are
            left to others.
        folder: where ``scraper.toml`` is looked for; the working directory when None.

    Raises:
        SettingsError: unknown name (with the nearest one, or ours for Scrapy's), wrong type, bad file.
    """
    given = sourced(arguments, spider=spider, environment=environment, folder=folder)
    return Settings(**{name: value for name, (value, _) in given.items()})


def sourced(
    arguments: Mapping[str, Any] | None = None,
    *,
    spider: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> dict[str, tuple[Any, str]]:
    """The values that are given, each with its source: what ``load`` makes Settings of. Arguments, errors as there.

    A source is the path of ``scraper.toml``, ``the spider's settings``, a variable such as ``SCRAPER_DELAY``, or
    ``the arguments``. A name that is not there has its default.
    """
    found: dict[str, tuple[Any, str]] = {}
    file = (folder or Path.cwd()) / "scraper.toml"
    for source, values in (
        (str(file), _file(file)),
        ("the spider's settings", spider or {}),
        ("the environment", _environment(os.environ if environment is None else environment)),
        ("the arguments", arguments or {}),
    ):
        for name, value in values.items():
            shown = f"{PREFIX}{name.upper()}" if source == "the environment" else source
            found[name] = convert(name, value, source), shown
    return found


def convert(name: str, value: Any, source: str) -> Any:
    """``value`` as the type of setting ``name``. Raises SettingsError that names ``source``."""
    if name not in NAMES:
        raise SettingsError(unknown(name, source))
    given = value
    try:
        if isinstance(value, os.PathLike):
            value = os.fspath(value)
        if isinstance(value, str):
            value = _from_text(name, value)
        if name in _LISTS and isinstance(value, int | float):
            value = [value]
        found = msgspec.convert(value, _TYPES[name], strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        flaw = rules_flaw(value, Host) if name == "hosts" else None
        if flaw is None:
            shown = "what is given" if name in SECRET else repr(given)
            more = "" if isinstance(error, msgspec.ValidationError) else f" ({error})"
            flaw = f"{shown} is not {described(_TYPES[name])}{more}"
        raise SettingsError(f"setting {name} from {source}: {flaw}") from None  # its cause may show a secret
    if (flaw := meaning_flaw(name, found)) is not None:
        raise SettingsError(f"setting {name} from {source}: {flaw}")
    return found


def elsewhere(name: str) -> str | None:
    """What to write in place of a setting of Scrapy's that is none here; None for any other name."""
    return theirs.SETTINGS.get(name.upper()) or (theirs.setting_hint(name) if name.lower() not in NAMES else None)


def unknown(name: str, source: str) -> str:
    """The message for a setting that does not exist: our name for Scrapy's, or the nearest one."""
    ours = SCRAPY_NAMES.get(name.upper())
    if ours:
        return f"unknown setting {name!r} in {source}; here it is called {ours!r}"
    if (hint := elsewhere(name)) is not None:
        return f"unknown setting {name!r} in {source}; {hint}"
    near = difflib.get_close_matches(name.lower(), NAMES, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "; see docs/settings.md"
    return f"unknown setting {name!r} in {source}{hint}"


_TYPES: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Settings)}


_LISTS = frozenset(field.name for field in msgspec.structs.fields(Settings) if isinstance(field.default, tuple))


_TIMES = frozenset(name for name, kind in Settings.__annotations__.items() if kind in ("Seconds", "SomeSeconds"))

SECRET = frozenset(("auth", "headers", "hosts", "proxy", "proxies"))
"""What may hold a password: not to be shown in a message."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s)?", re.ASCII)
"""``90s``, ``50m``, ``1h30m``, ``2d``."""


SWITCH = {"yes": True, "on": True, "no": False, "off": False}
"""What people write for a bool besides true, false, 1 and 0."""


def _from_text(name: str, text: str) -> Any:
    """The value that a string from the environment, a file or ``-s`` stands for; msgspec reads the numbers."""
    kind = _TYPES[name]
    if kind is str:
        return text
    text = text.strip()
    if kind == str | None:
        return text or None
    if text[:1] in ("[", "{"):
        return msgspec.json.decode(text)
    if name in _LISTS and text.lower() != "all":
        return [part.strip() for part in text.split(",") if part.strip()]
    if name in _TIMES and text[-1:] in "dhms" and (found := _DURATION.fullmatch(text.replace(" ", ""))):
        return sum(float(part or 0) * unit for part, unit in zip(found.groups(), (86_400, 3600, 60, 1), strict=True))
    text = text.lower()  # of numbers, true, false, debug, all
    return SWITCH.get(text, text) if kind is bool else text


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Our variables. Others may well begin with SCRAPER_ (an API key); only what looks like a slip is an error."""
    ours = {name[len(PREFIX) :].lower(): value for name, value in variables.items() if name.startswith(PREFIX)}
    return {
        name: value
        for name, value in ours.items()
        if name in NAMES or name.upper() in SCRAPY_NAMES or difflib.get_close_matches(name, NAMES, n=1, cutoff=0.8)
    }


def _file(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"cannot read {file}: {error}") from error
