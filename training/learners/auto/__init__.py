"""The learner `auto`: several learners on one table, blended; it must not know files."""
