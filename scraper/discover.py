"""From a name or a file to a spider: finding classes, and arguments typed by ``__init__``."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import msgspec

from scraper.errors import SpiderError
from scraper.spider import Spider


def find(target: str, folder: Path) -> type[Spider]:
    """The spider class for a name in ``folder``, for a file, or for ``file.py:ClassName``.

    Raises SpiderError when there is none, or more than one to choose from.
    """
    file, _, chosen = target.partition(".py:")
    if chosen or target.endswith(".py"):
        path = Path(f"{file}.py" if chosen else target)
        if not path.is_file():
            raise SpiderError(f"there is no file {path}")
        found = [each for each in classes(load(path)) if not chosen or each.__name__ == chosen]
        if len(found) == 1:
            return found[0]
        names = ", ".join(each.__name__ for each in classes(load(path))) or "none"
        raise SpiderError(f"{path} has {names if names != 'none' else 'no spider class'}; name one: {path}:ClassName")
    spiders = {spider.name: spider for _, spider in in_folder(folder)}
    if target in spiders:
        return spiders[target]
    near = difflib.get_close_matches(target, spiders, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there: {', '.join(sorted(spiders)) or 'none'}"
    raise SpiderError(f"no spider {target!r} in {folder}{'' if folder.is_dir() else ' (no such folder)'}; {hint}")


def in_folder(folder: Path) -> Iterator[tuple[Path, type[Spider]]]:
    """Every spider of every ``.py`` file in ``folder``, by file name. Raises SpiderError for two of one name."""
    names: dict[str, Path] = {}
    for path in sorted(folder.glob("*.py")):
        if not path.name.startswith("_"):
            for spider in classes(load(path)):
                if spider.name in names:
                    raise SpiderError(f"two spiders are called {spider.name!r}: in {names[spider.name]} and {path}")
                names[spider.name] = path
                yield path, spider


def load(path: Path) -> ModuleType:
    """The module in a file, run once. Raises SpiderError with the line that fails."""
    path = path.resolve()
    name = f"scraper_spiders_{path.stem}_{abs(hash(path))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpiderError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    here = str(path.parent)
    if here not in sys.path:
        sys.path.insert(0, here)  # as if the file were run: its neighbours can be imported
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = f" (line {last.lineno} of {last.filename})" if not isinstance(error, SyntaxError) else ""
        raise SpiderError(f"cannot load {path}: {type(error).__name__}: {error}{at}") from error
    return module


def classes(module: ModuleType) -> list[type[Spider]]:
    """The spider classes that a module defines itself."""
    return [
        each
        for each in vars(module).values()
        if inspect.isclass(each) and issubclass(each, Spider) and each.__module__ == module.__name__
    ]


def build(spider: type[Spider], arguments: Mapping[str, Any] | None = None) -> Spider:
    """An instance with its arguments, strings converted to the annotated types.

    Arguments are the parameters of ``__init__`` or, without one, the annotated attributes of the class.
    Raises SpiderError for an unknown, missing or ill-typed one.
    """
    given = dict(arguments or {})
    own_init = spider.__init__ is not object.__init__
    parameters = list(inspect.signature(spider.__init__).parameters.values())[1:] if own_init else []
    hints = _hints(spider.__init__ if own_init else spider)
    attributes = {} if own_init else {name: hint for name, hint in hints.items() if name not in Spider.__annotations__}
    known = [each.name for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
    known += list(attributes)
    anything = any(each.kind is each.VAR_KEYWORD for each in parameters)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known and not anything:
            takes = f"it takes {', '.join(known)}" if known else "it takes none; write an __init__ with parameters"
            raise SpiderError(f"spider {spider.name!r} has no argument {name!r}; {takes}")
        values[name] = _typed(spider.name, name, value, hints.get(name, Any))
    missing = [e.name for e in parameters if e.name in known and e.default is e.empty and e.name not in values]
    if missing:
        raise SpiderError(f"spider {spider.name!r} needs {', '.join(missing)}; give -a {missing[0]}=…")
    if own_init:
        return spider(**values)
    made = spider()
    for name, value in values.items():
        setattr(made, name, value)
    return made


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of)
    except NameError as error:
        raise SpiderError(f"cannot read the annotations of {of.__qualname__}: {error}") from error


def _typed(spider: str, name: str, value: Any, hint: Any) -> Any:
    if hint is Any or not isinstance(value, str):
        return value
    if hint is Path:
        return Path(value)
    try:
        text: Any = value
        if getattr(hint, "__origin__", hint) in (list, tuple, set, frozenset):
            text = [part.strip() for part in value.split(",") if part.strip()]
        elif hint is dict or getattr(hint, "__origin__", None) is dict:
            text = msgspec.json.decode(value)
        return msgspec.convert(text, hint, strict=False)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        shown = getattr(hint, "__name__", str(hint)) if not hasattr(hint, "__origin__") else str(hint)
        raise SpiderError(f"argument {name}={value!r} of spider {spider!r} is not {shown} ({error})") from error
