"""The demo: a throw-away monorepo in which the real `inv` is typed, as a user would."""
