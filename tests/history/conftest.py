"""Where the ledgers of these tests lie."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder in memory where there is one: a killed program proves the order of writes there as well as on a disk.

    What a power cut does is not tested by any of this, and hundreds of synced writes are slow on a busy disk.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None, prefix="aicorona-test-") as folder:
        yield Path(folder)
