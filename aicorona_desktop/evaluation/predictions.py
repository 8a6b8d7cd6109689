"""predictions.csv: one row a scan and model, written by `predict` and `score-archive`, read by `evaluate`.

Source: paper-spec 13.3.
"""

from __future__ import annotations

import csv
import io
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import fsum, isfinite
from pathlib import Path
from typing import Literal

from aicorona_desktop.core.durable import sync_folder
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.evaluation.manifest import Fault
from aicorona_desktop.model.score import softmax

COLUMNS = (
    *("scan_id", "model_id", "model_hash", "p_normal", "p_cp", "p_covid", "logit_normal", "logit_cp", "logit_covid"),
    *("n_slices", "n_used", "selection", "ms_load", "ms_pre", "ms_net", "ms_total", "device", "run_at", "status"),
)
TOLERANCE = 1e-4
"""How far probabilities may be from adding up to 1, and from the softmax of their logits."""

LARGEST_BYTES = 256 * 1024 * 1024


class PredictionsError(AicoronaError):
    """A predictions.csv can't be used as it is; `faults` names all that is wrong, in the order of lines."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: fault.line))
        shown = [*map(str, self.faults[:20]), *(["..."] if len(self.faults) > 20 else [])]
        count = "a fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
        super().__init__("\n  ".join([f"The predictions have {count}:", *shown]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """One scan and model; None is an empty cell. A failed scan has neither probabilities nor logits.

    `logits` are after the pack's temperature: their softmax is `probabilities`. `ms_pre` and `ms_net` are sums
    over the threads that prepare and score slices beside each other; see `records.Record`.
    """

    scan_id: str
    model_id: str
    model_hash: str
    probabilities: Triple | None
    logits: Triple | None
    n_slices: int | None
    n_used: int | None
    selection: str
    ms_load: float | None = None
    ms_pre: float | None = None
    ms_net: float | None = None
    ms_total: float | None = None
    device: str = ""
    run_at: str = ""
    status: Literal["ok", "failed"]

    def cells(self) -> tuple[object, ...]:
        """Return the cells in the order of `COLUMNS`."""
        return (
            *(self.scan_id, self.model_id, self.model_hash),
            *(self.probabilities or (None, None, None)),
            *(self.logits or (None, None, None)),
            *(self.n_slices, self.n_used, self.selection),
            *(self.ms_load, self.ms_pre, self.ms_net, self.ms_total, self.device, self.run_at, self.status),
        )


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Write a CSV of any length: the old file stays whole until the new one is on the disk.

    None and "" are empty cells; numbers keep all their digits.

    Raises:
        OSError: it can't be written; what was there before is untouched.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("x", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(rows)  # csv writes None as an empty cell, and a float with repr
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_predictions(path: Path, predictions: Iterable[Prediction]) -> None:
    """Write predictions, whole or not at all.

    Raises:
        OSError: they can't be written; what was there before is untouched.
    """
    write_table(path, COLUMNS, (prediction.cells() for prediction in predictions))


def read_predictions(path: Path) -> tuple[Prediction, ...]:
    """Read and check predictions.

    Raises:
        PredictionsError: the file can't be read, or rows break the rules of paper-spec 13.3; each with its line.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST_BYTES + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise PredictionsError([Fault(0, "The file could not be read; is the name right?")]) from error
    except UnicodeDecodeError as error:
        raise PredictionsError([Fault(0, "The text is not UTF-8; save the table as CSV in UTF-8.")]) from error
    if len(data) > LARGEST_BYTES:
        raise PredictionsError([Fault(0, "The file is larger than any list of predictions.")])
    faults: list[Fault] = []
    found = tuple(_rows(text, faults))
    if faults:
        raise PredictionsError(faults)
    return found


def _rows(text: str, faults: list[Fault]) -> Iterator[Prediction]:
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    missing = [name for name in COLUMNS if name not in (lines.fieldnames or ())]
    faults += [Fault(1, f"The column {name} is missing.") for name in missing]
    if missing:
        return
    seen: dict[tuple[str, str, str], int] = {}
    try:
        for cells in lines:
            line = lines.line_num
            try:
                row = _row({name: (cells[name] or "").strip() for name in COLUMNS})
                _check(row)
            except ValueError as error:
                faults.append(Fault(line, str(error)))
                continue
            first = seen.setdefault((row.scan_id, row.model_hash, row.selection), line)
            if first != line:
                faults.append(Fault(line, f"This scan, model and selection stand in line {first} already."))
            yield row
    except csv.Error as error:
        faults.append(Fault(lines.line_num, f"This is not CSV ({error})."))


def _row(cells: Mapping[str, str]) -> Prediction:
    if not cells["scan_id"]:
        raise ValueError("scan_id must not be empty.")
    if cells["status"] not in ("ok", "failed"):
        raise ValueError("status must be ok or failed.")
    times = {name: _number(cells, name) for name in ("ms_load", "ms_pre", "ms_net", "ms_total")}
    return Prediction(
        scan_id=cells["scan_id"],
        model_id=cells["model_id"],
        model_hash=cells["model_hash"],
        probabilities=_triple(cells, "p"),
        logits=_triple(cells, "logit"),
        n_slices=_count(cells, "n_slices"),
        n_used=_count(cells, "n_used"),
        selection=cells["selection"],
        **times,
        device=cells["device"],
        run_at=cells["run_at"],
        status="ok" if cells["status"] == "ok" else "failed",
    )


def _check(row: Prediction) -> None:
    if row.status == "failed":
        if row.probabilities is not None:
            raise ValueError("A failed scan can't have probabilities.")
        return
    if row.probabilities is None:
        raise ValueError("A scan that is ok needs p_normal, p_cp and p_covid.")
    if min(row.probabilities) < 0 or abs(fsum(row.probabilities) - 1) > TOLERANCE:
        raise ValueError("p_normal, p_cp and p_covid must add up to 1.")
    if row.logits is not None:
        pairs = zip(softmax(row.logits), row.probabilities, strict=True)
        if max(abs(one - other) for one, other in pairs) > TOLERANCE:
            raise ValueError("The softmax of the logits is not p_normal, p_cp and p_covid.")


def _triple(cells: Mapping[str, str], prefix: str) -> Triple | None:
    values = [_number(cells, f"{prefix}_{name}") for name in CLASSES]
    known = [value for value in values if value is not None]
    if not known:
        return None
    if len(known) < len(values):
        raise ValueError(f"{prefix}_normal, {prefix}_cp and {prefix}_covid must be given together.")
    normal, pneumonia, covid = known
    return normal, pneumonia, covid


def _number(cells: Mapping[str, str], name: str) -> float | None:
    if not cells[name]:
        return None
    try:
        number = float(cells[name])
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ValueError(f"{name} must be a number with a decimal point.")
    return number


def _count(cells: Mapping[str, str], name: str) -> int | None:
    text = cells[name]
    if text and not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name} must be a whole number.")
    return int(text) if text else None
