"""How good a model is, and whether to activate it; it must not know the store."""
