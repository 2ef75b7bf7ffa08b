"""The learner `auto`: several learners on one table, and the best blend of them or the best single one."""
