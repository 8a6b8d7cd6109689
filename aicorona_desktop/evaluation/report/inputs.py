"""The files of a study's folder, read strictly and held against one another.

A file that is not there is no fault: what it would have given is "not available". A file that is there and wrong
stops everything, with every fault of every file named.

Source: paper-spec 13.2, 13.3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.evaluation.cases import Case, read_cases
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import Manifest, ManifestRow, read_manifest
from aicorona_desktop.evaluation.operating_points import StoredPoint
from aicorona_desktop.evaluation.points_file import read_points
from aicorona_desktop.evaluation.predictions import Prediction, read_predictions
from aicorona_desktop.evaluation.readers import ReaderRow, read_readers
from aicorona_desktop.evaluation.rtpcr import PcrTest, read_tests

MANIFEST, PREDICTIONS, READERS = "manifest.csv", "predictions.csv", "readers.csv"
RTPCR, POINTS, CASES = "rtpcr.csv", "points.csv", "cases.csv"
NAMES = (MANIFEST, PREDICTIONS, READERS, RTPCR, POINTS, CASES)

_Rows = TypeVar("_Rows")


class InputError(EvaluationError):
    """The files of a study are not what they must be; `sentences` are the faults, file by file."""

    def __init__(self, sentences: Iterable[str]) -> None:
        self.sentences = tuple(sentences)
        super().__init__("\n".join(self.sentences))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What a folder holds; None: there is no such file. `predictions` are those of one model and slice rule."""

    folder: Path
    manifest: Manifest | None = None
    predictions: tuple[Prediction, ...] | None = None
    readers: tuple[ReaderRow, ...] | None = None
    pcr_tests: tuple[PcrTest, ...] | None = None
    points: tuple[StoredPoint, ...] | None = None
    cases: tuple[Case, ...] | None = None

    @property
    def rows(self) -> tuple[ManifestRow, ...]:
        """The rows of the manifest; none without one."""
        return self.manifest.rows if self.manifest is not None else ()

    @property
    def model(self) -> Prediction | None:
        """A prediction that says which model, hash and slice rule they all are of."""
        return self.predictions[0] if self.predictions else None

    @property
    def missing(self) -> tuple[str, ...]:
        """The files that are not there."""
        there = (self.manifest, self.predictions, self.readers, self.pcr_tests, self.points, self.cases)
        return tuple(name for name, held in zip(NAMES, there, strict=True) if held is None)


def read_inputs(folder: Path, *, model_id: str = "", slice_rule: str = "") -> Inputs:
    """Read what is there.

    Args:
        folder: of the study.
        model_id: whose predictions are meant, where the file has several models'; "" where it has one's.
        slice_rule: the selection that is meant, in the same way.

    Raises:
        InputError: a file is not what it must be, or two contradict one another.
    """
    faults: list[str] = []

    def read(name: str, reader: Callable[[Path], _Rows]) -> _Rows | None:
        path = folder / name
        if not path.exists():
            return None
        try:
            return reader(path)
        except AicoronaError as error:
            faults.append(f"{name}: {error}")
            return None

    predictions = read(PREDICTIONS, read_predictions)
    if predictions is not None:
        predictions = _of_one_model(predictions, model_id, slice_rule, faults)
    found = Inputs(
        folder=folder,
        manifest=read(MANIFEST, read_manifest),
        predictions=predictions,
        readers=read(READERS, read_readers),
        pcr_tests=read(RTPCR, read_tests),
        points=read(POINTS, read_points),
        cases=read(CASES, read_cases),
    )
    faults += _strangers(found)
    if faults:
        raise InputError(faults)
    if len(found.missing) == len(NAMES):
        raise InputError([f"There is none of {', '.join(NAMES)} in this folder."])
    return found


def _of_one_model(
    predictions: tuple[Prediction, ...], model_id: str, slice_rule: str, faults: list[str]
) -> tuple[Prediction, ...]:
    """Return the predictions that are meant; which ones must be beyond doubt."""
    kept = tuple(one for one in predictions if model_id in ("", one.model_id) and slice_rule in ("", one.selection))
    kinds = {(one.model_id, one.model_hash, one.selection) for one in kept}
    if not kept:
        faults.append(f"{PREDICTIONS}: there is no row of the model and slice rule that were asked for.")
    elif len(kinds) > 1:
        named = "; ".join(sorted(f"{model} ({sha256[:12]}), {rule}" for model, sha256, rule in kinds))
        faults.append(f"{PREDICTIONS}: there are rows of several models or slice rules, name one of {named}.")
    return kept


def _strangers(inputs: Inputs) -> list[str]:
    """Rows about scans that the manifest does not have; the first of each file."""
    if inputs.manifest is None:
        return []
    known = {row.scan_id for row in inputs.manifest.rows}
    lists = (
        (PREDICTIONS, [one.scan_id for one in inputs.predictions or ()]),
        (READERS, [one.scan_id for one in inputs.readers or ()]),
        (CASES, [one.scan_id for one in inputs.cases or ()]),
    )
    sentences = []
    for name, scans in lists:
        strange = [scan for scan in scans if scan not in known]
        if strange:
            more = "" if len(strange) == 1 else f", nor are those of {len(strange) - 1} other rows"
            sentences.append(f"{name}: scan_id {strange[0]} is not in {MANIFEST}{more}.")
    return sentences
