"""Training runs: a trainer, recipes, run folders with a report, and exact resume."""
