"""Learners whose models are trees: boosted and extra-randomised ones, and the module that walks through them."""
