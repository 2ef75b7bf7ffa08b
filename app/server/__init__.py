"""Sockets, HTTP parsing, and the start, shutdown and replacement of processes."""
