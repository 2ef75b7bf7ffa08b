"""Load, verify and run versions with torch, here alone; it must not know requests."""
