"""The queue: joining, waiting, taking a turn, and who is admitted to a claim."""
