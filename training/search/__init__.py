"""The search for settings: draw some, judge them by unseen rows, keep the best."""
