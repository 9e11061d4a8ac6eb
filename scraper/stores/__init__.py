"""Stores: ``memory`` is the readable reference, ``sqlite`` the one that crawls use."""
