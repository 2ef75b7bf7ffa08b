"""The learner `auto`: several learners on one table, blended; it knows no files."""
