"""New versions: which is next, what it contains, and its notes."""
