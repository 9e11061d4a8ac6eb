"""Stats: only what was committed counts, each outcome as what it is."""

from scraper.page import Dead, Done, Found, Item, Lease, Receipt, Reject, Retry, Seen
from scraper.request import Request
from scraper.stats import MOST_REASONS, Stats

LEASE = Lease(1, 1, Request("http://example.org/"), "example.org", 1, 0.0)
ITEM = Item("book", None, "{}", ())


def counted(*pairs):
    stats = Stats(100.0)
    stats.count([outcome for outcome, _ in pairs], [receipt for _, receipt in pairs])
    return stats.snapshot(104.0, in_flight=2, queued=3)


def test_every_outcome_counts_as_what_it_is():
    snapshot = counted(
        (
            Done(LEASE, Seen(200, size=10), Found(items=[ITEM, ITEM], drops={"offsite": 2})),
            Receipt(1, True, new_links=3),
        ),
        (Done(LEASE, Seen(302, size=1), Found(), reason="redirect"), Receipt(1, True, new_links=1)),
        (Retry(LEASE, Seen(503, size=5), 1.0, "status 503", ""), Receipt(1, True)),
        (Dead(LEASE, Seen(404), "status 404", "", found=Found(items=[ITEM])), Receipt(1, True, new_links=1)),
        (
            Dead(LEASE, Seen(), "dns", "", found=Found(rejects=[Reject("a", "b", "c")], drops={"offsite": 1})),
            Receipt(1, True),
        ),
    )
    assert (snapshot.pages, snapshot.redirects, snapshot.retries, snapshot.dead) == (2, 1, 1, 2)
    assert (snapshot.items, snapshot.rejects, snapshot.links, snapshot.bytes) == (3, 1, 5, 16)
    assert snapshot.drops == {"offsite": 3}
    assert snapshot.reasons == {"status 404": 1, "dns": 1}
    assert (snapshot.seconds, snapshot.in_flight, snapshot.queued, snapshot.pages_per_second) == (4.0, 2, 3, 0.5)


def test_what_a_stale_lease_brought_does_not_count():
    snapshot = counted((Done(LEASE, Seen(200, size=10), Found(items=[ITEM])), Receipt(1, False)))
    assert (snapshot.pages, snapshot.items, snapshot.bytes) == (0, 0, 0)


def test_reasons_of_the_web_do_not_grow_without_end():
    reasons = [f"status {number}" for number in range(MOST_REASONS + 50)]
    dead = [(Dead(LEASE, Seen(), reason, ""), Receipt(1, True)) for reason in [*reasons, reasons[0]]]
    snapshot = counted(*dead)
    assert snapshot.reasons["other"] == 50
    assert snapshot.reasons[reasons[0]] == 2
    assert len(snapshot.reasons) == MOST_REASONS + 1
    assert sum(snapshot.reasons.values()) == len(dead)


def test_a_snapshot_does_not_change_afterwards():
    stats = Stats(0.0)
    before = stats.snapshot(1.0)
    stats.count([Dead(LEASE, Seen(), "dns", "")], [Receipt(1, True)])
    assert (before.dead, before.reasons) == (0, {})
