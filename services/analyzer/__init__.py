"""Frames → landmarks → metrics."""
