"""Faults of where a page leads: redirects, URLs, traps without end, robots.txt."""

from __future__ import annotations

from chaos.connections import BROKEN, SILENT, hangs, resets
from chaos.fault import PAGE, Fault, Peer, Play, dead, done, fault, flood, head, links, page, paths, says
from scraper import errors

MOVED = done(None, 302, "redirect")
HOPELESS = dead(errors.RedirectError, "redirect", 302)
DENIED = dead(errors.AddressDenied, "private address")
FORBIDDEN = dead(errors.RobotsDenied, "robots")
NO_ROBOTS = dead(errors.RobotsDenied, "robots", again=True)


def to(location: str, status: str = "302 Found") -> bytes:
    return page(b"", f"Location: {location}", status=status)


async def hops(peer: Peer, path: str) -> None:
    await peer.send(to(f"/{int(path[1:] or 0) + 1}"))


def leads(name: str, does: str, location: str, end: object, setting: str = "") -> Fault:
    """A redirect to somewhere else, which ends there."""
    return Fault(
        name=name, does=does, play=paths({"/": to(location)}), ends={"/": MOVED, location: end}, setting=setting
    )  # type: ignore[dict-item]


def nowhere(name: str, does: str, location: str) -> Fault:
    return fault(name, does, says(to(location)), HOPELESS)


REDIRECTS: list[Fault] = [
    fault(
        "redirect loop", "redirects a page to itself", says(to("/"), close=False), HOPELESS, "max_redirects", many=True
    ),
    Fault(
        name="redirect circle",
        does="redirects two pages to one another",
        play=paths({"/": to("/b"), "/b": to("/")}),
        ends={"/b": MOVED, "/": HOPELESS},
        setting="max_redirects",
        many=True,
    ),
    Fault(
        name="50 hops",
        does="redirects 50 times",
        play=hops,
        ends={**{f"/{n or ''}": MOVED for n in range(20)}, "/20": HOPELESS},
        setting="max_redirects",
    ),
    nowhere("to file", "redirects to a `file:` URL", "file:///etc/passwd"),
    nowhere("to javascript", "redirects to a `javascript:` URL", "javascript:alert(1)"),
    nowhere("to data", "redirects to a `data:` URL", "data:text/html,<h1>whole</h1>"),
    nowhere("to garbage", "redirects to what is no URL", "http://[::1"),
    fault("to nothing", "redirects without saying where", says(page(status="302 Found")), done(status=302)),
    leads("to 10.0.0.1", "redirects to a private address", "http://10.0.0.1/", DENIED, "allow_private"),
    leads(
        "to metadata",
        "redirects to the metadata service of a cloud",
        "http://169.254.169.254/latest/meta-data/",
        DENIED,
        "allow_private",
    ),
    leads(
        "to loopback", "redirects to a loopback address that nobody named", "http://127.0.0.9/", DENIED, "allow_private"
    ),
    leads("to mapped", "redirects to loopback as IPv4 inside IPv6", "http://[::ffff:7f00:9]/", DENIED, "allow_private"),
    leads("to ipv6", "redirects to loopback in IPv6", "http://[::1]/", DENIED, "allow_private"),
    leads("to zero", "redirects to 0.0.0.0", "http://0.0.0.0/", DENIED, "allow_private"),
    leads("to local name", "redirects to a name at a private address", "http://inside.test/", DENIED, "allow_private"),
    Fault(
        name="to number",
        does="redirects to loopback written as a number",
        play=paths({"/": to("http://2130706441/")}),
        ends={"/": MOVED, "http://127.0.0.9/": DENIED},
        setting="allow_private",
    ),
    Fault(
        name="to user",
        does="redirects to a URL with a user and tabs",
        play=paths({"/": to("/a\tb"), "/ab": page()}),
        ends={"/": MOVED, "/ab": done()},
    ),
    fault(
        "to 1 MB", "redirects to a URL of 1 MB", says(to("/" + "x" * 1_000_000)), dead(errors.ProtocolError, "protocol")
    ),
    Fault(
        name="to 20 kB",
        does="redirects to a URL of 20 kB",
        play=paths({"/": to("/" + "x" * 20_000)}),
        ends={"/": done(None, 302, "redirect length")},
        setting="max_url_length",
        drops={"length": 1},
    ),
]


def linking(
    name: str, does: str, urls: list[str], found: dict[str, object], setting: str = "", **more: object
) -> Fault:
    """A page with odd links, and all pages that come of it."""
    pages: dict[str, bytes | Play] = {path: page() for path in found if path.startswith("/")}
    return Fault(
        name=name,
        does=does,
        play=paths({**pages, "/": page(links(urls))}),
        ends={**found, "/": done()},
        setting=setting,
        **more,
    )  # type: ignore[dict-item,arg-type]


async def farm(peer: Peer, path: str) -> None:
    """Every page has a hundred new ones."""
    await peer.send(page(links([f"/{path[1:]}{n}" for n in range(10, 30)], "farm")))


async def calendar(peer: Peer, path: str) -> None:
    """Every page has one below it, named alike."""
    await peer.send(page(links([f"{path}next/month/"], "month")))


NO_NAMES = ["http://xn--/", "http://xn--a/", "http://a..b/", "http://xn--0/"]
NOWHERE = dead(errors.NoSuchHost, "no such host")
MONTHS = ["/" + "next/month/" * n for n in range(11)]

URLS: list[Fault] = [
    linking("1 MB url", "links to a URL of 1 MB", ["/" + "x" * 1_000_000], {}, "max_url_length", drops={"length": 1}),
    linking(
        "odd schemes",
        "links to what is no page",
        ["javascript:x", "mailto:a@b", "file:///etc/passwd", "data:,x", "tel:1"],
        {},
        drops={"scheme": 5},
    ),
    linking(
        "no urls",
        "links to what is no URL",
        ["http://", "http://[", "http://a b/", "http://%zz/", "//", "http://1.2.3.4.5/", "http://x:99999/"],
        {},
        drops={"scheme": 7},
    ),
    linking(
        "whitespace",
        "puts tabs and newlines into its links",
        [" /a\tb ", "\n/c\r\nd\n"],
        {"/ab": done(), "/cd": done()},
    ),
    linking(
        "percent",
        "encodes its links oddly",
        ["/%zz", "/%", "/a%00b", "/%ff%fe", "/..//./%2e%2e/c"],
        {"/%zz": done(), "/%": done(), "/a%00b": done(), "/%ff%fe": done(), "/c": done()},
    ),
    linking(
        "idna",
        "links to names that are no names",
        NO_NAMES,
        dict.fromkeys(NO_NAMES, NOWHERE),
    ),
    Fault(
        name="base garbage",
        does="has a base that is no URL",
        play=paths(
            {"/": page(b"<base href='http://['><base href='http://other.test/'>" + links(["next"])), "/next": page()}
        ),
        ends={"/next": done(), "/": done()},
    ),
    Fault(
        name="link farm",
        does="puts 20 new links on every page, without end",
        play=farm,
        ends={"/": done("farm")},
        setting="max_pages_per_host",
        many=True,
        drops={"host budget": 1},
    ),
    Fault(
        name="calendar",
        does="repeats its path without end",
        play=calendar,
        ends={month: done("month") for month in MONTHS},
        setting="max_path_repeats",
        drops={"path": 1},
    ),
]


def robots(name: str, does: str, play: Play, end: object, setting: str = "obey_robots") -> Fault:
    return fault(name, does, says(page(), close=False), end, setting, robots=play)  # type: ignore[arg-type]


TEXT = "Content-Type: text/plain"
RULES = b"User-agent: *\nDisallow: /private\n"

ROBOTS: list[Fault] = [
    robots(
        "robots no",
        "forbids every page in robots.txt",
        says(page(b"User-agent: *\nDisallow: /\n", kind=TEXT)),
        FORBIDDEN,
    ),
    robots("robots 10 MB", "has a robots.txt of 10 MB", says(page(RULES * 320_000, kind=TEXT)), done()),
    robots("robots endless", "has a robots.txt without end", flood(RULES * 1000, head()), done()),
    robots("robots html", "sends a page as robots.txt", says(page(PAGE)), done()),
    robots("robots binary", "sends random bytes as robots.txt", says(page(bytes(range(256)) * 100)), done()),
    robots("robots 404", "has no robots.txt", says(page(b"", status="404 Not Found")), done()),
    robots("robots loop", "redirects robots.txt to itself", says(to("/robots.txt"), close=False), done()),
    robots("robots 500", "fails to send robots.txt", says(page(b"", status="500 Oops")), NO_ROBOTS),
    robots("robots hangs", "never answers for robots.txt", hangs(), SILENT),
    robots("robots reset", "resets the connection for robots.txt", resets(), BROKEN),
    robots(
        "robots to private",
        "redirects robots.txt to a private address",
        says(to("http://10.0.0.1/robots.txt")),
        NO_ROBOTS,
    ),
]

WAYS: list[Fault] = [*REDIRECTS, *URLS, *ROBOTS]
