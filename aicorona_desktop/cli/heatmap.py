"""`heatmap PATH --slice N --out PNG`: one slice beside the same slice under its class activation map.

N counts from 0 at the feet, as `slice_indices` of the JSON does. The colours span all used slices of the scan,
zero fixed: slices stay comparable.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import WrongUseError, add_model, existing, new_file, some_path, tell, tell_notes
from aicorona_desktop.cli.report import NOTICE
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.score import CLASSES, SliceScore
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.study import Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.gate import PixelCheck, check_series, may_be_scored
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.imaging.overlay import OPACITY, overlay, scan_range
from aicorona_desktop.imaging.png import png_bytes
from aicorona_desktop.imaging.voi import LUNG, to_grey
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.catalogue import Catalogue
from aicorona_desktop.triage.reading import FileReading


class HeatmapError(WrongUseError):
    """The slice asked for could not be mapped."""


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "heatmap", help="write a slice with its class activation map as PNG", description=__doc__
    )
    parser.add_argument("path", type=some_path, metavar="PATH", help="a study: a folder, a file or a ZIP archive")
    parser.add_argument("--slice", dest="index", type=int, required=True, metavar="N")
    parser.add_argument("--out", type=new_file, required=True, metavar="PNG")
    parser.add_argument("--class", dest="shown", choices=CLASSES, default="covid", help="the class whose map is drawn")
    parser.add_argument("--opacity", type=float, default=OPACITY, metavar="0..1")
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    existing([arguments.path])
    if not 0 <= arguments.opacity <= 1:
        raise WrongUseError("The opacity must be from 0 to 1.")
    with ExitStack() as stack:
        spool = Spool(Path(stack.enter_context(scratch_folder())))
        scorer = stack.enter_context(Scorer(chosen_pack(arguments.pack), arguments.provider))
        reader = stack.enter_context(Reader())
        series = _series_at(arguments.path, reader, spool)
        if not 0 <= arguments.index < len(series.instances):
            raise WrongUseError(f"The series has slices 0 to {len(series.instances) - 1}.")
        used = selected(len(series.instances), scorer.pack.slice_rule)
        scored = dict(_scored(series, sorted({*used, arguments.index}), reader, scorer))
        hounsfield = next(pixels for _, pixels in _pixels(series, [arguments.index], reader))
        pack = scorer.pack
        _warn_of_values(series, hounsfield, arguments.index)
        tell_notes(scorer)
    picture = _picture(hounsfield, scored, arguments)
    text = f"{NOTICE} Class activation map of {arguments.shown}: shows what moved the score, not where disease is."
    write_file(arguments.out, png_bytes(picture, {"Comment": text, "Source": f"{pack.title} ({pack.status_text})"}))
    place = "used by the model" if arguments.index in used else "outside the used half"
    print(
        f"Slice {arguments.index} of 0..{len(series.instances) - 1}, {place}. {text} {pack.title}: {pack.status_text}."
    )
    return 0


def _warn_of_values(series: Series, hounsfield: NDArray[np.int16], index: int) -> None:
    """Say so when the slice does not look like Hounsfield units of a body: the map then means nothing.

    A series that the header rules have stopped was warned of already, and may lack what this needs.
    """
    if not may_be_scored(series.findings):
        return
    check = PixelCheck(series)
    check.add(index, hounsfield)
    for finding in check.quick_findings():
        tell(finding)


def _series_at(path: Path, reader: Reader, spool: Spool) -> Series:
    """Return the series that triage would score, else the largest readable one, with a warning."""
    batch = FileReading(reader, spool).read([path])
    catalogue = Catalogue()
    studies = catalogue.studies(catalogue.add(batch))
    chosen = [choice.series for choice in map(choose_series, studies) if choice.series is not None]
    if len(chosen) > 1:
        raise WrongUseError("There are several studies at this path; name the folder of one.")
    if chosen:
        return chosen[0]
    return _largest(studies)


def _largest(studies: tuple[Study, ...]) -> Series:
    series = max((one for study in studies for one in study.series), key=lambda one: len(one.instances), default=None)
    if series is None or not series.instances:
        raise HeatmapError("There is no axial CT slice at this path that could be read.")
    tell("This series is not suitable for scoring; the map is for looking at only.")
    return check_series(series)


def _pixels(series: Series, indices: list[int], reader: Reader) -> Iterator[tuple[int, NDArray[np.int16]]]:
    """Yield the slices at these places in Hounsfield units, in standard orientation."""
    for index in indices:
        instance = series.instances[index]
        data = read_again(instance.file)
        if isinstance(data, Finding):
            raise HeatmapError(str(data))
        item = (index, data, instance.file.sha256, (instance.header.frame,))
        for _, _, answer in reader.read_slices([item]):
            if isinstance(answer, Finding):
                raise HeatmapError(str(answer))
            yield index, to_standard_orientation(answer.hounsfield, instance.header)


def _scored(series: Series, indices: list[int], reader: Reader, scorer: Scorer) -> Iterator[tuple[int, SliceScore]]:
    for index, hounsfield in _pixels(series, indices, reader):
        scorer.submit(index, hounsfield)
        while not scorer.room and (answer := scorer.next()) is not None:
            yield answer
    while (answer := scorer.next()) is not None:
        yield answer


def _picture(
    hounsfield: NDArray[np.int16], scored: dict[int, SliceScore], arguments: argparse.Namespace
) -> NDArray[np.uint8]:
    """Return the plain slice and the overlaid one side by side, [rows, 2 * columns, 3]."""
    place = CLASSES.index(arguments.shown)
    grey = to_grey(hounsfield, LUNG)
    limits = scan_range([one.cam[place] for one in scored.values()])
    mapped = overlay(grey, scored[arguments.index].cam[place], limits, arguments.opacity)
    return np.concatenate([np.repeat(grey[..., None], 3, axis=2), mapped], axis=1)
