"""Settings: where they come from, which wins, how text is read, what an error says."""

import re
from pathlib import Path

import msgspec
import pytest

from scraper.errors import SettingsError
from scraper.settings import NAMES, SCRAPY_NAMES, Settings, convert, elsewhere, load, unknown
from scraper.theirs import ATTRIBUTES, META, PUBLIC, SELECTOR, SETTINGS, SPIDER


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "scraper.toml").write_text("delay = 1\nconcurrency = 2\nread_timeout = 3\njitter = 4\n")
    return tmp_path


def test_the_nearest_source_wins(folder):
    settings = load(
        {"delay": 40.0},
        spider={"delay": 20.0, "concurrency": 21},
        environment={"SCRAPER_DELAY": "30", "SCRAPER_CONCURRENCY": "31", "SCRAPER_READ_TIMEOUT": "32", "PATH": "/bin"},
        folder=folder,
    )
    assert (settings.delay, settings.concurrency, settings.read_timeout, settings.jitter) == (40.0, 31, 32.0, 4.0)
    spider = load(spider={"concurrency": 21}, environment={}, folder=folder)
    assert (spider.concurrency, spider.delay) == (21, 1.0)


def test_without_any_source_the_defaults_hold(tmp_path):
    assert load(environment={}, folder=tmp_path) == Settings()


def test_the_process_environment_and_the_working_folder_are_read(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setenv("SCRAPER_JITTER", "0.25")
    settings = load()
    assert (settings.jitter, settings.concurrency) == (0.25, 2)


def test_settings_do_not_change():
    with pytest.raises(AttributeError):
        Settings().delay = 1


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("concurrency", "8", 8),
        ("concurrency", " 8 ", 8),
        ("delay", "0.5", 0.5),
        ("delay", "1", 1.0),
        ("obey_robots", "true", True),
        ("obey_robots", "False", False),
        ("obey_robots", "0", False),
        ("obey_robots", "no", False),
        ("verify_tls", "ON", True),
        ("handle_statuses", "404", (404,)),
        ("handle_statuses", "404,410", (404, 410)),
        ("handle_statuses", " 404 , 410, ", (404, 410)),
        ("handle_statuses", "[404, 410]", (404, 410)),
        ("handle_statuses", "all", "all"),
        ("handle_statuses", "ALL", "all"),
        ("handle_statuses", "", ()),
        ("retry_statuses", "500", (500,)),
        ("retry_statuses", "", ()),
        ("headers", '{"Accept": "text/html, */*"}', {"Accept": "text/html, */*"}),
        ("user_agent", "Mozilla/5.0 (X11, Linux) {a}", "Mozilla/5.0 (X11, Linux) {a}"),
        ("user_agent", "[bot]", "[bot]"),
        ("proxy", "http://127.0.0.1:3128", "http://127.0.0.1:3128"),
        ("proxy", "", None),
        ("log_level", "DEBUG", "debug"),
        ("spiders", "my spiders, really", "my spiders, really"),
    ],
)
def test_text_becomes_the_type_of_the_setting(name, text, value, tmp_path):
    assert getattr(load({name: text}, environment={}, folder=tmp_path), name) == value
    assert getattr(load(environment={f"SCRAPER_{name.upper()}": text}, folder=tmp_path), name) == value


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("handle_statuses", 404, (404,)),
        ("handle_statuses", [404, 410], (404, 410)),
        ("handle_statuses", {404}, (404,)),
        ("delay", 1, 1.0),
        ("headers", {"A": "b"}, {"A": "b"}),
        ("proxy", None, None),
        ("data", Path("some/where"), "some/where"),
    ],
)
def test_values_of_python_are_taken_as_they_are(name, given, value):
    assert convert(name, given, "here") == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("concurrency", "0"),
        ("concurrency", "many"),
        ("concurrency", None),
        ("concurrency", True),
        ("delay", "-1"),
        ("delay", "1,5"),
        ("delay", "nan"),
        ("delay", float("inf")),
        ("delay", "1e12"),
        ("connect_timeout", "0"),
        ("jitter", "11"),
        ("obey_robots", "perhaps"),
        ("handle_statuses", "99"),
        ("handle_statuses", "40x"),
        ("retry_statuses", "5"),
        ("headers", "A=b"),
        ("headers", "{bad"),
        ("headers", {"A": 1}),
        ("log_level", "loud"),
        ("user_agent", 5),
    ],
)
def test_a_bad_value_names_the_setting_the_source_and_what_was_given(name, value):
    with pytest.raises(SettingsError) as caught:
        convert(name, value, "the arguments")
    message = str(caught.value)
    given = "what is given" if name == "headers" else repr(value)  # may be a secret
    assert f"setting {name} from the arguments: {given} is not" in message


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("max_depth", "-1", "'-1' is not a whole number, 0 or more"),
        ("slot_by", "hosts", "'hosts' is not one of domain, host, ip"),
        ("obey_robots", "perhaps", "'perhaps' is not true or false"),
        ("jitter", 11, "11 is not a number from 0 to 10"),
        ("connect_timeout", 0, "0 is not a time: give seconds, or such as 90s, 50m, 1h30m, more than 0"),
        ("handle_statuses", "40x", "'40x' is not a list, each a number from 100 to 999 or \"all\""),
        ("contact", 5, "5 is not text"),
        ("contact", "me", "'me' is neither a mail address nor a URL"),
        ("contact", "http//example.org", "is neither a mail address nor a URL"),
        ("user_agent", "", "'' names nobody"),
        ("user_agent", "a\nb", "names nobody"),
        ("allow_private", "yes", "'yes' is no host and no network; for all private addresses write \"all\""),
        ("allow_private", True, 'True is not a list of texts or "all"'),
        ("hosts", 5, "what is given is not a table of hosts"),
        ("hosts", {"127.0.0.1": {"delays": 1}}, "hosts['127.0.0.1'] has no 'delays'; did you mean 'delay'?"),
        ("hosts", {"a": {}, "b": {"zzz": 1}}, "hosts['b'] has no 'zzz'; it may have cap, delay, "),
        ("hosts", {"a": {"cap": 0}}, "hosts['a']['cap']: 0 is not a whole number, 1 or more"),
        ("hosts", {"a": 5}, "hosts['a'] must be a table such as {'delay': 1}"),
        ("headers", {"X Y": "a"}, "'X Y' is no name of a header"),
        ("headers", {"": "a"}, "'' is no name of a header"),
        ("headers", {"X": "a\r\nY: s3cret"}, "the value of 'X' has a line break"),
        ("headers", {"authorization": "Token s3cret"}, "would be sent to every host that is asked; give it with the"),
        ("headers", {"Cookie": "a=s3cret"}, "Request(url, cookies={…})"),
        ("headers", {"Proxy-Authorization": "Basic s3cret"}, "the URL of the setting proxy"),
    ],
)
def test_what_is_wrong_is_said_in_words(name, value, says):
    with pytest.raises(SettingsError) as caught:
        convert(name, value, "here")
    assert f"setting {name} from here: " in str(caught.value) and says in str(caught.value)
    assert "`" not in str(caught.value) and "<class" not in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    ["http://h/", "h/", "h.", " h", "10.0.0.0/8", "h:99999", "h:0", "h:", "h:x", "", "[abc", "::1", "bücher.de"],
)
def test_a_pattern_that_fits_no_host_is_refused(pattern):
    with pytest.raises(SettingsError, match=r"can be no host: write a name or address in ASCII, .*example.org"):
        convert("hosts", {"h": {"cap": 1}, pattern: {"cap": 1}}, "here")


@pytest.mark.parametrize(
    "pattern",
    ["h", "*", "*.h", "[::1]", "[::1]:80", "127.0.0.3:*", "10.*", "[ab].h", "a_b.h:80", "127.0.0.1:80?0", "H.X"],
)
def test_a_pattern_that_fits_one_is_taken(pattern):
    assert convert("hosts", {pattern: {"cap": 1}}, "here")[pattern].cap == 1


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("headers", '{"Authorization": "s3cret"'),
        ("headers", "Authorization: s3cret"),
        ("headers", {"Authorization: s3cret": "x"}),
        ("headers", {"Authorization": ["s3cret"]}),
        ("hosts", '{"z": {"auth": "s3cret}}'),
        ("hosts", {"z": {"auth": ["s3cret"]}}),
        ("hosts", {"http://ann:s3cret@z": {}}),
        ("proxies", "[u:s3cret@h"),
        ("auth", ["s3cret"]),
    ],
)
def test_a_secret_is_not_shown(name, given):
    with pytest.raises(SettingsError, match=f"setting {name} from here") as caught:
        convert(name, given, "here")
    assert "s3cret" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("concurency", "did you mean 'concurrency'"),
        ("Concurrency", "did you mean 'concurrency'"),
        ("user-agent", "did you mean 'user_agent'"),
        ("CONCURRENT_REQUESTS", "here it is called 'concurrency'"),
        ("download_delay", "here it is called 'delay'"),
        ("zzz", r"see docs/settings\.md"),
        ("ITEM_PIPELINES", r"write steps = \[clean, Enrich\(\)\] on the spider"),
        ("DOWNLOADER_MIDDLEWARES_BASE", "settings do most of it"),
        ("HTTPCACHE_ENABLED", "there is no cache"),
        ("LOG_FORMAT", "here log_format is auto, console or json"),
        ("RETRY_MAX_WAIT", "did you mean 'retry_max_wait'"),
        ("RETRY_ENABLED", "write retry_attempts = 1"),
    ],
)
def test_an_unknown_setting_names_the_nearest_or_ours(name, says):
    with pytest.raises(SettingsError, match=f"unknown setting '{name}' in here; {says}"):
        convert(name, 1, "here")


def test_every_name_of_scrapys_leads_to_one_of_ours():
    assert set(SCRAPY_NAMES.values()) <= set(NAMES)


def test_the_page_for_those_who_come_from_scrapy_has_all_their_names():
    page = (Path(__file__).parents[1] / "docs/migrating-from-scrapy.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)
    rows = {
        section.partition("\n")[0]: dict(re.findall(r"^\| `([\w*]+)` \| (.+?) \|", section, re.MULTILINE))
        for section in sections
    }
    assert rows["Settings"] == {theirs: f"`{ours}`" for theirs, ours in SCRAPY_NAMES.items()}
    meta, attributes = rows["Keys of `meta`"], rows["Attributes of a spider"]
    assert meta.keys() == META.keys()
    assert attributes.keys() == ATTRIBUTES.keys() - {"start_url", "allowed_domain", "expects", "key"}  # anybody's slips
    for theirs, says in (META | ATTRIBUTES).items():
        for ours in re.findall(r"(?:Request\(…, |settings = {')(\w+)", says):
            assert ours in {**meta, **attributes}.get(theirs, ours), theirs
    for section, words in (("Settings without a counterpart", SETTINGS), ("Names to import", PUBLIC)):
        said = {
            theirs: re.sub(r"\[\w+\]\((\w+\.md)\)", r"docs/\1", text).replace("`", "")
            for theirs, text in rows[section].items()
        }
        assert {theirs: text.replace("'", "") for theirs, text in said.items()} == {
            theirs: text.replace("'", "") for theirs, text in words.items()
        }
    assert all(f".{name}()`" in page for name in SELECTOR)
    assert all(f"| `self.{name}" in page for name in SPIDER)


def test_every_name_that_people_bring_is_told_what_to_write():
    brought = """
    ITEM_PIPELINES DOWNLOADER_MIDDLEWARES SPIDER_MIDDLEWARES EXTENSIONS HTTPCACHE_ENABLED HTTPCACHE_DIR
    JOBDIR DUPEFILTER_CLASS RETRY_ENABLED REDIRECT_ENABLED CLOSESPIDER_ERRORCOUNT BOT_NAME FEEDS
    FEED_EXPORT_ENCODING LOG_FORMAT DOWNLOAD_HANDLERS SCHEDULER SCHEDULER_ORDER STATS_CLASS
    MEMUSAGE_LIMIT_MB TELNETCONSOLE_PORT CONCURRENT_ITEMS REQUEST_FINGERPRINTER_IMPLEMENTATION
    COOKIES_DEBUG NEWSPIDER_MODULE TWISTED_REACTOR IMAGES_EXPIRES
    """.split()
    assert [name for name in brought if elsewhere(name) is None] == []
    assert [name for name in NAMES if elsewhere(name) is not None] == ["log_format"]  # the one that both have
    assert [name for name in SCRAPY_NAMES if "here it is called" not in unknown(name, "here")] == []


def test_each_source_is_named_when_it_is_wrong(tmp_path):
    file = tmp_path / "scraper.toml"
    for sources, says in (
        ({"arguments": {"nope": 1}}, "in the arguments"),
        ({"spider": {"nope": 1}}, "in the spider's settings"),
        ({"environment": {"SCRAPER_DELAI": "1"}}, "in the environment; did you mean 'delay'"),
    ):
        with pytest.raises(SettingsError, match=says):
            load(**{"environment": {}, "folder": tmp_path, **sources})
    file.write_text("nope = 1")
    with pytest.raises(SettingsError) as caught:
        load(environment={}, folder=tmp_path)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("content", [b"delay = ", b"\xff\xfe", b"a = 1\na = 2"])
def test_a_file_that_is_no_toml_is_named(content, tmp_path):
    (tmp_path / "scraper.toml").write_bytes(content)
    with pytest.raises(SettingsError, match=r"cannot read .*scraper\.toml"):
        load(environment={}, folder=tmp_path)


def test_the_defaults_are_valid_themselves():
    for field in msgspec.structs.fields(Settings):
        value = getattr(Settings(), field.name)
        assert convert(field.name, value, "the defaults") == value


def test_variables_of_others_are_left_alone(tmp_path):
    assert load(environment={"SCRAPER_API_KEY": "secret"}, folder=tmp_path) == Settings()
    with pytest.raises(SettingsError, match="here it is called 'delay'"):
        load(environment={"SCRAPER_DOWNLOAD_DELAY": "1"}, folder=tmp_path)
