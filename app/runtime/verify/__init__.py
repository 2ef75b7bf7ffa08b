"""Verification of a model file: archive, program, sandbox and golden rows."""
