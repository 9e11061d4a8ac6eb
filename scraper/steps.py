"""Steps: what a spider does to each of its items before it is stored; plain callables, in their order.

Imported for a spider that has some. A step belongs to the visit of the page: what it gives is committed with the page,
and it runs again for a page that is fetched again.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from scraper.errors import CallbackError, DropItem, MissingExtra, SpiderError
from scraper.item import fitted, is_item, reject
from scraper.page import Reject, Run, Unwanted

if TYPE_CHECKING:
    from scraper.spider import Spider


class Step(NamedTuple):
    """A step and the name that it has in ``drops`` and ``rejects``."""

    name: str
    call: Callable[[Any], Any]
    object: Any


class Steps:
    """The steps of one spider, for one crawl: a class among them is made into an object of that crawl.

    Raises SpiderError for what cannot be called with an item, when they are first needed.
    """

    def __init__(self, spider: Spider) -> None:
        self._spider = spider
        self._steps: list[Step] | None = None

    @property
    def steps(self) -> list[Step]:
        """In their order."""
        if self._steps is None:
            self._steps = [self._step(each, number) for number, each in enumerate(self._given(), 1)]
        return self._steps

    def check(self) -> None:
        """Raises SpiderError for what can be told to be no step without making an object of a class."""
        given = self._given()
        if iter(given) is not given:  # what can be read once only is left to the crawl
            for number, each in enumerate(given, 1):
                self._checked(each, _name(each, number))

    def _given(self) -> Iterable[Any]:
        given: Any = self._spider.steps
        if callable(given) or isinstance(given, str) or not isinstance(given, Iterable):
            raise SpiderError(f"{self._spider.name}.steps is {given!r:.60}; make it a list of steps: [{given!r:.60}]")
        return given

    def _checked(self, given: Any, name: str) -> None:
        named = hasattr(given, "process_item")
        hint = "; rename its process_item(self, item, spider) to __call__(self, item)" if named else ""
        if isinstance(given, type):
            if not any("__call__" in vars(base) for base in given.__mro__):
                raise SpiderError(
                    f"{self._spider.name}.steps has the class {name}, whose objects cannot be called{hint}"
                )
            try:
                inspect.signature(given).bind()
            except TypeError as error:
                raise SpiderError(f"{self._spider.name}.steps has the class {name}; give an object: {error}") from error
            except ValueError:  # it does not say what it takes
                return
        elif not callable(given):
            raise SpiderError(f"{self._spider.name}.steps has {given!r:.60}, which cannot be called with an item{hint}")

    def _step(self, given: Any, number: int) -> Step:
        name = _name(given, number)
        self._checked(given, name)
        if isinstance(given, type):
            try:
                given = given()
            except TypeError as error:
                raise SpiderError(f"{self._spider.name}.steps has the class {name}; give an object: {error}") from error
        elif inspect.isfunction(given) and getattr(type(self._spider), name, None) is given:
            given = getattr(self._spider, name)  # written in the class body: it is a method
        return Step(name, given, given)

    @asynccontextmanager
    async def opened(self, run: Run) -> AsyncIterator[None]:
        """``open(run)`` of each step that has it, and at the end, however it comes, ``close(run)`` of those opened.

        Raises CallbackError for one of these that raises.
        """
        opened: list[Step] = []
        try:
            for step in self.steps:
                opened.append(step)
                if (flaw := await _call(step, "open", run)) is not None:
                    opened.pop()
                    raise flaw
            yield
        except BaseException as error:
            for flaw in await _closed(opened, run):
                error.add_note(str(flaw))
            raise
        for flaw in await _closed(opened, run):
            raise flaw

    async def through(self, value: Any, page: Any) -> Any:
        """An item, cleaned and checked, from the first step to the last: what came of it, a Unwanted or a Reject.

        One of another class than the step was given is cleaned and checked, as if a callback had yielded it.
        """
        name, steps = "", self.steps
        try:
            for name, call, _ in steps:
                result = call(value)
                if inspect.isawaitable(result):
                    result = await result
                if result is None:
                    return Unwanted(name, "")
                if type(result) is not type(value):
                    if not is_item(result):
                        words = f"step {name} gave a {type(result).__name__}, which is no item: {result!r:.100}"
                        return reject(value, words)
                    result = fitted(result, page)
                    if isinstance(result, Reject):
                        result.reason = f"after step {name}: {result.reason}"
                        return result
                value = result
        except DropItem as drop:
            return Unwanted(name, str(drop))
        except (CallbackError, MissingExtra):
            raise
        except Exception as error:  # whatever a step raises: the page goes on without the item
            return reject(value, f"step {name} raised {type(error).__name__}: {error}")
        return value


def _name(step: Any, number: int) -> str:
    while isinstance(step, partial):
        step = step.func
    name = str(getattr(step, "__name__", "") or type(step).__name__)
    return name if name.isidentifier() else f"step {number}"


async def _call(step: Step, name: str, run: Run) -> CallbackError | None:
    method = getattr(step.object, name, None)
    if method is None or inspect.isroutine(step.object):
        return None
    try:
        result = method(run)
        if inspect.isawaitable(result):
            await result
    except Exception as error:  # whatever it raises: the others are still to be closed
        flaw = CallbackError(f"{name}() of step {step.name} raised {type(error).__name__}: {error}")
        flaw.__cause__ = error
        return flaw
    return None


async def _closed(opened: list[Step], run: Run) -> list[CallbackError]:
    """Close all, the last first."""
    flaws = [await _call(step, "close", run) for step in reversed(opened)]
    return [flaw for flaw in flaws if flaw is not None]


DOORS = frozenset((Steps.through.__code__,))
"""The code that calls a step: how the watchdog knows one on the stack."""
