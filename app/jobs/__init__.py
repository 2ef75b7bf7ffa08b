"""Trainings as jobs: the table, who runs them, and what they say; knows no registry."""
