"""Which version of which model serves now; knows no HTTP."""
