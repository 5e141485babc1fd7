"""What the disk does at the moment."""

from __future__ import annotations

import os
import time
from pathlib import Path

FAST_ENOUGH = 5_000
"""So many a second, below which the disk is what a durable row measures."""


def syncs_per_second(folder: Path, seconds: float = 0.5) -> int:
    """Say how often in a second a page of a file in this folder can be written and made durable."""
    path = folder / "probe"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # The file has its size from the start, as a log that is written again.
        os.pwrite(descriptor, bytes(64 * 4096), 0)
        os.fsync(descriptor)
        page, count, began = b"\1" * 4096, 0, time.perf_counter()
        while (elapsed := time.perf_counter() - began) < seconds:
            os.pwrite(descriptor, page, count % 64 * 4096)
            os.fdatasync(descriptor)
            count += 1
        return round(count / elapsed)
    finally:
        os.close(descriptor)
        path.unlink()
