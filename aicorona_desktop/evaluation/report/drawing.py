"""How the figures look: one style, colours for all eyes (Okabe and Ito), marks that are told apart in grey.

Only the modules of figures import matplotlib, and they are loaded when a report is made: it is in the extra `evaluate`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from aicorona_desktop.evaluation.report.callers import Caller
from aicorona_desktop.evaluation.report.pictures import Picture

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#767676"

WIDE_IN: Final = 7.4
PNG_DPI: Final = 200

MODEL_COLOUR = BLUE
_READERS: Final = (("o", VERMILION), ("s", GREEN), ("^", PURPLE), ("D", BLACK), ("v", ORANGE), ("p", SKY))
_PUBLICATIONS: Final = {"Zhang et al. [24]": "X", "Jin et al. [26]": "P"}

_STYLE: Final[dict[str, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#D9D9D9",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.6,
    "svg.fonttype": "path",  # the same on every machine
    "svg.hashsalt": "aicorona-desktop",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The mark and colour of each reader; hollow is unaided, filled is aided.

    With `as_paper` marks are those of the paper's Figure 10 instead: triangles unaided, circles aided.
    """

    readers: tuple[str, ...]
    as_paper: bool = False

    def of(self, caller: Caller) -> dict[str, Any]:
        """Return what `Axes.plot` takes for one pass of a reader."""
        shape, colour = _READERS[self.readers.index(caller.reader_id) % len(_READERS)]
        if self.as_paper:
            shape = "o" if caller.aided else "^"
        hollow = not caller.aided and not self.as_paper
        return {
            "marker": shape,
            "markeredgecolor": colour,
            "markerfacecolor": "white" if hollow else colour,
            "markeredgewidth": 1.3,
            "markersize": 5.5,
            "linestyle": "none",
            "zorder": 4.5 if hollow else 4,  # so that neither hides the other
        }


def publication_mark(name: str) -> dict[str, Any]:
    """Return the mark of a row that is quoted."""
    return {
        "marker": _PUBLICATIONS.get(name, "X"),
        "color": GREY,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
        "markersize": 8,
        "linestyle": "none",
        "zorder": 3,
    }


def model_mark() -> dict[str, Any]:
    """Return the mark of the model's operating point."""
    return {
        "marker": "*",
        "markersize": 11,
        "markerfacecolor": ORANGE,
        "markeredgecolor": BLACK,
        "markeredgewidth": 0.9,
        "linestyle": "none",
        "zorder": 5,
    }


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty figure that lays itself out."""
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def drawn(
    name: str, title: str, alt: str, draw: Callable[[], Figure], notes: Sequence[str] = (), *, dpi: int = PNG_DPI
) -> Picture:
    """Draw a figure into SVG and PNG; the same inputs give the same bytes."""
    with mpl.rc_context(_STYLE):
        figure = draw()
        svg, png = io.BytesIO(), io.BytesIO()
        figure.savefig(svg, format="svg", metadata={"Date": None, "Title": title, "Description": alt})
        figure.savefig(png, format="png", dpi=dpi, metadata={"Title": title, "Description": alt})
    return Picture(name=name, title=title, alt=alt, svg=svg.getvalue(), png=png.getvalue(), notes=tuple(notes))


def legend_below(figure: Figure, groups: Sequence[Sequence[Line2D]]) -> None:
    """Put one legend under all panels, each group in a column of its own."""
    columns = [group for group in groups if group]
    longest = max((len(group) for group in columns), default=0)
    handles: list[Line2D] = []
    for group in columns:
        handles += [*group, *(Line2D([], [], linestyle="none", label=" ") for _ in range(longest - len(group)))]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(columns), handletextpad=0.5)
