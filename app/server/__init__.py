"""Processes, settings, sockets, parsing of HTTP; it must not know how models predict."""
