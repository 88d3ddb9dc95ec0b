"""Which columns a table needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

REGION = "Region"
NO_REGION = "-"
"""What an environment without regions has in that column, where the column is shown for others."""


def used(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    always: Collection[str] = (),
    no_region: str = NO_REGION,
) -> tuple[list[str], list[list[str]]]:
    """The columns, and the rows, without those columns that have nothing in any row; `always` stay.

    `no_region` is what an empty cell says in the column of regions.
    """
    kept = [
        index for index, column in enumerate(columns) if column in always or any(row[index] for row in rows)
    ]
    shown = [
        [row[index] or (no_region if columns[index] == REGION else "") for index in kept] for row in rows
    ]
    return [columns[index] for index in kept], shown
