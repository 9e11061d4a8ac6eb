"""Items out of a database into files: an export after the fact, never a second stream of truth.

``target`` reads what the user wrote, ``check`` refuses what cannot be, ``source`` reads the rows, ``place`` makes the
file appear whole or not at all, one ``as_…`` module for each format writes it, and ``write`` puts these together.
Nothing here is imported by a crawl that exports nothing.
"""
