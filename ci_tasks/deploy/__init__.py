"""Deployments: facts, plan, claim, run, settlement, and what they leave to be seen."""
