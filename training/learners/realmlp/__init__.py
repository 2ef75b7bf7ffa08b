"""RealMLP: a network with tuned defaults for tables, several of them trained and answered at once."""
