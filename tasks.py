"""What `inv` finds in this repository: all of our own tasks."""

from ci_tasks import ns

__all__ = ["ns"]
