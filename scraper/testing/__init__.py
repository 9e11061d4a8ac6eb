"""For tests of spiders and of parts of your own: fakes, a real local site, the store contract."""

from scraper.testing.contract import store_contract
from scraper.testing.fakes import FakeClock, FakeFetcher
from scraper.testing.replays import Replay, replay
from scraper.testing.site import LocalSite

__all__ = ["FakeClock", "FakeFetcher", "LocalSite", "Replay", "replay", "store_contract"]
