"""The engine: state, steps, one loop for every stage, checkpoints, reports."""
