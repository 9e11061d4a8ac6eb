"""All faults there are, and the table of them that docs/hostile.md shows."""

from __future__ import annotations

from chaos.bodies import BODIES
from chaos.bugs import BUGS
from chaos.connections import CONNECTIONS
from chaos.fault import Fault
from chaos.framing import FRAMING
from chaos.ways import WAYS

FAULTS: list[Fault] = [*CONNECTIONS, *FRAMING, *BODIES, *WAYS, *BUGS]


def table() -> list[str]:
    """The rows of the table, in the order of the suite."""
    return [
        f"| {fault.does} | {fault.shown} | {f'`{fault.setting}`' if fault.setting else ''} |"
        for fault in FAULTS
        if fault.does
    ]
