"""The search for settings, judged by unseen rows; it must not know the test rows."""
