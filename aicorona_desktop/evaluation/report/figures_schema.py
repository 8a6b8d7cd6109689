"""Figures 1 and 8: the model as a diagram, and the way of the MDH scans into their sets.

Source: paper-spec 1.3, 3.1, 13.2.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from aicorona_desktop.evaluation.manifest import Cohort, ManifestRow, QcStatus, Split
from aicorona_desktop.evaluation.report.drawing import BLACK, WIDE_IN, drawn, new_figure
from aicorona_desktop.evaluation.report.errata import of_figure
from aicorona_desktop.evaluation.report.inputs import MANIFEST
from aicorona_desktop.evaluation.report.pictures import Missing, Picture, named
from aicorona_desktop.evaluation.report.study import Study

_PALE, _PALE_ORANGE = "#DCEBF5", "#FBECCB"

_STEPS: Final = (
    ("S slices", "512 × 512 each,\nthe middle half\nof the scan"),
    ("extractor", "EfficientNet-B3,\none for all slices"),
    ("S vectors", "1536 features\na slice"),
    ("mean", "over the slices:\none vector a scan"),
    ("dense", "linear layer\nand softmax"),
    ("3 scores", "normal,\nother (CP or NCA),\nCOVID-19"),
)

_LABELS: Final = {"nca": "NCA", "covid": "COVID-19"}

_REASONS: Final = {
    QcStatus.ABDOMEN: "abdomen",
    QcStatus.HRCT: "high-resolution CT",
    QcStatus.FEW_SLICES: "too few slices",
    QcStatus.UNREADABLE: "not readable",
    QcStatus.LABEL_DISAGREE: "labels disagree",
    QcStatus.OTHER: "other reason",
    QcStatus.OK: "left out",
}


def figure_1() -> Picture:
    """Draw the model."""

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 1.5)
        axes = figure.subplots()
        _canvas(axes, 6.0, 1.5)
        axes.set_ylim(0.3, 1.5)
        for place, (heading, text) in enumerate(_STEPS):
            colour = _PALE_ORANGE if place in (1, 4) else _PALE
            for back in (2, 1, 0) if place in (0, 2) else (0,):
                _box(axes, (place + 0.08 + 0.03 * back, 0.9 + 0.05 * back), (0.74, 0.45), colour)
            axes.text(place + 0.45, 1.125, heading, ha="center", va="center", fontweight="bold", fontsize=9)
            axes.text(place + 0.45, 0.78, text, ha="center", va="top", fontsize=8)
            if place:
                axes.annotate("", (place + 0.06, 1.125), (place - 0.09, 1.125), arrowprops={"arrowstyle": "->"})
        return figure

    alt = "Diagram from left to right: " + ", then ".join(f"{head} ({' '.join(text.split())})" for head, text in _STEPS)
    notes = ("A diagram of the method; nothing in it is measured.", *of_figure("1"))
    return drawn(*named(1), f"{alt}.", draw, notes)


def figure_8(study: Study) -> Picture | Missing:
    """Draw the way of the MDH scans from the manifest's qc_status and split."""
    name, title = named(8)
    rows = [row for row in study.inputs.rows if row.cohort is Cohort.MDH]
    if not rows:
        return Missing(name=name, title=title, needs=f"scans of MDH in {MANIFEST}")
    out = [row for row in rows if row.split is Split.EXCLUDED]
    reasons = Counter(row.qc_status for row in out)
    kept = [row for row in rows if row.split is not Split.EXCLUDED]
    sets = [
        ("training", [row for row in kept if row.split is Split.TRAIN]),
        ("tuning", [row for row in kept if row.split is Split.TUNE]),
        ("test", [row for row in kept if row.split in (Split.TEST, Split.EXTERNAL)]),
    ]

    def draw() -> Figure:
        figure = new_figure(WIDE_IN, 4.6)
        axes = figure.subplots()
        _canvas(axes, 6.0, 4.4)
        boxes = _Boxes(axes)
        boxes.put((0.4, 3.55), (2.4, 0.7), f"scans in the manifest\n{_counted(rows)}")
        boxes.put((0.4, 2.25), (2.4, 0.7), f"after quality control\n{_counted(kept)}")
        removed = "\n".join(f"{_REASONS[status]}: {count}" for status, count in reasons.most_common())
        height = 0.42 + 0.2 * max(1, len(reasons))
        boxes.put(
            (3.6, 3.25 - height / 2), (2.2, height), f"removed {_counted(out)}\n{removed or 'none'}", _PALE_ORANGE
        )
        boxes.arrow((1.6, 3.55), (1.6, 2.95))
        boxes.arrow((1.6, 3.25), (3.6, 3.25))
        boxes.arrow((1.6, 2.25), (1.6, 1.85))
        axes.plot((1.0, 5.0), (1.85, 1.85), color=BLACK, linewidth=0.9)
        for place, (heading, members) in enumerate(sets):
            left = 0.1 + 2.0 * place
            boxes.arrow((left + 0.9, 1.85), (left + 0.9, 1.5))
            boxes.put((left, 0.2), (1.8, 1.3), f"{heading}\n{_counted(members)}\n\n{_by_label(members)}")
        return figure

    alt = (
        f"Flow chart: {_counted(rows)} in the manifest; removed {_counted(out)} ("
        + (", ".join(f"{_REASONS[status]} {count}" for status, count in reasons.most_common()) or "none")
        + "); "
        + "; ".join(f"{heading} {_counted(members)}" for heading, members in sets)
        + "."
    )
    notes = (
        "Subjects (scans). The steps are the manifest's qc_status; the paper gives its numbers in a picture only.",
    )
    return drawn(name, title, alt, draw, (*notes, *of_figure("8")))


@dataclass(frozen=True, slots=True)
class _Boxes:
    axes: Axes

    def put(self, corner: tuple[float, float], size: tuple[float, float], text: str, colour: str = _PALE) -> None:
        """Draw a box with its text in the middle."""
        _box(self.axes, corner, size, colour)
        self.axes.text(
            corner[0] + size[0] / 2,
            corner[1] + size[1] / 2,
            text,
            ha="center",
            va="center",
            fontsize=8,
            linespacing=1.25,
        )

    def arrow(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw an arrow."""
        self.axes.annotate(
            "", end, start, arrowprops={"arrowstyle": "->", "linewidth": 0.9, "shrinkA": 0, "shrinkB": 0}
        )


def _canvas(axes: Axes, width: float, height: float) -> None:
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.axis("off")


def _box(axes: Axes, corner: tuple[float, float], size: tuple[float, float], colour: str) -> None:
    axes.add_patch(
        FancyBboxPatch(
            corner, *size, boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour, edgecolor=BLACK, linewidth=0.9
        )
    )


def _counted(rows: Sequence[ManifestRow]) -> str:
    """Subjects (scans), as the paper's tables have them."""
    return f"{len({row.subject_id for row in rows})} ({len(rows)})"


def _by_label(rows: Sequence[ManifestRow]) -> str:
    labels = dict.fromkeys(row.label_raw for row in rows)
    return "\n".join(
        f"{_LABELS.get(label, label)}: {_counted([row for row in rows if row.label_raw == label])}" for label in labels
    )
