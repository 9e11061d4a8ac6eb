"""``scraper why`` of a real crawl of a site on which much goes wrong."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from made import Made
from walked import LONG, command, page, ran, rows, site, spider

from scraper.request import Request


async def test_every_fate_of_a_url(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        done = await ran(cli, *command(at))
        assert done.returncode == 0, done.stderr

        async def why(url: str) -> dict[str, Any]:
            (found,) = await rows(cli, "why", "walk", at.url(url) if url.startswith("/") else url)
            return found

        answers = {
            "/": "fetched",
            "/a": "fetched",
            "/a#top": "fetched",
            "/flaky": "fetched",
            "/moved": "redirect",
            "/away": "redirect",
            "/gone": "dead",
            "/broken": "dead",
            "/secret": "dead",
            "/deep": "depth",
            LONG: "length",
            "http://x.test/b": "offsite",
            "http://x.test/away": "offsite",
            "mailto:x@x.test": "scheme",
            "mailto:y@x.test": "would be scheme",
            "http://x.test/nowhere": "would be offsite",
            "/nowhere" + LONG: "would be length",
            "/nowhere": "unknown",
            "nowhere": "malformed",
        }
        found = await asyncio.gather(*map(why, answers))
        assert {url: each["answer"] for url, each in zip(answers, found, strict=True)} == answers

        top = await why("/a#top")
        assert (top["url"], top["fingerprint"]) == (at.url("/a"), Request(at.url("/a")).fingerprint.hex())
        assert top["pages"][0]["found_on"] == at.url("/")
        flaky = (await why("/flaky"))["pages"][0]["attempts"]
        assert [(each["attempt"], each["state"], each["status"]) for each in flaky] == [
            (1, "retry", 503),
            (2, "done", 200),
        ]
        assert all(each["elapsed"] > 0 and each["reused"] in (True, False) for each in flaky)
        (only,) = (await why("/gone"))["pages"][0]["attempts"]
        assert (only["state"], only["status"], only["reason"]) == ("dead", 404, "status 404")
        (seed,) = (await why("/"))["pages"]
        assert (seed["found_on"], seed["depth"], seed["attempts"][0]["reused"]) == (None, 0, True)  # after robots.txt
        assert (await why("/moved"))["pages"][0]["redirect"] == at.url("/there")
        assert (await why("/away"))["pages"][0]["redirect"] == "http://x.test/away"
        assert (await why("/deep"))["drops"][0]["found_on"] == at.url("/a")


async def test_the_answers_as_people_read_them(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        await ran(cli, *command(at))

        async def why(url: str) -> str:
            done = await ran(cli, "why", "walk", at.url(url) if url.startswith("/") else url)
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout

        out = await why("/x/../flaky#top")
        assert re.search(rf"^URL +{at.url('/flaky')}$", out, re.M)
        assert re.search(rf"^given as +{at.url('/x/../flaky#top')} \(a duplicate: ", out, re.M)
        assert re.search(rf"^fingerprint +{Request(at.url('/flaky')).fingerprint.hex()}$", out, re.M)
        assert re.search(rf"^found on +{at.url('/')}, at depth 1, \d{{4}}-", out, re.M)
        assert re.search(r"^answer +run 1 fetched it$", out, re.M)
        took = r"[\d.]+ ms, (?:new|reused) connection"
        assert re.search(rf"^attempt 1 +\d{{4}}-.* retry +status 503, {took}: .*/flaky answered 503$", out, re.M)
        assert re.search(rf"^attempt 2 +\d{{4}}-.* done +status 200, {took}$", out, re.M)
        words = (
            ("/", "found on     a seed, at depth 0"),
            ("/moved", f"it redirects to {at.url('/there')}\n"),
            ("/away", "it redirects to http://x.test/away, which was not followed: offsite\n"),
            ("/broken", "run 1 gave it up: ValueError: no price\n"),
            ("/secret", "/robots.txt "),
            ("/secret", "/secret"),
            ("/deep", f"a link on {at.url('/a')} and did not follow it: depth (max_depth of run 1 is 1)"),
            (LONG, f"length ({len(at.url(LONG))} characters; max_url_length of run 1 is 60)"),
            ("http://x.test/b", "did not follow it: offsite (allowed_domains of run 1 are 127.0.0.1)"),
            ("mailto:x@x.test", "did not follow it: scheme (only http and https are)"),
            ("http://x.test/c", "a link to it would be dropped: offsite (allowed_domains of run 1 are 127.0.0.1)"),
            ("/nowhere", "never fetched: no page of run 1 linked to it\n"),
            ("/a/", f"But this is a page: {at.url('/a')}\n"),
            ("nowhere", "'nowhere' is not an absolute http(s) URL"),
        )
        told = await asyncio.gather(*(why(url) for url, _ in words))
        for (url, part), out in zip(words, told, strict=True):
            assert part in out, url


async def test_a_limit_comes_first(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        await ran(cli, *command(at, "--limit-pages", 1))
        out = (await ran(cli, "why", "walk", at.url("/flaky"))).stdout
        assert "never fetched by run 1: it was still due when that run ended by its page limit\n" in out
        at.pages["/"] = page("a")
        await ran(cli, *command(at))
        (found,) = await rows(cli, "why", "walk", at.url("/flaky"))
        assert (found["answer"], found["pages"][0]["state"], found["run"]["id"]) == ("page limit", "left", 2)
        out = (await ran(cli, "why", "walk", at.url("/flaky"))).stdout
        assert "run 2 is the last, and has met no link to it" in out


async def test_drops_past_the_examples_are_counted(cli: Cli, tmp_path: Path) -> None:
    spider(tmp_path)
    async with site() as at:
        at.pages["/"] = page(*(f"http://x.test/{n}" for n in range(130)))
        await ran(cli, *command(at))
        (found,) = await rows(cli, "why", "walk", "http://x.test/129")
        assert (found["answer"], found["untold"]) == ("would be offsite", {"offsite": 30})
        out = (await ran(cli, "why", "walk", "http://x.test/129")).stdout
        assert "Run 1 dropped 130 links for offsite, of which the first 100 are kept" in out
        assert "of which the first" not in (await ran(cli, "why", "walk", at.url("/nowhere"))).stdout


SCOPE = {"max_path_repeats": 10, "max_pages_per_host": 5000}


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("nofollow", "nofollow (its link or its page asks not to be followed, and run 1 had obey_nofollow)"),
        ("path", "path (a part of its path stands there more than 10 times, max_path_repeats of run 1: "),
        ("host budget", "host budget (run 1 had 5,000 pages of h.test already, its max_pages_per_host)"),
    ],
)
def test_each_rule_is_told_with_its_figure(cli: Cli, tmp_path: Path, reason: str, told: str) -> None:
    made = Made(tmp_path / "x.db")
    made.run(scope=SCOPE)
    made.drop(reason, "http://h.test/no", page=made.page("page"))
    made.close()
    out = cli("why", "x.db", "http://h.test/no").stdout
    assert f"run 1 met it as a link on http://h.test/page and did not follow it: {told}" in out


def test_a_url_that_would_be_a_trap(cli: Cli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    made.run(scope=SCOPE)
    made.close()
    out = cli("why", "x.db", "http://h.test/" + "a/" * 11).stdout
    assert "a link to it would be dropped: path (a part of its path stands there more than 10 times" in out


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("robots", "with obey_robots = false, or Request(obey_robots=False), it is not asked"),
        (
            "private address",
            "name it in start_urls or allowed_domains, or in the setting allow_private, if it may be asked",
        ),
        ("host down", "scraper retry SPIDER --reason 'host down' asks it again"),
    ],
)
def test_what_to_do_about_a_dead_page(cli: Cli, tmp_path: Path, reason: str, told: str) -> None:
    made = Made(tmp_path / "x.db")
    made.run()
    made.page("a", "dead", reason=reason, error="what happened", status=None)
    made.close()
    out = cli("why", "x.db", "http://h.test/a").stdout
    assert re.search(rf"^state +dead: {reason}$", out, re.M)
    assert "run 1 gave it up: what happened" in out
    assert re.search(rf"^note .*{re.escape(told)}$", out, re.M)


@pytest.mark.parametrize("arguments", [("why",), ("why", "walk")])
def test_why_what(cli: Cli, arguments: tuple[str, ...]) -> None:
    done = cli(*arguments)
    assert (done.returncode, done.stdout) == (2, "")


def test_json_is_one_object(cli: Cli, tmp_path: Path) -> None:
    made = Made(tmp_path / "x.db")
    made.run()
    for n in range(3):
        made.page("a", fp=bytes([n]))
    made.close()
    done = cli("why", "x.db", "http://h.test/a", "--json")
    assert len(json.loads(done.stdout)["pages"]) == 3
    out = cli("why", "x.db", "http://h.test/a").stdout
    assert len(re.findall(r"^request +GET http://h.test/a \(fingerprint 0\d\)$", out, re.M)) == 3
