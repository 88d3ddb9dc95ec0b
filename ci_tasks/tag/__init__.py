"""Tags: their grammar, their objects, and the ledger inside an environment tag."""
