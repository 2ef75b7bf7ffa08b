"""How good a model is: metrics, baselines, cross-validation, the gate, plots."""
