"""From bytes to typed columns and splits, with every fault located by line and column."""
