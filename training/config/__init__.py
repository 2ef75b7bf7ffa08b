"""What to train: recipes, the default recipe for a table without one, and the run."""
