"""Discover: spiders by name or file, and arguments typed by annotations."""

import datetime
import enum
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest

from scraper.discover import build, classes, find, in_folder, load
from scraper.errors import SpiderError
from scraper.spider import Spider

ONE = """
from scraper.spider import Spider

class {name}(Spider):
    name = "{kind}"
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "books.py").write_text(ONE.format(name="Books", kind="books"))
    (tmp_path / "two.py").write_text(ONE.format(name="News", kind="news") + ONE.format(name="Blogs", kind="blogs"))
    (tmp_path / "_shared.py").write_text("raise RuntimeError('not loaded by itself')")
    (tmp_path / "notes.txt").write_text("no")
    return tmp_path


# -- finding


def test_a_spider_is_found_by_its_name(folder):
    assert [find(name, folder).__name__ for name in ("books", "news", "blogs")] == ["Books", "News", "Blogs"]


def test_a_spider_is_found_by_its_file_and_class(folder):
    assert find(str(folder / "books.py"), Path("nowhere")).__name__ == "Books"
    assert find(f"{folder / 'two.py'}:Blogs", Path("nowhere")).__name__ == "Blogs"


def test_a_folder_is_listed_by_file(folder):
    listed = [(path.name, spider.name) for path, spider in in_folder(folder)]
    assert listed == [("books.py", "books"), ("two.py", "news"), ("two.py", "blogs")]
    assert list(in_folder(folder / "nowhere")) == []


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("boks", "no spider 'boks' in .*did you mean 'books'"),
        ("zzz", "no spider 'zzz' in .*there: blogs, books, news"),
        ("{folder}/nope.py", "there is no file .*nope.py"),
        ("{folder}/two.py", "two.py has News, Blogs; name one: .*two.py:ClassName"),
        ("{folder}/two.py:Nope", "two.py has News, Blogs"),
        ("{folder}/empty.py", "empty.py has no spider class"),
    ],
)
def test_what_is_not_found_says_what_there_is(target, says, folder):
    (folder / "empty.py").write_text("")
    with pytest.raises(SpiderError, match=says):
        find(target.format(folder=folder), folder)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(SpiderError, match=r"no such folder\); .* scraper startproject NAME"):
        find("books", tmp_path / "spiders")


def test_a_broken_neighbour_does_not_stop_a_spider_with_a_file_of_its_own(folder):
    (folder / "broken.py").write_text("import no_such_module_at_all")
    assert find("books", folder).name == "books"
    with pytest.raises(SpiderError, match=r"cannot load .*broken\.py"):
        find("news", folder)


def test_two_spiders_of_one_name_are_an_error(folder):
    (folder / "other.py").write_text(ONE.format(name="Again", kind="news"))
    with pytest.raises(SpiderError, match=r"two spiders are called 'news': in .*other\.py and .*two\.py"):
        list(in_folder(folder))


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("\n\n1 / 0\n", r"ZeroDivisionError: division by zero \(line 3 of .*bad\.py\)"),
        ("def f(:\n", r"SyntaxError: .*bad\.py, line 1"),
        ("\nimport no_such_module_at_all", r"ModuleNotFoundError: .*no_such_module_at_all.* \(line 2 of .*bad\.py\)"),
        ("\nimport json\njson.loads('x')", r"JSONDecodeError: .* \(line 3 of .*bad\.py\)"),
    ],
)
def test_a_file_that_fails_names_the_line(code, says, tmp_path):
    (tmp_path / "bad.py").write_text(code)
    for _ in range(2):  # and is not half loaded the second time
        with pytest.raises(SpiderError, match=says):
            load(tmp_path / "bad.py")


@pytest.mark.parametrize("start", ["scraper.run(One)", "asyncio.run(scraper.crawl(One))"])
def test_a_file_that_crawls_is_a_script_below_its_name_only(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = f"import asyncio\nimport scraper\n{ONE.format(name='One', kind='one')}\n"
    (tmp_path / "bare.py").write_text(text + start)
    with pytest.raises(SpiderError, match=r"bare\.py starts a crawl while it is loaded; .*__main__.* \(line \d+ of"):
        find("bare.py", tmp_path)
    (tmp_path / "script.py").write_text(f"{text}if __name__ == '__main__':\n    {start}\n")
    assert find("script.py", tmp_path).name == "one"
    assert not (tmp_path / "data").exists()


def test_only_the_spiders_of_the_file_itself_are_its_spiders(tmp_path):
    (tmp_path / "base_shop.py").write_text(ONE.format(name="Shop", kind="shop"))
    (tmp_path / "mine.py").write_text(
        "from base_shop import Shop\nfrom scraper.spider import Spider\n"
        "class _Base(Spider): pass\nclass Mine(Shop, _Base): pass\nAlias = Mine\n"
    )
    assert [each.__name__ for each in classes(load(tmp_path / "mine.py"))] == ["Mine"]


def test_a_file_is_run_once(tmp_path):
    (tmp_path / "once.py").write_text(ONE.format(name="Once", kind="once"))
    assert load(tmp_path / "once.py") is load(tmp_path / "." / "once.py")


def test_a_file_that_was_mended_is_read_anew(tmp_path, monkeypatch):
    """Also when its size and its second are the same, by which Python tells whether its bytecode is still good."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = tmp_path / "mended.py"
    for kind in ("one", "two"):
        file.write_text(ONE.format(name="Mended", kind=kind))
        os.utime(file, (1_700_000_000, 1_700_000_000))
        module = load(file)
        assert [each.name for each in classes(module)] == [kind]
        del sys.modules[module.__name__]


# -- arguments


class Colour(enum.Enum):
    RED = "r"


class Level(enum.IntEnum):
    HIGH = 3


TYPED = [
    (int, "7", 7),
    (float, "1.5", 1.5),
    (float, "2", 2.0),
    (bool, "true", True),
    (bool, "0", False),
    (bool, "No", False),
    (str, "7", "7"),
    (str, "a,b", "a,b"),
    (list[int], "1, 2,", [1, 2]),
    (list[str], "one", ["one"]),
    (list[str], "", []),
    (list, "a,b", ["a", "b"]),
    (tuple[int, ...], "1,2", (1, 2)),
    (set[str], "a,a", {"a"}),
    (list[Path], "a,b", [Path("a"), Path("b")]),
    (list[int] | None, "1,2", [1, 2]),
    (int | None, "5", 5),
    (int | None, "none", None),
    (int | None, "", None),
    (str | None, "none", "none"),
    (int | str, "x", "x"),
    (Literal["a", "b"], "b", "b"),
    (Literal[1, 2], "2", 2),
    (Path, "/a/b", Path("/a/b")),
    (Path | None, "a", Path("a")),
    (Colour, "r", Colour.RED),
    (Level, "3", Level.HIGH),
    (datetime.datetime, "2020-01-02T03:04:05", datetime.datetime(2020, 1, 2, 3, 4, 5)),
    (datetime.date, "2020-01-02", datetime.date(2020, 1, 2)),
    (datetime.timedelta, "90", datetime.timedelta(seconds=90)),
    (Decimal, "1.50", Decimal("1.50")),
    (dict[str, int], '{"a": 1}', {"a": 1}),
    (Any, "7", "7"),
]


@pytest.mark.parametrize(("hint", "text", "value"), TYPED, ids=lambda each: str(each)[:30])
def test_text_becomes_the_annotated_type(hint, text, value):
    class ByInit(Spider):
        def __init__(self, x=None):
            self.x = x

    class ByClass(Spider):
        pass

    ByInit.__init__.__annotations__ = {"x": hint}
    ByClass.__annotations__ = {"x": hint}
    assert build(ByInit, {"x": text}).x == build(ByClass, {"x": text}).x == value


@pytest.mark.parametrize(
    ("hint", "text"),
    [
        (int, "x"),
        (int, ""),
        (float, "1,5"),
        (bool, "perhaps"),
        (list[int], "1,x"),
        (int | None, "x"),
        (Literal["a", "b"], "c"),
        (Colour, "RED"),
        (datetime.date, "yesterday"),
        (dict, "x"),
        (dict[str, int], '{"a": "b"}'),
        (Annotated[int, msgspec.Meta(ge=1)], "0"),
        (Spider, "x"),
    ],
    ids=str,
)
def test_text_of_another_type_names_argument_spider_and_type(hint, text):
    class Shop(Spider):
        def __init__(self, x=None):
            self.x = x

    Shop.__init__.__annotations__ = {"x": hint}
    with pytest.raises(SpiderError) as caught:
        build(Shop, {"x": text})
    assert f"argument x={text!r} of spider 'shop' is not " in str(caught.value)


class ByInit(Spider):
    def __init__(self, start, pages: int = 3, *, deep: bool = False):
        self.given = (start, pages, deep)


class ByClass(Spider):
    pages: int = 3
    kinds: tuple[str, ...] = ()
    must: str
    shared: ClassVar[int] = 1
    plain = 5


class Anything(Spider):
    def __init__(self, a: int = 0, **others):
        self.given = (a, others)


class Nothing(Spider):
    pass


def test_values_that_are_no_text_are_passed_as_they_are():
    start = object()
    assert build(ByInit, {"start": start, "pages": "7"}).given == (start, 7, False)
    assert build(ByInit, {"start": None, "deep": "true"}).given == (None, 3, True)
    assert build(Nothing).name == "nothing"


def test_annotated_attributes_are_arguments_of_a_spider_without_init():
    made = build(ByClass, {"must": "x", "kinds": "a,b"})
    assert (made.must, made.kinds, made.pages) == ("x", ("a", "b"), 3)
    assert ByClass.kinds == ()


def test_a_spider_may_take_anything():
    assert build(Anything, {"a": "1", "b": "2"}).given == (1, {"b": "2"})


@pytest.mark.parametrize(
    ("spider", "arguments", "says"),
    [
        (ByInit, {}, "spider 'by_init' needs start; give -a start=…"),
        (ByInit, {"start": "x", "page": "1"}, "has no argument 'page'; it takes start, pages, deep"),
        (ByClass, {}, "spider 'by_class' needs must; give -a must=…"),
        (ByClass, {"plain": "1"}, "has no argument 'plain'; it takes pages, kinds, must"),
        (ByClass, {"shared": "1"}, "has no argument 'shared'"),
        (ByClass, {"name": "x"}, "has no argument 'name'"),
        (Nothing, {"a": "1"}, "has no argument 'a'; it takes none; write an __init__ with parameters"),
    ],
)
def test_an_unknown_or_missing_argument_says_what_there_is(spider, arguments, says):
    with pytest.raises(SpiderError) as caught:
        build(spider, arguments)
    assert says in str(caught.value)


def test_annotations_as_text_are_read_too():
    class Shop(Spider):
        def __init__(self, pages: "int" = 1):
            self.pages = pages

    assert build(Shop, {"pages": "2"}).pages == 2
    Shop.__init__.__annotations__["pages"] = "NoSuchType"
    with pytest.raises(SpiderError, match=r"cannot read the annotations of .*NoSuchType"):
        build(Shop, {"pages": "2"})


def test_what_init_raises_comes_out():
    class Shop(Spider):
        def __init__(self):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        build(Shop)


def test_an_attribute_that_hides_a_method_is_named() -> None:
    class Hides(Spider):
        def __init__(self, start: str) -> None:
            self.start = start  # type: ignore[assignment,method-assign]

    with pytest.raises(SpiderError, match=r"Hides\.start is a str and hides the method start\(\)"):
        build(Hides, {"start": "http://a.test/"})
