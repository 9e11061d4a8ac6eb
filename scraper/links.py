"""LinkExtractor: which links of a page are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scraper.css_query import plan_of
from scraper.errors import ParseError, RequestError, SpiderError
from scraper.link import Link
from scraper.link_words import (
    NOT_PAGES,
    Pattern,
    candidates,
    domains,
    endings,
    names,
    patterns,
    several,
    unknown,
)
from scraper.nofollow import rel_says
from scraper.url import canonical, host_of, in_domains

if TYPE_CHECKING:
    from scraper.response import Response

__all__ = ["Link", "LinkExtractor"]

ARGUMENTS = (
    "allow deny allow_domains deny_domains restrict_xpaths tags attrs canonicalize unique process_value "
    "deny_extensions restrict_css restrict_text deny_tags deny_attrs"
).split()

Place = tuple[str, Mapping[str, str | None], Callable[[], str]]
"""The tag of an element that may hold links, its attributes, and how to ask for its text."""

Several = Pattern | Iterable[Pattern]


class LinkExtractor:
    """Finds the links of a page that are meant; without arguments all of ``<a>`` and ``<area>`` that lead to pages.

    Each of the first eight may be one or several.

    Args:
        allow: regular expressions; one of them must be found in the URL.
        deny: none of these may be; it wins over ``allow``.
        allow_domains, deny_domains: hosts, with those below them.
        restrict_xpaths, restrict_css: only links within these parts of the page; the first needs the extra ``xpath``.
        restrict_text: regular expressions; one of them must be found in the link's text.
        deny_extensions: endings of paths, such as ``pdf``; None: those of archives, pictures, documents and the like,
            for ``<a>`` and ``<area>``. ``()`` for none.
        tags, attrs: where links are looked for; ``"*"`` for all. Of a ``srcset`` each URL is one.
        deny_tags, deny_attrs: where not.
        canonicalize: the query sorted as well, and its empty parts left out. A server may tell the difference.
        unique: each URL once.
        process_value: gets each value as an absolute URL with its fragment (as it stands, when it is none, such as
            ``javascript:…``) and gives another URL, or None for no link.

    URLs are canonical (WHATWG), so patterns see ``https://example.org/%C3%A9`` and no fragment. Raises SpiderError for
    an argument that cannot be meant, MissingExtra for ``restrict_xpaths`` without lxml.
    """

    def __init__(
        self,
        allow: Several = (),
        deny: Several = (),
        allow_domains: str | Iterable[str] = (),
        deny_domains: str | Iterable[str] = (),
        restrict_xpaths: str | Iterable[str] = (),
        tags: str | Iterable[str] = ("a", "area"),
        attrs: str | Iterable[str] = ("href",),
        canonicalize: bool = False,
        unique: bool = True,
        process_value: Callable[[str], str | None] | None = None,
        deny_extensions: str | Iterable[str] | None = None,
        restrict_css: str | Iterable[str] = (),
        restrict_text: Several | None = (),
        deny_tags: str | Iterable[str] = (),
        deny_attrs: str | Iterable[str] = (),
        **others: Any,
    ) -> None:
        for name in others:
            raise unknown(name, ARGUMENTS, "LinkExtractor")
        self._allow = patterns(allow, "allow")
        self._deny = patterns(deny, "deny")
        self._inside = domains(allow_domains, "allow_domains")
        self._outside = domains(deny_domains, "deny_domains")
        self._text = patterns(restrict_text, "restrict_text")
        self._xpaths = several(restrict_xpaths, "restrict_xpaths")
        self._css = _css(several(restrict_css, "restrict_css"))
        self._tags = names(tags, "tags")
        self._attrs = names(attrs, "attrs")
        self._not_tags = names(deny_tags, "deny_tags")
        self._not_attrs = names(deny_attrs, "deny_attrs")
        if not self._tags or not self._attrs:
            raise SpiderError("LinkExtractor has no tags or no attrs to look at; leave them out for <a href>")
        if process_value is not None and not callable(process_value):
            raise SpiderError(f"process_value of LinkExtractor is a function of one value: {process_value!r:.80}")
        self._process = process_value
        self._canonicalize = canonicalize
        self._unique = unique
        self._own_endings = deny_extensions is not None
        self._endings = NOT_PAGES if deny_extensions is None else endings(deny_extensions)
        self._long_endings = tuple(f".{each}" for each in self._endings if "." in each)
        if self._xpaths:
            from scraper.xpath import check

            for query in self._xpaths:
                try:
                    check(query)
                except ParseError as error:
                    raise SpiderError(f"restrict_xpaths of LinkExtractor: {error}") from error
        wide = "*" in self._attrs or bool(self._not_attrs)
        self._only = next(iter(self._attrs)) if len(self._attrs) == 1 and not wide else None
        """The one attribute that is looked at, when it is one."""

    def extract_links(self, response: Response) -> list[Link]:
        """The links of a page that are meant, in its order; none for what is no markup.

        Those within ``restrict_xpaths`` come after those within ``restrict_css``. Raises NestingError for a page that
        must not be parsed.
        """
        if not response.is_markup:
            return []
        resolver = response.resolver
        found: dict[Any, Link] = {}
        for tag, attributes, text in self._places(response):
            for value in self._values(attributes):
                if self._process is not None:
                    made = self._processed(value.strip(), response)
                    if made is None:
                        continue
                    value = made
                url = resolver[value]
                if url is None:
                    continue
                known = found.get(url) if self._unique else None
                if known is not None and known.text and not known.nofollow:
                    continue
                if known is None and not self._meant(url, tag):
                    continue
                words = " ".join(text().split())
                if self._text and not any(each.search(words) for each in self._text):
                    continue
                nofollow = rel_says(attributes.get("rel"))
                if known is not None:
                    known.text = known.text or words
                    known.nofollow = known.nofollow and nofollow
                    continue
                fragment = value.partition("#")[2].rstrip() if "#" in value else ""
                found[url if self._unique else len(found)] = Link(url, words, fragment, nofollow)
        links = list(found.values())
        return _sorted_queries(links, self._unique) if self._canonicalize else links

    def matches(self, url: str) -> bool:
        """Whether a URL is one that would be taken, as far as a URL tells: patterns, domains and endings."""
        found = canonical(url)
        return found is not None and self._meant(found, "a")

    def _meant(self, url: str, tag: str) -> bool:
        if self._allow and not any(each.search(url) for each in self._allow):
            return False
        if self._deny and any(each.search(url) for each in self._deny):
            return False
        if self._inside or self._outside:
            host = host_of(url)
            if (self._inside and not in_domains(host, self._inside)) or in_domains(host, self._outside):
                return False
        if self._endings and (self._own_endings or tag in ("a", "area")):
            path = url.partition("?")[0]
            if path[path.rfind(".") + 1 :].lower() in self._endings:
                return False
            if self._long_endings and path.lower().endswith(self._long_endings):
                return False
        return True

    def _places(self, response: Response) -> Iterator[Place]:
        """The elements that may hold links: each once, in the order of the page."""
        tree = response.tree
        if self._css:
            met: set[int] = set()
            for area in response.css(self._css):  # not of the tree: scraper check names a query that matches nothing
                for node in area.node.css(self._query()) if area.node is not None else ():
                    if node.mem_id not in met:
                        met.add(node.mem_id)
                        yield node.tag or "", node.attributes, node.text
        if self._xpaths:
            yield from self._xpath_places(response)
        if self._css or self._xpaths:
            return
        plain = self._named and not any(":" in tag for tag in self._tags)  # in HTML such a one has another name inside
        wanted = [nodes for tag in self._tags - self._not_tags if (nodes := tree.tags(tag))] if plain else None
        # Of one tag they stand in order already; most pages have no <area>.
        nodes = (wanted[0] if wanted else []) if wanted is not None and len(wanted) < 2 else tree.css(self._query())
        for node in nodes:
            yield node.tag or "", node.attributes, node.text

    def _xpath_places(self, response: Response) -> Iterator[Place]:
        from scraper.xpath import Element

        met: set[Any] = set()
        wanted = [f"{{*}}{tag}" for tag in self._tags] if self._named else ["*"]
        for query in self._xpaths:
            for area in response.xpath(query):
                if area.root is None:
                    raise ParseError(
                        f"restrict_xpaths {query!r} gives text on {response.url}; it must select elements",
                        request=response.request,
                    )
                for node in area.root.iter(*wanted):
                    tag = str(node.tag).rpartition("}")[2]
                    if node not in met and tag not in self._not_tags:
                        met.add(node)
                        yield tag, dict(node.attrib), Element(node, False).text

    @property
    def _named(self) -> bool:
        return "*" not in self._tags

    def _query(self) -> str:
        """The tags as a selector."""
        if self._named:
            return ", ".join(_plain(sorted(self._tags - self._not_tags))) or ":not(*)"
        return "*" + "".join(f":not({tag})" for tag in _plain(sorted(self._not_tags)))

    def _values(self, attributes: Mapping[str, str | None]) -> Iterable[str]:
        if (only := self._only) is not None and not only.endswith("srcset"):
            return (attributes[only] or "",) if only in attributes else ()
        found: list[str] = []
        for name, value in attributes.items():
            if name not in self._not_attrs and (name in self._attrs or "*" in self._attrs):
                found += candidates(value or "") if name.endswith("srcset") else (value or "",)
        return found

    def _processed(self, value: str, response: Response) -> str | None:
        assert self._process is not None
        url = response.resolver[value]
        fragment = value.partition("#")
        made = self._process(value if url is None else url + fragment[1] + fragment[2])
        if made is None or isinstance(made, str):
            return made
        raise RequestError(
            f"process_value of LinkExtractor gave a {type(made).__name__} for {value!r:.80} on {response.url}; "
            "return a URL, or None for no link",
            request=response.request,
        )

    def __repr__(self) -> str:
        told = {"allow": self._allow, "deny": self._deny}
        words = [f"{name}={[each.pattern for each in given]!r}" for name, given in told.items() if given]
        return f"LinkExtractor({', '.join(words)})"


def _plain(tags: list[str]) -> list[str]:
    """Names as CSS writes them: ``svg:a`` has a colon that begins no pseudo-class."""
    return [tag.replace(":", "\\:").replace(".", "\\.") for tag in tags]


def _css(queries: tuple[str, ...]) -> str:
    """One selector for several. Raises SpiderError for what is no CSS, or selects texts or attributes."""
    for query in queries:
        try:
            selects_nodes = all(part.what == "node" for part in plan_of(query))
        except ParseError as error:
            raise SpiderError(f"restrict_css of LinkExtractor: {error}") from error
        if not selects_nodes:
            raise SpiderError(f"restrict_css of LinkExtractor must select elements, not their text: {query!r}")
    return ", ".join(queries)


def _sorted_queries(links: list[Link], unique: bool) -> list[Link]:
    """The parts of each query in order, empty ones left out; of several links that become one the first."""
    found: dict[Any, Link] = {}
    for link in links:
        if "?" in link.url:
            path, _, query = link.url.partition("?")
            parts = "&".join(sorted(part for part in query.split("&") if part))
            link.url = f"{path}?{parts}" if parts else path
        found.setdefault(link.url if unique else len(found), link)
    return list(found.values())
