"""RealMLP: networks with tuned defaults for tables; it must not know files."""
