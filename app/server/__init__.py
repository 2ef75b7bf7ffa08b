"""Processes and sockets: how bytes come in, and how a process starts, stops and is replaced; knows no model."""
