"""Learners whose models are trees, boosted and extra-randomised; they know no networks."""
