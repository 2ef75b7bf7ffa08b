"""What to train: recipes, what is made up for a table without one, and one run."""
