"""The subprojects of the repository: which there are, what depends on what, and which have changed."""
