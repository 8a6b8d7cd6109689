"""What a run over an archive leaves: the same studies as JSON lines, Parquet and predictions.csv, in one order."""

from __future__ import annotations

import importlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.core.durable import sync_folder
from aicorona_desktop.evaluation.archive.index import bucket_of
from aicorona_desktop.evaluation.predicting import pack_facts, write_failures
from aicorona_desktop.evaluation.predictions import write_predictions
from aicorona_desktop.evaluation.records import Record, model_id_of
from aicorona_desktop.evaluation.run_folder import Journal, read_journal
from aicorona_desktop.model.pack import Pack

LINES, PARQUET, PREDICTIONS, FAILURES = "studies.jsonl", "studies.parquet", "predictions.csv", "failures.csv"
ROWS_AT_ONCE: Final = 5000
NO_PARQUET: Final = "studies.parquet was not written: it needs pyarrow, which the extra `cluster` brings."


class PartJournals:
    """The journals of a run, one for each list of the archive; a few at a time are held in memory."""

    def __init__(self, folder: Path, most_open: int = 16) -> None:
        self._folder = folder
        self._folder.mkdir(exist_ok=True)
        self._most_open = most_open
        self._open: dict[str, Journal] = {}

    def has(self, study_instance_uid: str) -> bool:
        """Whether a study has its record."""
        return study_instance_uid in self._of(study_instance_uid).names

    def append(self, record: Record) -> None:
        """Put a record on the disk; see `Journal.append`."""
        self._of(record.name).append(record)

    def records(self) -> Iterator[Record]:
        """Yield all records, in the order of the lists, and of the UIDs within a list."""
        for path in sorted(self._folder.glob("??.jsonl")):
            yield from sorted(read_journal(path), key=lambda record: record.name)

    def _of(self, uid: str) -> Journal:
        bucket = bucket_of(uid)
        journal = self._open.pop(bucket, None) or Journal(self._folder / f"{bucket}.jsonl")
        self._open[bucket] = journal
        if len(self._open) > self._most_open:
            del self._open[next(iter(self._open))]
        return journal


def write_results(folder: Path, journals: PartJournals, pack: Pack) -> tuple[str, ...]:
    """Write all results anew from the journals; return what a person must know about it.

    Raises:
        OSError: they can't be written; what was there before is untouched.
    """
    rule = pack.slice_rule
    write_predictions(folder / PREDICTIONS, (record.prediction(pack, rule) for record in journals.records()))
    write_failures(folder / FAILURES, (record for record in journals.records() if record.status == "failed"))
    _write_lines(folder / LINES, (study_object(record, pack) for record in journals.records()))
    return _write_parquet(folder / PARQUET, (study_object(record, pack) for record in journals.records()), pack)


def study_object(record: Record, pack: Pack) -> dict[str, Any]:
    """Return one study as the JSON lines and the columns of the Parquet file have it; None is unknown."""
    prediction = record.prediction(pack, pack.slice_rule)
    p_normal, p_cp, p_covid = prediction.probabilities or (None, None, None)
    logit_normal, logit_cp, logit_covid = prediction.logits or (None, None, None)
    return {
        "study_uid": record.name,
        "series_uid": record.series_instance_uid or None,
        "status": record.status,
        "reason": record.reason or None,
        "sentence": record.sentence or None,
        "warnings": list(record.warnings),
        "p_normal": p_normal,
        "p_cp": p_cp,
        "p_covid": p_covid,
        "logit_normal": logit_normal,
        "logit_cp": logit_cp,
        "logit_covid": logit_covid,
        "n_slices": record.n_slices,
        "n_used": prediction.n_used,
        "slice_indices": list(record.indices),
        "selection": prediction.selection,
        "ms_load": record.ms_load,
        "ms_pre": record.ms_pre,
        "ms_net": record.ms_net,
        "ms_total": record.ms_total,
        "device": record.device,
        "run_at": record.run_at,
        "model_id": model_id_of(pack),
        "model_hash": pack.sha256,
        "model_status": pack.status,
    }


def _write_lines(path: Path, objects: Iterable[dict[str, Any]]) -> None:
    part = _part(path)
    try:
        with part.open("xb") as stream:
            for one in objects:
                stream.write(json.dumps(one, separators=(",", ":")).encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        _put(part, path)
    finally:
        part.unlink(missing_ok=True)


def _write_parquet(path: Path, objects: Iterator[dict[str, Any]], pack: Pack) -> tuple[str, ...]:
    """Write row groups of some thousands, so that memory doesn't grow with the archive."""
    try:
        pyarrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        return (NO_PARQUET,)
    schema = _schema(pyarrow).with_metadata({name: str(value) for name, value in pack_facts(pack).items()})
    part = _part(path)
    try:
        with parquet.ParquetWriter(part, schema) as writer:
            while chunk := list(islice(objects, ROWS_AT_ONCE)):
                writer.write_table(pyarrow.Table.from_pylist(chunk, schema))
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        _put(part, path)
    finally:
        part.unlink(missing_ok=True)
    return ()


def _schema(pyarrow: Any) -> Any:
    text, number, whole = pyarrow.string(), pyarrow.float64(), pyarrow.int32()
    kinds = {
        **dict.fromkeys(("study_uid", "series_uid", "status", "reason", "sentence"), text),
        "warnings": pyarrow.list_(text),
        **dict.fromkeys(("p_normal", "p_cp", "p_covid", "logit_normal", "logit_cp", "logit_covid"), number),
        **dict.fromkeys(("n_slices", "n_used"), whole),
        "slice_indices": pyarrow.list_(whole),
        "selection": text,
        **dict.fromkeys(("ms_load", "ms_pre", "ms_net", "ms_total"), number),
        **dict.fromkeys(("device", "run_at", "model_id", "model_hash", "model_status"), text),
    }
    return pyarrow.schema(list(kinds.items()))


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def _put(part: Path, path: Path) -> None:
    part.replace(path)
    sync_folder(path.parent)
