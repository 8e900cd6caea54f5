"""What makes a prediction of a window: the built-in centroids, or a user's own model."""
