"""Which hosts share a slot."""

import pytest

import scraper.grouping
from scraper.grouping import Groups
from scraper.settings import Settings


def groups(slot_by: str, addresses: dict[str, str], joined: list[tuple[str, str]]) -> Groups:
    settings = Settings(slot_by=slot_by)  # type: ignore[arg-type]
    return Groups(settings, addresses.get, lambda key, host: joined.append((key, host)))


@pytest.mark.parametrize(
    ("host", "key"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("a.b.example.com:8080", "example.com"),
        ("example.com", "example.com"),
        ("one.github.io", "one.github.io"),
        ("localhost:8000", "localhost"),
        ("192.0.2.7:8000", "192.0.2.7"),
        ("[2001:db8::1]:8000", "[2001:db8::1]"),
        ("[2001:db8::1]", "[2001:db8::1]"),
    ],
)
def test_by_registered_domain(host: str, key: str) -> None:
    assert groups("domain", {}, [])(host) == key


def test_by_address_once_it_is_known() -> None:
    joined: list[tuple[str, str]] = []
    addresses: dict[str, str] = {}
    group = groups("ip", addresses, joined)
    assert group("a.test:8000") == "a.test:8000"
    assert joined == []
    addresses |= {"a.test": "192.0.2.7", "b.test": "192.0.2.7"}
    assert group("a.test:8000") == group("b.test") == "192.0.2.7"
    addresses.clear()
    assert group("a.test:8000") == "192.0.2.7", "it does not change with every look-up"
    assert joined == [("192.0.2.7", "a.test:8000"), ("192.0.2.7", "b.test")]


def test_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scraper.grouping, "MOST_HOSTS", 10)
    group = groups("domain", {}, [])
    for number in range(100):
        assert group(f"h{number}.example.com") == "example.com"
        assert len(group._keys) <= 10
