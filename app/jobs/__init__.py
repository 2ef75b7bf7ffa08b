"""Training jobs: the job table, the workers that run jobs, and their events.

This package must not know the registry.
"""
