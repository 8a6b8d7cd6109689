"""Long proofs: `python -m tests.soak [PART ...] [--share S] [--folder F]`; parts as in `PARTS`, all without a name.

What each part proves, and what it found last, is in docs/reliability.md. The exit status is 1 where anything failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import warnings
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from tests.soak.faults import faults
from tests.soak.flood import day, flood, writers
from tests.soak.fuzz import fuzz
from tests.soak.kills import kills
from tests.soak.order import order
from tests.soak.parts import Part, Soak
from tests.soak.small_disk import in_a_namespace
from tests.soak.space import space
from tests.soak.window import first_row, stalls

PARTS: dict[str, Part] = {
    "fuzz": fuzz,
    "kills": kills,
    "faults": faults,
    "order": order,
    "space": space,
    "flood": flood,
    "writers": writers,
    "day": day,
    "stalls": stalls,
    "first-row": first_row,
}


def main(arguments: list[str]) -> int:
    """Run the parts that were named."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--share", type=float, default=1.0, help="how much of the full counts (default: 1)")
    parser.add_argument("--folder", type=Path, help="where to work and to keep what failed (default: temporary)")
    options = parser.parse_args(arguments)
    elsewhere = in_a_namespace(arguments)
    if elsewhere is not None:
        return elsewhere
    warnings.simplefilter("ignore")  # pydicom's, on mutated values
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = options.folder or Path(temporary)
        os.environ["XDG_DATA_HOME"] = str(folder / "data")
        soak = Soak(folder, options.share)
        for name in options.parts or PARTS:
            soak.say(name)
            PARTS[name](soak)
    return 1 if soak.failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
