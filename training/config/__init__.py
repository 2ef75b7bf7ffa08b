"""What to train: recipes, settings and the run; it must not know learners."""
