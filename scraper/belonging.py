"""Belonging: which items the files are for that a callback asked for, once all that it gave is known.

Loaded with the first Download that names an item.
"""

from __future__ import annotations

from scraper.errors import CallbackError
from scraper.item import is_item, to_item
from scraper.page import FileLink, Found, Item
from scraper.request import Request
from scraper.scope import Scope

DROPPED = "item"
"""Why a file is not fetched whose item is not stored."""


def settle(scope: Scope, found: Found, parent: Request) -> None:
    """Name the item of every file; leave out the files of items that are not stored.

    An item is known by the object that the callback yielded, whatever steps and cleaning made of it. Raises
    CallbackError for one that is neither of this page nor has a declared key.
    """
    places = {id(item.value if item.given is None else item.given): number for number, item in enumerate(found.items)}
    lost = {id(value) for value in found.refused}
    kept: list[FileLink] = []
    unwanted: list[Request] = []
    followed = {id(link) for link in found.links}
    for each in found.files or ():
        if id(each.request) not in followed:
            continue
        wanted = each.wanted
        if isinstance(wanted, tuple):
            each.kind, each.key = wanted
        elif (number := places.get(id(wanted))) is not None:
            item = found.items[number]
            each.kind, each.key, each.ordinal = item.kind, item.key, number
        else:
            named = to_item(wanted) if id(wanted) not in lost and is_item(wanted) else None
            if isinstance(named, Item) and named.key is None:
                raise CallbackError(
                    f"the callback for {parent.url} gave {each.request!r} for an item that it does not yield "
                    f"({wanted!r:.60}); yield the item as well, or declare a key in its class",
                    request=parent,
                )
            if not isinstance(named, Item):
                unwanted.append(each.request)
                continue
            each.kind, each.key = named.kind, named.key
        each.wanted = None
        kept.append(each)
    found.files = kept or None
    _leave_out(scope, found, unwanted)


def _leave_out(scope: Scope, found: Found, unwanted: list[Request]) -> None:
    """Files that no stored item wants."""
    wanted = {each.request.fingerprint for each in found.files or ()}
    gone = {id(request): request.url for request in unwanted if request.fingerprint not in wanted}
    if gone:
        found.links = [link for link in found.links if id(link) not in gone]
        scope.drop(found, DROPPED, list(gone.values()))
