"""From bytes to typed columns and splits, with every fault named by its place."""
