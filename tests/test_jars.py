"""The jars: what is kept and sent, how much of it, and what the next process knows."""

from collections.abc import Callable

import pytest

from scraper import jars as module
from scraper.jars import Jars
from scraper.testing import FakeClock

URL = "http://www.example.org/a/b"


class Bench:
    """Jars with a clock. ``keep("a=1", ...)`` takes an answer of URL."""

    def __init__(self, run: int = 1, clock: FakeClock | None = None) -> None:
        self.clock = clock or FakeClock()
        self.jars = Jars(self.clock, run)

    def keep(self, *lines: str, url: str = URL, jar: str = "") -> None:
        self.jars.keep(url, lines, jar)

    def sent(self, url: str = URL, jar: str = "") -> str:
        return self.jars.header(url, jar)

    def after(self, run: int = 1, passed: float = 0.0) -> "Bench":
        """The next process, which has the notes of this one."""
        self.clock.advance(passed)
        later = Bench(run, self.clock)
        now = self.clock.time()
        later.jars.load([note for note in self.jars.notes() if note.value is not None and note.until > now])
        return later


def test_what_is_set_is_sent() -> None:
    bench = Bench()
    assert bench.sent() == ""
    bench.keep("a=1; Path=/", "b=2; Path=/")
    assert bench.sent() == "a=1; b=2"
    bench.keep("a=3; Path=/")
    assert bench.sent() == "a=3; b=2"  # in place of the first, and as old as that
    assert bench.sent("http://example.org/") == bench.sent("http://other.test/") == ""


def test_longer_paths_come_first_and_then_older_cookies() -> None:
    bench = Bench()
    for line in ("x=root; Path=/", "x=deep; Path=/a/b", "y=root; Path=/", "x=a; Path=/a"):
        bench.keep(line)
        bench.clock.advance(1)
    assert bench.sent() == "x=deep; x=a; x=root; y=root"
    assert bench.sent("http://www.example.org/a?q") == "x=a; x=root; y=root"
    assert bench.sent("http://www.example.org/ab") == "x=root; y=root"


def test_one_for_the_domain_and_one_for_the_host_are_two() -> None:
    bench = Bench()
    bench.keep("a=host; Path=/", "a=domain; Path=/; Domain=example.org")
    assert bench.sent() == "a=host; a=domain"
    assert bench.sent("http://example.org/") == "a=domain"


def test_a_cookie_ends_at_its_moment() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/; Max-Age=10", "b=2; Path=/")
    assert bench.sent() == "a=1; b=2"
    bench.clock.advance(9.9)
    assert bench.sent() == "a=1; b=2"
    bench.clock.advance(0.1)
    assert bench.sent() == "b=2"


def test_a_server_takes_its_cookie_back() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/", "a=2; Path=/a")
    bench.keep("a=; Path=/; Max-Age=0")
    assert bench.sent() == "a=2"
    assert [note.value is None for note in bench.jars.notes()] == [False]
    bench.keep("a=; Path=/a; Expires=Thu, 01 Jan 1970 00:00:00 GMT")
    assert bench.sent() == "" and len(bench.jars) == 0
    assert [note.value for note in bench.jars.notes()] == [None]  # nor does the next process have it


def test_a_secure_cookie_stays_on_https_and_is_not_hidden_by_one_of_http() -> None:
    bench = Bench()
    https = URL.replace("http:", "https:")
    bench.keep("a=good; Secure; Path=/a", url=https)
    assert (bench.sent(), bench.sent(https)) == ("", "a=good")
    bench.keep("a=bad; Path=/a", "a=bad; Path=/a/b", "a=bad; Path=/a; Domain=example.org", "a=; Max-Age=0; Path=/a")
    assert bench.sent(https) == "a=good"
    bench.keep("a=other; Path=/", "b=1; Path=/a")  # neither is in its way
    assert bench.sent(https) == "a=good; b=1; a=other"
    bench.keep("a=new; Path=/a", url=https)
    assert bench.sent() == "a=new; b=1; a=other"


def test_jars_are_apart() -> None:
    bench = Bench()
    for name in ("", "ann", "bob x"):
        bench.keep(f"user={name or 'none'}; Path=/", jar=name)
    assert [bench.sent(jar=name) for name in ("", "ann", "bob x", "carl")] == [
        "user=none",
        "user=ann",
        "user=bob x",
        "",
    ]


def test_names_can_be_left_out() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/", "b=2; Path=/", "a=3; Path=/a")
    assert bench.jars.header(URL, without={"a"}) == "b=2"
    assert bench.sent() == "a=3; a=1; b=2"


def test_a_new_site_is_found_though_it_had_no_cookies_before() -> None:
    bench = Bench()
    bench.keep("x=1", url="http://first.test/")
    assert bench.sent() == ""
    bench.keep("a=1; Path=/; Domain=example.org", url="http://example.org/")
    assert bench.sent() == "a=1"
    bench.keep("a=; Domain=example.org; Path=/; Max-Age=0", url="http://example.org/")
    assert bench.sent() == ""


def test_the_next_process_sends_what_this_one_kept() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/; Max-Age=60; Domain=example.org", "s=ü; Path=/a; HttpOnly")
    bench.keep("j=1; Path=/", jar="one two")
    later = bench.after()
    assert later.sent() == "s=ü; a=1"
    assert later.sent(jar="one two") == "j=1"
    assert later.sent("http://example.org/") == "a=1"
    assert later.jars.notes() == []  # nothing is new


def test_cookies_without_a_date_end_with_their_run() -> None:
    bench = Bench(run=1)
    bench.keep("a=1; Path=/; Max-Age=60", "session=1; Path=/")
    other = bench.after(run=2)
    assert other.sent() == "a=1"
    [note] = other.jars.notes()
    assert "session" not in (note.value or "")  # and not come back in the run after


def test_a_site_of_which_nothing_is_left_is_forgotten() -> None:
    bench = Bench()
    bench.keep("session=1; Path=/")
    other = bench.after(run=2)
    [note] = other.jars.notes()
    assert (note.kind, note.key, note.value) == ("cookies", "example.org", None)


def test_a_note_lasts_as_long_as_its_last_cookie() -> None:
    bench = Bench()
    now = bench.clock.time()
    bench.keep("a=1; Max-Age=60", "b=1; Max-Age=600")
    [note] = bench.jars.notes()
    assert (note.key, note.until) == ("example.org", now + 600)
    assert bench.after(passed=60).sent() == ""


def test_only_what_changed_is_noted() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/")
    bench.keep("b=1; Path=/", url="http://other.test/")
    assert {note.key for note in bench.jars.notes()} == {"example.org", "other.test"}
    assert bench.jars.notes() == []
    bench.keep("a=1; Path=/")  # again
    assert bench.sent() == "a=1"
    assert bench.jars.notes() == []
    bench.keep("a=2; Path=/", url="http://x.example.org/")
    assert [note.key for note in bench.jars.notes()] == ["example.org"]


def test_a_note_that_is_not_ours_is_passed_over() -> None:
    bench = Bench()
    bench.keep("a=1; Path=/")
    [note] = bench.jars.notes()
    foreign = module.Note("cookies", "other.test", "[1]", note.until)
    later = Bench()
    later.jars.load([foreign, note])
    assert later.sent() == "a=1"


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def to(**limits: int) -> None:
        for name, value in limits.items():
            monkeypatch.setattr(module, name, value)

    return to


def test_of_too_many_of_one_site_those_go_first_that_are_worth_least(limit: Callable[..., None]) -> None:
    limit(MOST_OF_SITE=4)
    bench = Bench()
    https = URL.replace("http:", "https:")
    for line in ("old=1; Secure", "dead=1; Max-Age=3; Secure", "plain=1; Path=/", "idle=1; Path=/x"):
        bench.keep(line, url=https)
        bench.clock.advance(1)
    bench.keep("new=1; Path=/x", url=https)  # one too many; they are all alive but one
    assert [name in bench.sent(https) for name in ("old=", "dead=", "plain=")] == [True, False, True]
    bench.clock.advance(1)
    assert "plain=1" in bench.sent()  # asked for: the others that are not secure were not
    bench.clock.advance(1)
    bench.keep("newer=1; Path=/x", url=https)
    bench.keep("newest=1; Path=/x", url=https)
    left = bench.sent("https://www.example.org/x")
    assert ("idle=" in left, "new=" in left, "plain=" in left, "newer=" in left) == (False, False, True, True)
    assert "old=1" in bench.sent(https)


def test_a_bomb_of_headers_leaves_a_bounded_site_and_its_neighbours_alone() -> None:
    bench = Bench()
    bench.keep("mine=1; Path=/", url="http://neighbour.test/")
    bench.keep(*(f"c{n}={'x' * 1000}; Path=/" for n in range(5000)))
    assert 40 <= len(bench.jars) <= module.MOST_OF_SITE + 1
    assert len(bench.sent()) <= module.MOST_BYTES_OF_SITE + 4096
    bench.keep(*(f"d{n}=1; Path=/" for n in range(400)))
    assert len(bench.jars) == module.MOST_OF_SITE + 1
    for number in range(30):
        bench.keep(*(f"e{n}=1; Path=/" for n in range(400)), url=f"http://x{number}.example.org/")
    assert len(bench.jars) == module.MOST_OF_SITE + 1
    assert bench.sent("http://neighbour.test/") == "mine=1"


def test_of_too_many_lines_the_first_are_read() -> None:
    bench = Bench()
    bench.keep(*["a=1; Path=/"] * (module.MOST_LINES - 1), "last=1; Path=/", "late=1; Path=/")
    assert bench.sent() == "a=1; last=1"


def test_of_too_many_sites_those_go_that_were_not_asked_for_longest(limit: Callable[..., None]) -> None:
    limit(MOST_OF_JAR=20)
    bench = Bench()
    bench.keep("other=1; Path=/", jar="other")
    for number in range(40):
        bench.clock.advance(1)
        bench.keep("a=1; Path=/", url=f"http://h{number}.test/")
        assert bench.sent("http://h0.test/") == "a=1"
    sent = [number for number in range(40) if bench.sent(f"http://h{number}.test/")]
    assert 18 <= len(sent) <= 20 and sent[0] == 0 and sent[1:] == list(range(40 - len(sent) + 1, 40))
    assert bench.sent(jar="other") == "other=1"
    gone = {note.key for note in bench.jars.notes() if note.value is None}
    assert gone == {f"h{number}.test" for number in range(40) if number not in sent}


@pytest.mark.parametrize("bound", [{"MOST": 30}, {"MOST_BYTES": 300}])
def test_all_jars_together_are_bounded(limit: Callable[..., None], bound: dict[str, int]) -> None:
    limit(**bound)
    bench = Bench()
    for number in range(200):
        bench.clock.advance(1)
        bench.keep("abcd=12345; Path=/", jar=f"jar {number}")
    assert 20 <= len(bench.jars) <= 30
    assert bench.sent(jar="jar 199") and not bench.sent(jar="jar 0")


def test_what_is_made_ready_is_bounded(limit: Callable[..., None]) -> None:
    limit(MOST_READY=10)
    bench = Bench()
    bench.keep("a=1; Path=/; Domain=example.org")
    for number in range(100):
        assert bench.sent(f"http://h{number}.example.org/") == "a=1"
        assert bench.sent(f"http://h{number}.test/") == ""
        assert len(bench.jars._ready) <= 10
    bench.keep("a=2; Path=/; Domain=example.org")
    assert {bench.sent(f"http://h{number}.example.org/") for number in range(100)} == {"a=2"}
