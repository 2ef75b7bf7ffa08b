"""The log: its form, its thread, and the line for each request."""
