"""Registry of the model versions that serve now; it must not know HTTP."""
