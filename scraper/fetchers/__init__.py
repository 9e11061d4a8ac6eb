"""Fetchers: each turns a Request into a Response, or raises FetchError. Wrap one to extend it."""
