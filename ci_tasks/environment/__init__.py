"""Configuration of the environments: `config.yml` files in layers, and the rules that stand in them."""
