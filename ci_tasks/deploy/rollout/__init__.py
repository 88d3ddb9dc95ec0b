"""Several deployments as one plan: rollbacks and promotions."""
