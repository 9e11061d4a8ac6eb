"""Faults of the spider itself: the page is whole, and its callback is not."""

from __future__ import annotations

from chaos.fault import PAGE, End, Fault, dead, done, page, paths, says
from scraper import errors

ENDLESS = dead(errors.TooManyResults, "too many results", 200)


def raised(error: str) -> End:
    """Dead by an exception of the callback's own."""
    return End("dead", "callback", 200, error=error)


def bug(callback: str, does: str, end: End, setting: str = "") -> Fault:
    return Fault(
        name=callback.replace("_", " "),
        does=f"*a callback* {does}",
        play=says(page(), close=False),
        ends={"/": end},
        callback=callback,
        setting=setting,
    )


BUGS: list[Fault] = [
    bug("raises", "raises after it gave an item", raised("KeyError")),
    bug("raises_badly", "raises what cannot even be printed", raised("Unspeakable")),
    bug("junk", "yields what is neither item nor Request", raised("CallbackError")),
    bug("junk_for_ever", "yields junk without end, and catches every error", ENDLESS, "max_results"),
    bug("never_stops", "yields links and items without end", ENDLESS, "max_results"),
    bug("yields_nothing_for_ever", "yields nothing without end", ENDLESS, "max_results"),
    bug("never_stops_async", "yields without end, as an async generator", ENDLESS, "max_results"),
    bug("cannot_be_closed", "yields without end and cannot be closed", ENDLESS, "max_results"),
    bug("endless_list", "returns an iterator without end", ENDLESS, "max_results"),
    bug("recurses", "calls itself without end", raised("RecursionError")),
    bug("exits", "calls `sys.exit()`", raised("SystemExit")),
    bug("generator_exit", "raises GeneratorExit", raised("GeneratorExit")),
    bug("cancels_itself", "cancels its own task and awaits", raised("CancelledError")),
    bug("cancels_later", "cancels its own task and returns", raised("CallbackError")),
    bug("cancelled", "raises CancelledError", raised("CancelledError")),
    bug("closes_the_loop", "closes the event loop", raised("RuntimeError")),
    bug("stop_iteration", "raises StopIteration", raised("RuntimeError")),
    bug("no_memory", "runs out of memory", raised("MemoryError")),
    bug("spoils", "spoils the request and the response it is given", done()),
    bug("spoils_a_link", "gives a request whose URL it has spoilt", raised("RequestError")),
    bug("huge_item", "gives an item of 5 MB: it is rejected, the others are kept", done(), "max_item_size"),
    bug("huge_meta", "gives a request 5 MB of `meta`", raised("RequestError"), "max_item_size"),
    bug("keeps", "keeps every response", done()),
    Fault(
        name="bad errback",
        does="*an errback* calls `sys.exit()`",
        play=paths({"/": page(PAGE)}),
        ends={"/": done(), "/broken": End("dead", "callback", 404, error="SystemExit")},
        callback="bad_errback",
    ),
]
