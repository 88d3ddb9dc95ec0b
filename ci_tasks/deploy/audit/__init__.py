"""The audit of all tags, and of their signatures."""
