"""The audit of all tags."""
