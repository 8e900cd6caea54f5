"""The measured claims of the README."""
