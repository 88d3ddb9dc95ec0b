"""The rules of an environment: what speaks against a version there, and who may pass it."""
