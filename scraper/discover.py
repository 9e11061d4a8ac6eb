"""From a name or a file to a spider: finding classes, and arguments typed by ``__init__``."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from importlib.machinery import SourceFileLoader
from pathlib import Path, PurePath
from types import CodeType, ModuleType, NoneType
from typing import Any, ClassVar, get_args, get_origin, get_type_hints
from zlib import crc32

import msgspec

from scraper.errors import SpiderError
from scraper.settings import SWITCH
from scraper.spider import Spider

LOADED: ContextVar[str | None] = ContextVar("LOADED", default=None)
"""The name of the file that is loaded at this moment."""


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
    if (folder / f"{target}.py").is_file():  # then no other file need be loaded, or be free of errors
        for each in classes(load(folder / f"{target}.py")):
            if each.name == target:
                return each
    spiders = {spider.name: spider for _, spider in in_folder(folder)}
    if target in spiders:
        return spiders[target]
    if Path(f"{target}.py").is_file():
        raise SpiderError(f"no spider {target!r} in {folder}; did you mean the file {target}.py?")
    if not folder.is_dir():
        raise SpiderError(
            f"no spider {target!r} in {folder} (no such folder); run this in the folder of your project, or make one "
            "with scraper startproject NAME"
        )
    near = difflib.get_close_matches(target, spiders, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there: {', '.join(sorted(spiders)) or 'none'}"
    raise SpiderError(f"no spider {target!r} in {folder}; {hint}")


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
    name = f"scraper_spiders_{path.stem}_{crc32(str(path).encode()):08x}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    assert spec is not None and spec.loader is not None  # a loader is given
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    here = str(path.parent)
    if here not in sys.path:
        sys.path.append(here)  # its neighbours can be imported, and hide nothing
    outer = LOADED.set(path.name)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        frames = traceback.extract_tb(error.__traceback__)
        last = next((frame for frame in reversed(frames) if frame.filename == str(path)), frames[-1])
        at = f" (line {last.lineno} of {last.filename})" if not isinstance(error, SyntaxError) else ""
        raise SpiderError(f"cannot load {path}: {type(error).__name__}: {error}{at}") from error
    finally:
        LOADED.reset(outer)
    return module


class _FromSource(SourceFileLoader):
    """Reads the file itself: Python takes cached bytecode for it when only its second and its size are the same, and
    whoever mends a spider and runs it again at once would run the old one."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def classes(module: ModuleType) -> list[type[Spider]]:
    """The spider classes that a module defines itself; one whose name begins with ``_`` is a base of others."""
    found = dict.fromkeys(each for each in vars(module).values() if inspect.isclass(each) and issubclass(each, Spider))
    return [each for each in found if each.__module__ == module.__name__ and not each.__name__.startswith("_")]


def build(spider: type[Spider], arguments: Mapping[str, Any] | None = None) -> Spider:
    """An instance with its arguments, strings converted to the annotated types.

    Arguments are the parameters of ``__init__`` or, without one, the annotated attributes of the class.
    Raises SpiderError for an unknown, missing or ill-typed one.
    """
    given = dict(arguments or {})
    takes_init = spider.__init__ is not object.__init__
    hints = _hints(spider.__init__ if takes_init else spider)
    anything = False
    if takes_init:
        parameters = list(inspect.signature(spider.__init__).parameters.values())[1:]
        anything = any(each.kind is each.VAR_KEYWORD for each in parameters)
        known = [each for each in parameters if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)]
        needed = {each.name: each.default is each.empty for each in known}
    else:
        own = [name for name in hints if name not in Spider.__annotations__ and get_origin(hints[name]) is not ClassVar]
        needed = {name: not hasattr(spider, name) for name in own}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in needed and not anything:
            takes = f"it takes {', '.join(needed)}" if needed else "it takes none; write an __init__ with parameters"
            raise SpiderError(f"spider {spider.name!r} has no argument {name!r}; {takes}")
        values[name] = _typed(spider.name, name, value, hints.get(name, Any))
    missing = [name for name, must in needed.items() if must and name not in values]
    if missing:
        raise SpiderError(f"spider {spider.name!r} needs {', '.join(missing)}; give -a {missing[0]}=…")
    try:
        made = spider(**values) if takes_init else spider()
    except TypeError as error:
        raise SpiderError(f"cannot make spider {spider.name!r} with these arguments: {error}") from error
    for name, value in values.items() if not takes_init else ():
        setattr(made, name, value)
    for name in ("start", "parse", "closed"):
        if not callable(getattr(made, name)):
            raise SpiderError(
                f"{spider.__name__}.{name} is a {type(getattr(made, name)).__name__} and hides the method {name}(); "
                "store it under another name"
            )
    return made


def _hints(of: Any) -> dict[str, Any]:
    try:
        return get_type_hints(of, include_extras=True)
    except NameError as error:
        raise SpiderError(f"cannot read the annotations of {of.__qualname__}: {error}") from error


def _typed(spider: str, name: str, value: Any, hint: Any) -> Any:
    """A string as the type that ``hint`` asks for: lists by commas, dicts as JSON. What is no string stays."""
    if hint is Any or not isinstance(value, str):
        return value
    choices = [each for each in get_args(hint) if each is not NoneType] if NoneType in get_args(hint) else [hint]
    if choices != [hint] and str not in choices and value.lower() in ("", "none", "null"):
        return None
    kind = get_origin(choices[0]) or choices[0]
    text: Any = value
    try:
        if kind is bool:
            text = SWITCH.get(value.lower(), value)
        elif isinstance(kind, type) and issubclass(kind, Mapping):
            text = msgspec.json.decode(value)
        elif isinstance(kind, type) and issubclass(kind, Iterable) and not issubclass(kind, str | bytes):
            text = [part.strip() for part in value.split(",") if part.strip()]
        return msgspec.convert(text, hint, strict=False, dec_hook=_path)
    except (msgspec.ValidationError, msgspec.DecodeError, TypeError) as error:
        shown = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
        raise SpiderError(f"argument {name}={value!r} of spider {spider!r} is not {shown} ({error})") from error


def _path(kind: Any, value: Any) -> Any:
    """What msgspec does not know: a path is made; of all others it then says that they are no text."""
    return kind(value) if isinstance(kind, type) and issubclass(kind, PurePath) else value
