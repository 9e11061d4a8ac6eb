"""One crawl over every fault at once: each page ends as its fault says, and the healthy site beside them is whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chaos.bodies import LARGE, made
from chaos.fault import Fault
from chaos.outcome import Outcome, crawl, wrong
from chaos.server import ChaosServer, healthy
from chaos.suite import FAULTS, table

ROOT = Path(__file__).resolve().parents[2]
HEALTHY = healthy(60)
MOST_MEMORY = 400 * 1024 * 1024


@pytest.fixture(scope="module")
def chaos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ChaosServer, Outcome]]:
    folder = tmp_path_factory.mktemp("chaos")
    for make in LARGE:
        made(make)
    with ChaosServer([*FAULTS, HEALTHY], folder) as server:
        yield server, crawl([*FAULTS, HEALTHY], server, folder / "chaos.db")


def test_there_are_faults_enough_and_no_two_are_one() -> None:
    shown = [fault for fault in FAULTS if fault.does]
    assert len(shown) >= 100
    for names in ([fault.name for fault in FAULTS], [fault.does for fault in shown]):
        assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("fault", [*FAULTS, HEALTHY], ids=lambda fault: fault.name)
def test_every_page_ends_as_it_has_to(chaos: tuple[ChaosServer, Outcome], fault: Fault) -> None:
    server, outcome = chaos
    assert wrong(fault, server, outcome) == []


def test_the_crawl_comes_to_its_own_end(chaos: tuple[ChaosServer, Outcome]) -> None:
    assert chaos[1].figures["reason"] == "finished"


def test_no_page_came_that_nobody_expects(chaos: tuple[ChaosServer, Outcome]) -> None:
    server, outcome = chaos
    expected = {server.url(fault, path) for fault in [*FAULTS, HEALTHY] for path in fault.ends}
    many = tuple(server.origins[fault.name] + "/" for fault in FAULTS if fault.many)
    assert {url for url in outcome.ends.keys() - expected if not url.startswith(many)} == set()


def test_memory_stays_bounded(chaos: tuple[ChaosServer, Outcome]) -> None:
    assert 30 * 1024 * 1024 < chaos[1].figures["peak"] < MOST_MEMORY


def test_the_table_of_the_docs_is_the_suite() -> None:
    text = (ROOT / "docs" / "hostile.md").read_text(encoding="utf-8")
    assert text.partition("| the web | the page | setting |\n|---|---|---|\n")[2].splitlines() == table()
