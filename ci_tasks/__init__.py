"""Build, release and deployment automation for Git repositories; `ns` holds all tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from invoke.collection import Collection

    ns: Collection
    __version__: str

__all__ = ["__version__", "ns"]


def __getattr__(name: str) -> Any:
    """Make `ns` and `__version__` when they are first asked for: who needs neither pays for neither."""
    if name == "ns":
        from ci_tasks.core.bytecode import kept  # noqa: PLC0415 - says the docstring

        with kept():
            from ci_tasks.root import root_collection  # noqa: PLC0415 - says the docstring

            value: object = root_collection()
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - says __getattr__

    try:
        return version("ci-tasks")
    except PackageNotFoundError:  # a checkout that nobody installed
        return "unknown"
