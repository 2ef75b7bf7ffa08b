"""Training jobs: table, workers, processes, events; it must not know the registry."""
