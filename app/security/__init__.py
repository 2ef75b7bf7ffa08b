"""Who may do what, and the record of who did; knows no model and no training."""
