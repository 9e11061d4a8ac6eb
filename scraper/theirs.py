"""What people know from Scrapy and nothing here would read: what to write in its place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

META = {
    "cookiejar": "write Request(…, cookiejar='…')",
    "proxy": "write Request(…, proxy='…')",
    "dont_merge_cookies": "write Request(…, cookies=False)",
    "dont_obey_robotstxt": "write Request(…, obey_robots=False)",
    "download_maxsize": "write Request(…, max_body_size=…)",
    "handle_httpstatus_list": "write Request(…, handle_statuses=[…])",
    "handle_httpstatus_all": "write Request(…, handle_statuses='all')",
    "download_timeout": "write Request(…, total_timeout=…)",
    "download_slot": "it has no counterpart per request; the settings slot_by and hosts are of the crawl",
    "bindaddress": "it has no counterpart per request; the setting bind_address is of the crawl",
    "dont_redirect": "write Request(…, handle_statuses=[301, 302, 303, 307, 308])",
    "dont_retry": "write Request(…, retry_attempts=1)",
    "max_retry_times": "write Request(…, retry_attempts=…); the first attempt counts",
    "allow_offsite": "it has no counterpart per request; allowed_domains is of the spider",
    "dont_cache": "there is no cache",
    "redirect_urls": "response.request.trail has the URLs before this one",
    "redirect_times": "len(response.request.trail) says it",
    "retry_times": "attempts are counted in the database (pages.attempts)",
}
"""Keys of ``meta`` that Scrapy reads or sets."""

ATTRIBUTES = {
    "custom_settings": "here it is called 'settings'",
    "start_requests": "here it is called 'start'",
    "start_url": "here it is called 'start_urls'",
    "allowed_domain": "here it is called 'allowed_domains'",
    "expects": "here it is called 'expect'",
    "http_user": "write settings = {'auth': 'user:password'}",
    "http_pass": "write settings = {'auth': 'user:password'}",
    "http_auth_domain": "write settings = {'hosts': {'example.org': {'auth': 'user:password'}}}",
    "handle_httpstatus_list": "write settings = {'handle_statuses': […]}",
    "handle_httpstatus_all": "write settings = {'handle_statuses': 'all'}",
    "max_concurrent_requests": "write settings = {'concurrency_per_host': …}",
    "rules": "derive the spider from CrawlSpider instead of Spider",
}
"""Attributes of a spider; those of Scrapy's settings are added to them where the settings are known."""


def meta_flaw(meta: Mapping[str, Any]) -> str | None:
    """What is wrong with a request's ``meta``: a key that Scrapy would read. None when nothing is."""
    if META.keys().isdisjoint(meta):
        return None
    name = next(name for name in META if name in meta)
    return f"meta[{name!r}] would not be read; {META[name]}"
