"""Ways of learning from a table; they must not know recipes' data, the store or the console."""
