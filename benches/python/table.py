"""The table that is printed."""

from __future__ import annotations

HEAD = ("what", "measured", "against", "of it", "goal")


class Table:
    """Rows of a Markdown table."""

    def __init__(self) -> None:
        """Begin without any."""
        self._rows: list[tuple[str, ...]] = []

    def row(self, what: str, measured: str, against: str = "", of_it: str = "", goal: str = "") -> None:
        """Add what was measured."""
        self._rows.append((what, measured, against, of_it, goal))

    def __str__(self) -> str:
        """Write the table."""
        widths = [max(len(row[at]) for row in (HEAD, *self._rows)) for at in range(len(HEAD))]

        def line(row: tuple[str, ...]) -> str:
            cells = [
                cell.ljust(width) if at == 0 else cell.rjust(width)
                for at, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            return f"| {' | '.join(cells)} |"

        rule = "|".join("-" * (width + 2) if at == 0 else "-" * (width + 1) + ":" for at, width in enumerate(widths))
        return "\n".join((line(HEAD), f"|{rule}|", *(line(row) for row in self._rows)))
