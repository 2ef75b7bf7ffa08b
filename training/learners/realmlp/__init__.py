"""RealMLP: networks with tuned defaults for tables; it knows no files."""
