"""From bytes to typed columns and splits, faults by place; it must not know learners."""
