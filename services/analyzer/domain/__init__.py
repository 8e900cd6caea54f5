"""What the numbers mean: pure functions of (state, observation, time). Standard library, NumPy and the schemas only."""
