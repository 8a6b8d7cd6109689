"""A figure as a value: drawn, or missing. Apart from `drawing`, so that a page needs no matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fig_01": "Figure 1. The model",
        "fig_02": "Figure 2. Sensitivity of RT-PCR by day",
        "fig_03": "Figure 3. Confusion matrices",
        "fig_04": "Figure 4. ROC curves of COVID-19 against the rest",
        "fig_05": "Figure 5. Model and readers: COVID-19 against the rest",
        "fig_06": "Figure 6. Class-activation maps of COVID-19 over slices",
        "fig_07": "Figure 7. Cases that readers misread",
        "fig_08": "Figure 8. MDH: from the archive to the sets",
        "fig_09": "Figure 9. MDH: slices, age, sex",
        "fig_10": "Figure 10. ROC curves of the questions of Table 9, MDH",
    }
)
"""The paper's figures by the names of their files."""

BEYOND_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "fig_subgroups": "Subgroups: the model at its operating point",
        "fig_reliability": "Reliability: the probability of COVID-19",
        "fig_decision_curve": "Decision curve: the probability of COVID-19",
    }
)
"""The figures that the paper does not have."""


def named(number: int) -> tuple[str, str]:
    """Return the name of a figure's files, and its title."""
    name = f"fig_{number:02d}"
    return name, TITLES[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One figure, drawn: its files as bytes, and what somebody is told who can't see it."""

    name: str  # of the files, without suffix
    title: str
    alt: str
    svg: bytes
    png: bytes
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One figure that can't be drawn, and what it needs."""

    name: str
    title: str
    needs: str
