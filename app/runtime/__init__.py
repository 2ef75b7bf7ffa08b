"""Load model versions, verify them and run them; the only package of `app` with torch."""
