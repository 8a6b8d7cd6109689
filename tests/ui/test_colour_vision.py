"""States and maps as people with a colour vision deficiency see them (ux.md 15).

Source: Machado, Oliveira, Fernandes, IEEE TVCG 15(6), 2009, matrices of severity 1.0 on linear RGB.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from aicorona_desktop.imaging import colour_maps
from aicorona_desktop.ui.theme import DARK, LIGHT, Theme

DEFICIENCIES = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = np.array([0.9505, 1.0, 1.089])
JUST_NOTICEABLE = 2.3  # CIE76
KINDS = pytest.mark.parametrize("kind", list(DEFICIENCIES))


def lab_of(colours: np.ndarray, kind: str) -> np.ndarray:
    """CIE L*a*b* of 8-bit sRGB colours [n, 3] as seen with a deficiency."""
    encoded = colours / 255
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(DEFICIENCIES[kind]).T, 0, 1)
    relative = seen @ TO_XYZ.T / WHITE
    root = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=1)


@KINDS
@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
def test_the_colours_of_states_stay_apart(theme: Theme, kind: str):
    names = ("attention", "caution", "calm", "good", "idle")
    rgb = np.array([theme.colour(name).getRgb()[:3] for name in names], float)

    seen = dict(zip(names, lab_of(rgb, kind), strict=True))

    for one, other in combinations(names, 2):
        assert np.linalg.norm(seen[one] - seen[other]) > 3 * JUST_NOTICEABLE, (one, other)


@KINDS
@pytest.mark.parametrize("name", colour_maps.NAMES)
def test_a_map_grows_lighter_or_darker_all_the_way(name: str, kind: str):
    lightness = lab_of(colour_maps.table(name).astype(float)[::15], kind)[:, 0]

    steps = np.diff(lightness)

    assert (steps > 0).all() or (steps < 0).all()
