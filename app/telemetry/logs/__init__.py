"""Logging: formatters, a background writer and the access log."""
