"""Registry of the model versions that serve now; independent of HTTP."""
