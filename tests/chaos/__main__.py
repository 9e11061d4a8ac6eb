"""``python -m chaos``: the crawl of all faults as a table, what each did and how its page ended; see scripts/chaos."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from chaos.bodies import LARGE, made
from chaos.outcome import crawl, wrong
from chaos.server import ChaosServer, healthy
from chaos.suite import FAULTS


def main() -> int:
    console = Console()
    faults = [*FAULTS, healthy(60)]
    with console.status("Making what is large"):
        for make in LARGE:
            made(make)
    with tempfile.TemporaryDirectory() as folder, ChaosServer(faults, Path(folder)) as server:
        with console.status(f"Crawling {len(faults)} sites at once, each of them bad in its own way but for one"):
            outcome = crawl(faults, server, Path(folder) / "chaos.db")
        table = Table("what the web does", "how the page ends", "as it has to")
        failed = 0
        for fault in faults:
            flaws = wrong(fault, server, outcome)
            failed += bool(flaws)
            if fault.does:
                table.add_row(fault.does.replace("*", ""), fault.shown.replace("`", ""), "; ".join(flaws) or "yes")
    console.print(table)
    figures = outcome.figures
    console.print(
        f"{table.row_count} faults, {failed} not as they have to; the crawl {figures['reason']} in "
        f"{figures['seconds']:.1f} s, at most {figures['peak'] / 1024 / 1024:.0f} MiB"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
