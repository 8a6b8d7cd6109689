"""The slices of Figures 6 and 7 with their class-activation maps, through the program's own reader and scorer.

Source: paper-spec 4.4, 13.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES, SliceScore
from aicorona_desktop.evaluation.cases import Case
from aicorona_desktop.evaluation.layouts import Kind, Pixels, ScanReader
from aicorona_desktop.evaluation.manifest import ManifestRow
from aicorona_desktop.imaging.overlay import overlay, scan_range
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.selection import selected

SLICES_OF_FIGURE_6 = 5
_COVID = CLASSES.index("covid")

Grey = NDArray[np.uint8]
Colour = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class MappedSlice:
    """One slice: grey [rows, columns], and the same with the map of COVID-19 over it [rows, columns, 3]."""

    index: int
    grey: Grey
    mapped: Colour


@dataclass(frozen=True, slots=True, eq=False)
class MappedCase:
    """The slices of a case that are shown, of `n_slices`."""

    case: Case
    n_slices: int
    slices: tuple[MappedSlice, ...]


@dataclass(frozen=True, slots=True)
class Maps:
    """The cases that could be mapped, and a sentence on each that could not; `model` says whose maps they are."""

    cases: tuple[MappedCase, ...] = ()
    lost: tuple[str, ...] = ()
    model: str = ""

    def of_figure(self, figure: str) -> tuple[MappedCase, ...]:
        """Return the cases of "6" or "7"."""
        return tuple(one for one in self.cases if one.case.figure == figure)


def mapped_cases(
    cases: Sequence[Case], rows: Sequence[ManifestRow], root: Path, pack: Pack, provider: str = "auto"
) -> Maps:
    """Map the cases; the colours of each span the slices of its own scan that the model uses.

    Args:
        cases: which scans, and which of their slices.
        rows: of the manifest, with the paths of the scans.
        root: the folder that the paths are relative to.
        pack: whose maps.
        provider: the device.

    Raises:
        ScorerError, ReaderError: a process can't be kept alive at all.
    """
    row_of = {row.scan_id: row for row in rows}
    found: list[MappedCase] = []
    lost: list[str] = []
    with ScanReader(root) as scans, Scorer(pack, provider) as scorer:
        for case in cases:
            try:
                found.append(_mapped(case, row_of[case.scan_id], scans, scorer))
            except AicoronaError as error:
                scorer.cancel()
                lost.append(f"Figure {case.figure} {case.panel}: {error}")
    return Maps(tuple(found), tuple(lost), f"{pack.title} ({pack.status_text})")


def _mapped(case: Case, row: ManifestRow, scans: ScanReader, scorer: Scorer) -> MappedCase:
    scan = scans.open(row)
    used = selected(scan.n_slices, scorer.pack.slice_rule)
    extra = () if case.slice_index is None else (min(case.slice_index, scan.n_slices - 1),)
    pixels: dict[int, Pixels] = {}
    scored: dict[int, SliceScore] = {}
    for index, values in scan.slices(sorted({*used, *extra})):
        pixels[index] = values
        while not scorer.room and (answer := scorer.next()) is not None:
            scored[answer[0]] = answer[1]
        if scan.kind is Kind.HOUNSFIELD:
            scorer.submit(index, np.ascontiguousarray(values, dtype=np.int16))
        else:
            scorer.submit_picture(index, np.ascontiguousarray(values))
    while (answer := scorer.next()) is not None:
        scored[answer[0]] = answer[1]
    limits = scan_range([scored[index].cam[_COVID] for index in used])
    shown = []
    for index in _shown(case, used, scored, extra):
        grey = _grey(pixels[index], scan.kind)
        shown.append(MappedSlice(index, grey, overlay(grey, scored[index].cam[_COVID], limits)))
    return MappedCase(case, scan.n_slices, tuple(shown))


def _shown(case: Case, used: Sequence[int], scored: dict[int, SliceScore], extra: tuple[int, ...]) -> tuple[int, ...]:
    """Return the slices that are drawn: of Figure 6 some over the used part; else one, named or the strongest."""
    if extra:
        return extra
    if case.figure == "6":
        places = np.linspace(0, len(used) - 1, min(SLICES_OF_FIGURE_6, len(used)))
        return tuple(used[round(place)] for place in places.tolist())
    return (max(used, key=lambda index: scored[index].contribution[_COVID]),)


def _grey(pixels: Pixels, kind: Kind) -> Grey:
    if kind is Kind.HOUNSFIELD:
        return to_grey(pixels.astype(np.int16, copy=False), LUNG)
    if pixels.dtype == np.uint8:
        return pixels.astype(np.uint8, copy=False)
    return np.asarray(np.rint(pixels / max(1, int(pixels.max())) * 255), dtype=np.uint8)
