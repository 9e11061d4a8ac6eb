"""XMLSpider: the elements of one name of XML documents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

from scraper.errors import ContentError, SpiderError
from scraper.feeds.node import Node, NodeReader
from scraper.feeds.reading import ReadingSpider
from scraper.feeds.source import Source
from scraper.response import Response


class XMLSpider(ReadingSpider):
    """Reads XML documents of any size, element by element: ``parse_node(response, node)`` gets each as a Node.

    Attributes:
        itertag: the name of the elements: ``item`` in any namespace, ``g:item`` in that of the prefix.
        namespaces: prefix to namespace, or pairs of them, besides those that the document declares.
    """

    itertag: ClassVar[str] = "item"
    namespaces: ClassVar[Mapping[str, str] | Iterable[tuple[str, str]]] = {}

    def parse_node(self, response: Response, node: Node) -> Any:
        """Reads one element: gives items and requests as ``parse`` does."""
        raise SpiderError(f"spider {self.name!r} has no parse_node() method for {response.url}; write one")

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        kind = source.look()
        if kind in ("empty", "text", "json"):
            raise ContentError(f"{source.url} is {'JSON' if kind == 'json' else kind}, no XML")
        reader = NodeReader(source.url, self.itertag, namespaces=dict(self.namespaces))
        return reader.read(source.pieces(markup=True))

    def row_callback(self) -> Callable[..., Any]:
        return self.parse_node
