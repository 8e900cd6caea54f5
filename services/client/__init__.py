"""What streams: the drawn student, the demo, replay, and load for benches."""
