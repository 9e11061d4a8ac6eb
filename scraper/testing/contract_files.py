"""The store contract: what downloads came to, and whose files they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scraper.media import Download
from scraper.page import Dead, Done, FileFact, FileLink, Found, Item, Lease, Seen
from scraper.ports import Store, StoredFile
from scraper.testing.contract_words import NOW, Check, Make, item, owner, requests, retry, take, url


def download(path: str = "a.jpg", into: str = "images", **arguments: Any) -> Download:
    return Download(url(path), into=into, **arguments)


def fact(path: str = "s/images/ab/abc.jpg", **fields: Any) -> FileFact:
    given: dict[str, Any] = {
        "folder": "images",
        "path": path,
        "sha256": "abc",
        "size": 3,
        "etag": '"1"',
        "asked_at": NOW,
    }
    return FileFact(**(given | fields))


def came(lease: Lease, file: FileFact, found: Found | None = None) -> Done:
    return Done(lease, Seen(200, file=file), found or Found())


def gave(lease: Lease, items: Sequence[Item], *wishes: tuple[Download, str, str | None, int, str]) -> Done:
    """A page with items, and with downloads: (request, kind, key, ordinal, field)."""
    files = [
        FileLink(request, field, number, kind=kind, key=key, ordinal=ordinal)
        for number, (request, kind, key, ordinal, field) in enumerate(wishes)
    ]
    links = [each.request for each in files]
    return Done(lease, Seen(200), Found(links=list(links), items=list(items), files=files or None))


async def read(store: Store, run: int | None = None) -> dict[str, StoredFile]:
    return {each.url.rpartition("/")[2]: each async for each in store.files(run)}


async def a_file_is_known_by_the_fingerprint_of_its_download(make: Make) -> None:
    wanted = download()
    async with owner(make) as store:
        await store.add([wanted], NOW)
        assert await store.file(wanted.fingerprint) is None
        (lease,) = await take(store)
        known = fact(thumbs={"small": {"path": "x"}}, last_modified="today", content_type="image/jpeg", fetched_at=NOW)
        await store.commit([came(lease, known)], NOW)
        assert await store.file(wanted.fingerprint) == known
        assert await store.file(download(into="other").fingerprint) is None
    async with owner(make) as store:
        assert await store.file(wanted.fingerprint) == known
        assert await read(store) == {"a.jpg": StoredFile(wanted.url, known, None, (), 1, 1)}


async def a_file_is_committed_with_its_page_or_not_at_all(make: Make) -> None:
    wanted = download()
    async with owner(make) as store:
        await store.add([wanted], NOW)
        (lease,) = await take(store)
        await store.release([lease])
        (again,) = await take(store)
        (receipt,) = await store.commit([came(lease, fact("stale"))], NOW)
        assert not receipt.applied
        assert await store.file(wanted.fingerprint) is None
        await store.commit([retry(again)], NOW)
        assert await store.file(wanted.fingerprint) is None


async def an_item_has_its_files_whatever_its_key(make: Make) -> None:
    one, other = download("1.jpg"), download("2.jpg")
    async with owner(make) as store:
        await store.add(requests("page"), NOW)
        (lease,) = await take(store)
        items = [item(), item(key="k")]
        wishes = (one, "thing", None, 0, "cover"), (one, "thing", "k", 1, ""), (other, "thing", "k", 1, "back")
        await store.commit([gave(lease, items, *wishes)], NOW)
        for each in await take(store):
            await store.commit([came(each, fact())], NOW)
        found = await read(store)
        assert found["1.jpg"].items == (("thing", f"{lease.page}.0", "cover"), ("thing", "k", ""))
        assert found["2.jpg"].items == (("thing", "k", "back"),)


async def one_download_of_two_pages_is_fetched_once_and_is_both_items(make: Make) -> None:
    async with owner(make) as store:
        await store.add(requests("p", "q", "r"), NOW)
        first, second, third = await take(store)
        await store.commit([gave(first, [item(key="1")], (download(), "thing", "1", 0, ""))], NOW)
        (lease,) = await take(store)
        await store.commit([came(lease, fact())], NOW)
        await store.commit([gave(second, [item(key="2")], (download(), "thing", "2", 0, ""))], NOW)
        assert await take(store) == []
        # A file that another page gives an item in the same run is one more.
        await store.commit([gave(third, [item(key="1")], (download("b.jpg"), "thing", "1", 0, ""))], NOW)
        assert (await read(store))["a.jpg"].items == (("thing", "1", ""), ("thing", "2", ""))


async def a_redirected_download_leads_to_the_file_at_the_end(make: Make) -> None:
    """However many hops there are, and in whichever order they are finished."""
    a, b, c = download("a"), download("b"), download("c")
    async with owner(make) as store:
        await store.add([a], NOW)
        for source, target in ((a, b), (b, c)):
            (lease,) = await take(store)
            assert lease.request.url == source.url
            led = FileFact("redirect", "images", leads_to=target.fingerprint)
            await store.commit([came(lease, led, Found(links=[target]))], NOW)
        (lease,) = await take(store)
        await store.commit([came(lease, fact())], NOW)
        found = await read(store)
        assert (found["a"].leads_to, found["b"].leads_to, found["c"].leads_to) == (c.url, c.url, None)
        assert await store.file(c.fingerprint) == fact()
        for each in (a, b):  # the ETag is that of another URL
            assert await store.file(each.fingerprint) == fact(etag=None)
        late = download("late")
        await store.add([late], NOW)
        (lease,) = await take(store)
        led = FileFact("redirect", "images", leads_to=a.fingerprint)
        await store.commit([came(lease, led, Found(links=[a]))], NOW)
        assert (await read(store))["late"].leads_to == c.url


async def a_redirect_that_is_no_more_leads_nowhere(make: Make) -> None:
    """One of the hops of an earlier run is a file in a later one, or leads elsewhere."""
    a, b, old, new = download("a"), download("b"), download("old"), download("new")

    async def led(store: Store, source: Download, target: Download) -> None:
        (lease,) = await take(store)
        assert lease.request.url == source.url
        here = FileFact("redirect", "images", leads_to=target.fingerprint)
        await store.commit([came(lease, here, Found(links=[target]))], NOW)

    async with owner(make) as store:
        for ends in (old, new, b):
            await store.add([a], NOW)
            await led(store, a, b)
            if ends is not b:
                await led(store, b, ends)
            (lease,) = await take(store)
            await store.commit([came(lease, fact())], NOW)
            found = await read(store)
            assert (found["a"].leads_to, found["b"].leads_to) == (ends.url, ends.url if ends is not b else None)
            await store.finish("finished", NOW, True)
            await store.begin("contract", NOW)


async def a_kept_file_stays_as_it_was_and_is_of_the_run_that_kept_it(make: Make) -> None:
    a, b = download("a"), download("b")
    async with owner(make) as store:
        await store.add([a], NOW)
        (lease,) = await take(store)
        led = FileFact("redirect", "images", leads_to=b.fingerprint)
        await store.commit([came(lease, led, Found(links=[b]))], NOW)
        (lease,) = await take(store)
        await store.commit([came(lease, fact())], NOW)
        await store.finish("finished", NOW, True)
        await store.begin("contract", NOW)
        await store.add([a], NOW)
        (lease,) = await take(store)
        await store.commit([came(lease, fact(status="kept", etag=None, thumbs={"s": {"path": "t"}}))], NOW)
        found = await read(store, 2)
        assert [(each, found[each].first_run, found[each].last_run) for each in "ab"] == [("a", 1, 2), ("b", 1, 2)]
        assert await store.file(b.fingerprint) == fact(status="kept", thumbs={"s": {"path": "t"}})
        assert found["a"].leads_to == b.url


async def the_files_of_a_later_run_take_the_place_of_earlier_ones(make: Make) -> None:
    old, new, back = download("old.jpg"), download("new.jpg"), download("back.jpg")
    async with owner(make) as store:
        await store.add(requests("page"), NOW)
        (lease,) = await take(store)
        wishes = (old, "thing", "k", 0, "cover"), (back, "thing", "k", 0, "back")
        await store.commit([gave(lease, [item(key="k")], *wishes)], NOW)
        for each in await take(store):
            await store.commit([came(each, fact())], NOW)
        await store.finish("finished", NOW, True)
        await store.begin("contract", NOW)
        await store.add(requests("page"), NOW)
        (lease,) = await take(store)
        await store.commit([gave(lease, [item(key="k")], (new, "thing", "k", 0, "cover"))], NOW)
        for each in await take(store):
            await store.commit([came(each, fact())], NOW)
        found = await read(store)
        assert found["old.jpg"].items == ()
        assert found["new.jpg"].items == (("thing", "k", "cover"),)
        assert found["back.jpg"].items == (("thing", "k", "back"),)


async def what_is_taken_back_has_no_files(make: Make) -> None:
    """An errback's item goes when its page is revived; the file stays, and so do the links of what is kept."""
    async with owner(make) as store:
        await store.add(requests("page"), NOW)
        (lease,) = await take(store)
        wishes = (download(), "thing", None, 0, ""), (download(), "thing", "kept", 1, "")
        found = gave(lease, [item(), item(key="kept")], *wishes).found
        await store.commit([Dead(lease, Seen(500), "status 500", "answered 500", found=found)], NOW)
        for each in await take(store):
            await store.commit([came(each, fact())], NOW)
        assert (await read(store))["a.jpg"].items == (("thing", f"{lease.page}.0", ""), ("thing", "kept", ""))
        await store.finish("finished", NOW, True)
    store = make()
    await store.open()
    try:
        await store.revive("contract", [], NOW)
        assert (await read(store))["a.jpg"].items == (("thing", "kept", ""),)
    finally:
        await store.close()


CHECKS: tuple[Check, ...] = (
    a_file_is_known_by_the_fingerprint_of_its_download,
    a_file_is_committed_with_its_page_or_not_at_all,
    an_item_has_its_files_whatever_its_key,
    one_download_of_two_pages_is_fetched_once_and_is_both_items,
    a_redirected_download_leads_to_the_file_at_the_end,
    a_redirect_that_is_no_more_leads_nowhere,
    a_kept_file_stays_as_it_was_and_is_of_the_run_that_kept_it,
    the_files_of_a_later_run_take_the_place_of_earlier_ones,
    what_is_taken_back_has_no_files,
)
