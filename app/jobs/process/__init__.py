"""Child processes: how they are started, confined, named and ended."""
