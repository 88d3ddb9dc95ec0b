"""What a deployment would change: commits, values, names of secrets, scripts."""
