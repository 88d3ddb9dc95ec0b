"""GitHub rulesets that protect the tags."""
