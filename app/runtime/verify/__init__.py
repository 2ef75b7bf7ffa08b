"""Proves an artifact before it is loaded: archive, program, sandbox, golden rows."""
