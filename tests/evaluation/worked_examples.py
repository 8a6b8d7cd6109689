"""Numbers that were worked out beside the program, with other libraries, to hold it against (paper-spec 7 to 10)."""

from __future__ import annotations

import numpy as np

TRUTH = np.array([True] * 6 + [False] * 8)
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.55, 0.3, 0.5, 0.4, 0.55, 0.2, 0.1, 0.35, 0.6, 0.05])
OTHER_SCORES = np.array([0.7, 0.9, 0.4, 0.65, 0.3, 0.5, 0.45, 0.6, 0.5, 0.25, 0.3, 0.1, 0.55, 0.2])

READERS = {
    "Senior 1": ((120, 1, 0), (7, 105, 5), (5, 12, 102)),
    "Senior 1+AI": ((119, 2, 0), (3, 111, 3), (1, 10, 108)),
    "Senior 2": ((114, 7, 0), (1, 111, 5), (4, 8, 107)),
    "Senior 2+AI": ((118, 3, 0), (1, 114, 2), (3, 9, 107)),
    "Junior": ((116, 5, 0), (7, 108, 2), (2, 26, 91)),
    "Junior+AI": ((115, 6, 0), (2, 115, 0), (2, 15, 102)),
    "R. resident": ((111, 8, 2), (4, 96, 17), (4, 10, 105)),
    "R. resident+AI": ((117, 3, 1), (2, 108, 7), (4, 8, 107)),
}
"""Rows: truth normal, nca, covid; columns: called normal, nca, covid."""
