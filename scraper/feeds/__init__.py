"""Feeds: site maps, RSS and Atom, XML, CSV and JSON of any size, read in pieces and in flat memory."""
