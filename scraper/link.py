"""Link: what a LinkExtractor finds, and what can be followed."""

from __future__ import annotations

from msgspec import Struct


class Link(Struct, repr_omit_defaults=True):
    """A link of a page.

    Attributes:
        url: canonical absolute URL, without its fragment.
        text: what a reader sees of it, each run of white space one blank; of several links to one URL the first that
            has any.
        fragment: what stands behind ``#``, as the page wrote it; empty when there is nothing.
        nofollow: whether it, and every other link to its URL, has ``rel=nofollow``.

    Two are equal when all four are. They may be changed, as long as they are in no set.
    """

    url: str
    text: str = ""
    fragment: str = ""
    nofollow: bool = False

    def __hash__(self) -> int:
        return hash((self.url, self.text, self.fragment, self.nofollow))
