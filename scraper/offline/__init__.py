"""Offline tests of spiders: pages recorded as files, replayed with the network forbidden, compared field by field."""
