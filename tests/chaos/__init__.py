"""The worst of the web on loopback: a server of faults, each with the end that a page must come to by it."""
