"""How many lines of a module are run: what says that work grows with the page, and not with its square."""

import sys
from collections.abc import Callable
from types import FrameType, ModuleType
from typing import Any


def lines_of(module: ModuleType, work: Callable[[], Any]) -> int:
    count = 0

    def inside(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return inside

    def entered(frame: FrameType, event: str, arg: Any) -> Any:
        return inside if frame.f_code.co_filename == module.__file__ else None

    before = sys.gettrace()
    sys.settrace(entered)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
