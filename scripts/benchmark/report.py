"""Medians, ratios and targets, as tables for people and as a document for programs."""

from collections.abc import Callable
from dataclasses import asdict
from statistics import median

from contest import SITES, Sample
from rich.console import Console
from rich.table import Table

LABELS = {"raw": "(a) raw", "ours": "(b) ours", "scrapy": "(c) Scrapy"}
METRICS: dict[str, tuple[str, Callable[[Sample], float]]] = {
    "pages per CPU-second": ("{:,.0f}", lambda s: s.pages_per_cpu_second),
    "CPU us per page": ("{:,.0f}", lambda s: s.cpu / s.pages * 1e6),
    "pages/s while crawling": ("{:,.0f}", lambda s: s.pages_per_second),
    "start to exit, s": ("{:.2f}", lambda s: s.wall),
    "CPU seconds": ("{:.2f}", lambda s: s.cpu),
    "peak memory, MB": ("{:,.0f}", lambda s: s.rss),
    "connections a host, mean": ("{:.2f}", lambda s: s.connections_mean),
    "connections a host, most": ("{:.0f}", lambda s: s.connections_max),
}
START = ("start to exit, s", "CPU seconds", "peak memory, MB")
MARGINAL = "CPU us/page after start-up"  # known when the one-page crawl was measured too


def medians(samples: list[Sample], site: str) -> dict[str, dict[str, float]]:
    """metric -> contestant -> median over the runs on ``site``."""
    mine = [each for each in samples if each.site == site]
    who = list(dict.fromkeys(each.contestant for each in mine))
    values = {
        metric: {name: median(read(each) for each in mine if each.contestant == name) for name in who}
        for metric, (_, read) in METRICS.items()
        if site != "start" or metric in START
    }
    if site != "start" and any(each.site == "start" for each in samples):
        idle = medians(samples, "start")["CPU seconds"]
        values[MARGINAL] = {name: (values["CPU seconds"][name] - idle[name]) / mine[0].pages * 1e6 for name in who}
    return values


def targets(samples: list[Sample]) -> list[dict[str, object]]:
    """Each target with what was measured, for which both sides ran."""
    found: list[dict[str, object]] = []

    def check(site: str, said: str, metric: str, against: str | None, least: float | None, most: float | None) -> None:
        values = medians(samples, site).get(metric, {})
        if "ours" not in values or (against and against not in values):
            return
        value = values["ours"] / (values[against] if against else 1.0)
        met = (least is None or value >= least) and (most is None or value <= most)
        found.append({"site": site, "target": said, "measured": round(value, 3), "met": met})

    for site in ("books", "wide"):
        check(site, "pages per CPU-second >= 0.75 of the raw loop", "pages per CPU-second", "raw", 0.75, None)
        check(site, "pages per CPU-second >= 6 x Scrapy", "pages per CPU-second", "scrapy", 6.0, None)
    cap = SITES["books"].per_host
    check("books", f"connections <= the cap of {cap}", "connections a host, most", None, None, cap)
    check("wide", "connections <= 1.1 per host", "connections a host, mean", None, None, 1.1)
    check("start", "start to exit <= 0.5 of Scrapy", "start to exit, s", "scrapy", None, 0.5)
    return found


def document(samples: list[Sample], facts: dict[str, str]) -> dict[str, object]:
    """Everything, ready for JSON."""
    sites = list(dict.fromkeys(each.site for each in samples))
    return {
        "facts": facts,
        "sites": {name: asdict(SITES[name]) for name in sites},
        "medians": {name: medians(samples, name) for name in sites},
        "targets": targets(samples),
        "samples": [asdict(each) for each in samples],
    }


def show(samples: list[Sample], facts: dict[str, str]) -> None:
    """Print one table a site, then the targets."""
    console = Console()
    console.print()
    console.print(", ".join(f"{name} {value}" for name, value in facts.items()), style="dim", highlight=False)
    for name in dict.fromkeys(each.site for each in samples):
        console.print()
        console.print(heading(samples, name), highlight=False)
        console.print(table(samples, name))
    rows = targets(samples)
    if rows:
        console.print("\n[bold]targets[/]")
        console.print(verdicts(rows))


def heading(samples: list[Sample], name: str) -> str:
    """What the table of one site is about."""
    site = SITES[name]
    mine = [each for each in samples if each.site == name]
    runs = len(mine) // len({each.contestant for each in mine})
    if name == "start":
        return f"[bold]start[/]: {site.said}; medians of {runs}"
    return (
        f"[bold]{name}[/]: {mine[0].pages:,} pages, {site.said}; at once {site.concurrency} in total and"
        f" {site.per_host} to one host (Scrapy: 120 and {site.scrapy_per_host}); medians of {runs}"
    )


def table(samples: list[Sample], name: str) -> Table:
    """Medians of every contestant on one site, and the ratios of (b) to the others."""
    values = medians(samples, name)
    who = list(dict.fromkeys(each.contestant for each in samples if each.site == name))
    grid = Table()
    grid.add_column("", no_wrap=True)
    for contestant in who:
        grid.add_column(LABELS[contestant], justify="right")
    pairs = [(a, b) for a, b in (("ours", "raw"), ("ours", "scrapy")) if a in who and b in who]
    for _, other in pairs:
        grid.add_column("b/a" if other == "raw" else "b/c", justify="right", style="bold")
    for metric, by_name in values.items():
        layout = METRICS[metric][0] if metric in METRICS else "{:,.0f}"
        ratios = [f"{by_name[a] / by_name[b]:.2f}" if by_name[b] else "" for a, b in pairs]
        grid.add_row(metric, *(layout.format(by_name[each]) for each in who), *ratios)
    return grid


def verdicts(rows: list[dict[str, object]]) -> Table:
    """One line a target."""
    grid = Table()
    for head in ("site", "target", "measured", ""):
        grid.add_column(head, justify="right" if head == "measured" else "left")
    for row in rows:
        mark = "[green]\N{HEAVY CHECK MARK} met[/]" if row["met"] else "[red]\N{HEAVY BALLOT X} missed[/]"
        grid.add_row(str(row["site"]), str(row["target"]), f"{row['measured']:.2f}", mark)
    return grid
