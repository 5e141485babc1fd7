"""Measures the Python package: what the border to Rust costs, and charges over HTTP. It prints one table.

`make bench-python` prepares what it needs and runs it; `docs/benchmarks.md` says what each row means.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

import border
import http_rows
from table import Table

PROGRAM = Path(__file__).parents[2] / "target" / "release" / "bench"


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(prog="bench-python", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("all", "border", "http"), default="all")
    parser.add_argument(
        "--seconds", type=float, default=2, help="how long each contender of a row runs, over its turns"
    )
    parser.add_argument("--folder", type=Path, help="where the files are made: the disk that is measured")
    parser.add_argument("--program", type=Path, default=PROGRAM, help="the benchmarks in Rust, built for release")
    arguments = parser.parse_args()
    table, said = Table(), [f"CPython {platform.python_version()}."]
    if arguments.part in ("all", "border"):
        border.rows(arguments.program, arguments.seconds, table)
    if arguments.part in ("all", "http"):
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            said.append(http_rows.rows(Path(folder), arguments.seconds, table))
    print(" ".join(said), "", table, sep="\n")


if __name__ == "__main__":
    main()
