"""A made-up study of exactly the paper's size: its readers' matrices, its RT-PCR extremes, drawn scans.

What the paper prints is built in: Table 1, the readers' counts of Tables 3 to 8, the minutes of Table 2, the best and
the worst RT-PCR day, what the joint statements count. All else is drawn: scores with areas near the printed ones,
orders, dates, pictures of phantoms. It rehearses an evaluation; it proves nothing about any model.

Source: paper-spec 1.2, 6, 7.4, 7.7, 11, 12.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, softmax

from aicorona_desktop.core.score import Triple
from aicorona_desktop.evaluation import synthetic_rtpcr
from aicorona_desktop.evaluation.cases import Case, write_cases
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.manifest import (
    CLASSES,
    Cohort,
    LabelSource,
    Layout,
    ManifestRow,
    QcStatus,
    Split,
    write_manifest,
)
from aicorona_desktop.evaluation.metrics import roc
from aicorona_desktop.evaluation.operating_points import Demands, Rule, StoredPoint, choose, store
from aicorona_desktop.evaluation.points_file import write_points
from aicorona_desktop.evaluation.predictions import Prediction, write_predictions, write_table
from aicorona_desktop.evaluation.readers import ReaderRow, write_readers
from aicorona_desktop.evaluation.synthetic_scan import SLICES, draw_scan
from aicorona_desktop.evaluation.table_1 import paper_shaped
from aicorona_desktop.evaluation.tasks import Task, load_tasks, task_named
from aicorona_desktop.model.selection import selected

MODEL_ID: Final = "made-up"
MODEL_SHA256: Final = hashlib.sha256(b"a model that does not exist").hexdigest()
RULE: Final = "middle(0.5)"
DAY: Final = date(2020, 12, 1)
CHUNK: Final = 20

_Matrix = tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class _Reader:
    """One reader: MDH matrices [truth, call] of both passes; CC-CCII (TP, FN, FP) of covid; minutes of pass 1."""

    id: str
    level: str
    years: int | None
    mdh: tuple[_Matrix, _Matrix]
    cc: tuple[tuple[int, int, int], tuple[int, int, int]]
    minutes: int


_READERS: Final = (
    _Reader(
        *("senior1", "senior", 15),
        (((120, 1, 0), (7, 105, 5), (5, 12, 102)), ((119, 2, 0), (3, 111, 3), (1, 10, 108))),
        ((128, 15, 11), (134, 9, 13)),
        360,
    ),
    _Reader(
        *("senior2", "senior", 15),
        (((114, 7, 0), (1, 111, 5), (4, 8, 107)), ((118, 3, 0), (1, 114, 2), (3, 9, 107))),
        ((130, 13, 21), (138, 5, 15)),
        300,
    ),
    _Reader(
        *("junior", "junior", 5),
        (((116, 5, 0), (7, 108, 2), (2, 26, 91)), ((115, 6, 0), (2, 115, 0), (2, 15, 102))),
        ((91, 52, 26), (111, 32, 22)),
        320,
    ),
    _Reader(
        *("resident", "resident", None),
        (((111, 8, 2), (4, 96, 17), (4, 10, 105)), ((117, 3, 1), (2, 108, 7), (4, 8, 107))),
        ((120, 23, 85), (122, 21, 56)),
        400,
    ),
)
_AIDED_SHARE_OF_TIME: Final = 0.85
"""Made up: the paper claims that aided reading is faster and gives no time."""

_HARD, _CALLED_BY_MODEL, _PCR_POSITIVE = 8, 1, 3
"""Of the MDH covid scans that no unaided reader called covid: all, the model's, those with a positive RT-PCR."""

_MEANS: Final[Mapping[tuple[str, str], Triple]] = {
    ("MDH", "normal"): (1.40, 0.0, -0.90),
    ("MDH", "nca"): (0.0, 2.20, 0.0),
    ("MDH", "covid"): (-0.95, 0.0, 2.20),
    ("CC-CCII", "normal"): (1.40, 0.0, -1.30),
    ("CC-CCII", "cp"): (0.0, 2.20, -0.40),
    ("CC-CCII", "covid"): (-1.00, -0.20, 2.10),
    ("MosMedData", "non_pneumonia"): (0.90, 0.70, -0.30),
    ("MosMedData", "covid"): (-0.40, 0.20, 1.80),
}
"""Means of the logits; with a spread of 1 they give areas near those printed."""

_SPECIFICITIES: Final[Mapping[str, float]] = {
    "cc_covid_vs_rest": 0.965,
    "mdh_covid_vs_rest": 0.98,
    "mos_covid_vs_nonpneumonia": 0.83,
    "mdh_covid_vs_normal": 0.965,
    "mdh_covid_vs_nca": 0.97,
    "mdh_nca_vs_rest": 0.925,
    "mdh_normal_vs_rest": 0.915,
    "mdh_nca_vs_normal": 0.915,
}
"""What rule A demands of each task, near what the paper prints: its points have no common floor (paper-spec 7.6)."""

_EXCLUDED: Final = (
    (QcStatus.ABDOMEN, 46),
    (QcStatus.HRCT, 38),
    (QcStatus.LABEL_DISAGREE, 27),
    (QcStatus.UNREADABLE, 4),
)
"""Made up: the paper gives the numbers removed in a picture only."""


def write_study(folder: Path, *, seed: int = 0, pictures: bool = True) -> None:
    """Write manifest.csv, predictions.csv, readers.csv, rtpcr.csv, points.csv and, with pictures, cases.csv and scans.

    Args:
        folder: made if missing; files of these names in it are replaced.
        seed: of everything that is drawn.
        pictures: whether scans for Figures 6 and 7 are drawn.

    Raises:
        EvaluationError: something can't be written.
    """
    study = _Study.drawn(seed)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        cases = study.cases() if pictures else ()
        write_manifest(folder / "manifest.csv", study.manifest(cases))
        write_predictions(folder / "predictions.csv", study.predictions())
        write_readers(folder / "readers.csv", study.readings())
        write_points(folder / "points.csv", study.points())
        write_table(
            folder / "rtpcr.csv",
            synthetic_rtpcr.COLUMNS,
            synthetic_rtpcr.made_up_tests(np.random.default_rng([seed, 5])),
        )
        if pictures:
            write_cases(folder / "cases.csv", cases)
            for number, case in enumerate(cases):
                draw_scan(folder / _path_of(case.scan_id), case.scan_id, seed + number)
    except OSError as error:
        raise EvaluationError(
            "The made-up study could not be written; is the disk full or the folder closed?"
        ) from error


@dataclass(frozen=True, slots=True, eq=False)
class _Study:
    """What the files are made of: the rows of the manifest, and the logits of those outside training."""

    seed: int
    rows: tuple[ManifestRow, ...]
    logits: Mapping[str, Triple]
    hard: tuple[str, ...]  # MDH covid scans that no unaided reader called covid

    @classmethod
    def drawn(cls, seed: int) -> _Study:
        """Draw until the model misses as many covid scans as the paper's joint statements need; mostly at once."""
        rows = paper_shaped(seed)
        for attempt in range(100):
            generator = np.random.default_rng([seed, 1, attempt])
            logits = _logits(rows, generator)
            hard = _hard_scans(rows, logits)
            if hard:
                return cls(seed, rows, logits, hard)
        raise EvaluationError("No study could be drawn with this seed; choose another.")

    def manifest(self, cases: Sequence[Case]) -> Iterator[ManifestRow]:
        """Yield all rows, those of the excluded scans last."""
        generator = np.random.default_rng([self.seed, 2])
        pictured = {case.scan_id for case in cases}
        positive = set(self.hard[-_PCR_POSITIVE:])
        for row in self.rows:
            is_tested = row.cohort is Cohort.MDH and row.split is Split.TEST and row.label_raw == "covid"
            if is_tested:
                found = row.scan_id in positive if row.scan_id in self.hard else bool(generator.random() < 0.9)
                row = replace(row, rtpcr_any_positive=found, n_readers_label=2)  # noqa: PLW2901 - the same scan, more known
            if row.scan_id in pictured:
                row = replace(row, path=_path_of(row.scan_id), n_slices=SLICES, layout=Layout.DICOM)  # noqa: PLW2901
            yield row
        yield from _excluded()

    def predictions(self) -> Iterator[Prediction]:
        """Yield the rows of all scans outside training."""
        generator = np.random.default_rng([self.seed, 3])
        for row in self.rows:
            if row.scan_id not in self.logits:
                continue
            logits = self.logits[row.scan_id]
            used = len(selected(row.n_slices, RULE))
            load, net = 4.0 * row.n_slices * generator.gamma(8, 1 / 8), 62.0 * used * generator.gamma(20, 1 / 20)
            normal, cp, covid = softmax(np.array(logits)).tolist()
            yield Prediction(
                scan_id=row.scan_id,
                model_id=MODEL_ID,
                model_hash=MODEL_SHA256,
                probabilities=(normal, cp, covid),
                logits=logits,
                n_slices=row.n_slices,
                n_used=used,
                selection=RULE,
                ms_load=round(load, 3),
                ms_net=round(net, 3),
                ms_total=round(load + net + 40, 3),
                device="made up",
                run_at=datetime.combine(DAY, datetime.min.time(), UTC).isoformat(),
                status="ok",
            )

    def points(self) -> tuple[StoredPoint, ...]:
        """Return the operating points, chosen on tuning scans."""
        return _points(self.rows, self.logits, np.random.default_rng([self.seed, 4]))

    def readings(self) -> Iterator[ReaderRow]:
        """Yield every reading of both sets, unaided then aided."""
        mdh = [row for row in self.rows if row.cohort is Cohort.MDH and row.split is Split.TEST]
        cc = [row for row in self.rows if row.cohort is Cohort.CC_CCII and row.split is Split.TEST]
        for number, reader in enumerate(_READERS):
            generator = np.random.default_rng([self.seed, 6, number])
            unaided, aided = self._calls(reader, number, mdh, cc, generator)
            for number_of_pass, calls in ((1, unaided), (2, aided)):
                yield from self._readings(reader, number_of_pass, calls, {row.scan_id for row in mdh}, generator)

    def cases(self) -> tuple[Case, ...]:
        """Return the scans that are drawn: one for Figure 6, four for Figure 7, as the paper's are."""
        calls: dict[int, dict[str, list[str]]] = {1: {}, 2: {}}
        covid = {row.scan_id for row in self.rows if row.cohort is Cohort.MDH and row.label_raw == "covid"}
        for one in self.readings():
            if one.scan_id in covid:
                calls[one.reading_pass].setdefault(one.scan_id, []).append(one.call)
        corrected = [
            scan
            for scan, said in calls[1].items()
            if set(said) != {"covid"} and set(calls[2][scan]) == {"covid"} and scan not in self.hard
        ]
        agreed = [scan for scan, said in calls[1].items() if set(said) == {"covid"} == set(calls[2][scan])]
        if len(corrected) < 3 or not agreed:
            raise EvaluationError("No cases could be drawn with this seed; choose another.")
        sure = max(agreed, key=lambda scan: self.logits[scan][2] - max(self.logits[scan][:2]))
        first = "First misread by at least one reader, right with the model."
        notes = (first, first, first, "Misread by the readers and by the model.")
        scans = (*sorted(corrected)[:3], self.hard[0])
        return (
            Case(figure="6", panel="a", scan_id=sure, note="Slices of a drawn scan, from feet to head."),
            *(
                Case(figure="7", panel=panel, scan_id=scan, note=note)
                for panel, scan, note in zip("abcd", scans, notes, strict=True)
            ),
        )

    def _calls(
        self,
        reader: _Reader,
        number: int,
        mdh: Sequence[ManifestRow],
        cc: Sequence[ManifestRow],
        generator: np.random.Generator,
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Return what a reader called each scan, unaided and aided."""
        unaided: dict[str, str] = {}
        aided: dict[str, str] = {}
        for truth, label in enumerate(("normal", "nca", "covid")):
            scans = [row.scan_id for row in mdh if row.label_raw == label]
            scans = self._hard_first(scans, number) if label == "covid" else _shuffled(scans, generator)
            first = _dealt(scans, reader.mdh[0][truth], truth)
            unaided |= first
            aided |= _changed(first, reader.mdh[1][truth], generator)
        for truth, label in enumerate(CLASSES):
            scans = _shuffled([row.scan_id for row in cc if row.label_raw == label], generator)
            first = _dealt(scans, _cc_row(reader.cc[0], truth), truth)
            unaided |= first
            aided |= _changed(first, _cc_row(reader.cc[1], truth), generator)
        return unaided, aided

    def _hard_first(self, scans: Sequence[str], number: int) -> list[str]:
        """Order MDH covid scans so that a reader misses the hard ones, then others than the next reader does."""
        others = _shuffled([scan for scan in scans if scan not in self.hard], np.random.default_rng([self.seed, 7]))
        places = [sum(reader.mdh[0][2][:2]) - _HARD for reader in _READERS[:number]]
        start = sum(places)
        return [*self.hard, *others[start:], *others[:start]]

    def _readings(
        self, reader: _Reader, number: int, calls: Mapping[str, str], timed: set[str], generator: np.random.Generator
    ) -> Iterator[ReaderRow]:
        order = _shuffled(list(calls), generator)
        share = 1.0 if number == 1 else _AIDED_SHARE_OF_TIME
        seconds = _seconds(order, timed, 60 * reader.minutes * share, generator)
        began = datetime(2020, 9 if number == 1 else 10, 20, 8, tzinfo=UTC)
        for place, scan in enumerate(order, 1):
            normal, cp, covid = (calls[scan] == name for name in CLASSES)
            shown = float(softmax(np.array(self.logits[scan]))[2]) if number == 2 else None
            yield ReaderRow(
                reader_id=reader.id,
                reader_level=reader.level,
                years=reader.years,
                scan_id=scan,
                reading_pass=number,
                aided=number == 2,
                order_index=place,
                chunk=1 + (place - 1) // CHUNK,
                started_at=began,
                seconds=seconds[scan],
                yes_normal=normal,
                yes_cp=cp,
                yes_covid=covid,
                call=calls[scan],
                shown_p_covid=shown,
                map_opened=bool(generator.random() < 0.3) if number == 2 else None,
            )
            began += timedelta(seconds=seconds[scan] + 5)


# --- the model ---------------------------------------------------------------------------------------------------


def _logits(rows: Iterable[ManifestRow], generator: np.random.Generator) -> dict[str, Triple]:
    """Return the logits of all scans outside training."""
    groups: dict[tuple[str, str, Split], list[str]] = {}
    for row in rows:
        if row.split is not Split.TRAIN:
            groups.setdefault((row.cohort.value, row.label_raw, row.split), []).append(row.scan_id)
    found: dict[str, Triple] = {}
    for (cohort, label, _), scans in groups.items():
        for scan, drawn in zip(scans, _spread(len(scans), _MEANS[cohort, label], generator).tolist(), strict=True):
            found[scan] = (drawn[0], drawn[1], drawn[2])
    return found


def _spread(count: int, means: Triple, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return logits [count, 3] around their means: each column has the quantiles of a normal, in a drawn order.

    So a small group has the spread of a large one, and areas hardly depend on the seed.
    """
    quantiles = ndtri((np.arange(count) + 0.5) / count)
    drawn = np.stack([mean + generator.permutation(quantiles) for mean in means], axis=1)
    return np.asarray(np.round(drawn, 6), dtype=np.float64)


def _points(
    rows: Sequence[ManifestRow], logits: Mapping[str, Triple], generator: np.random.Generator
) -> tuple[StoredPoint, ...]:
    """Return the operating point of each task by rule A, from its tuning scans; MosMedData has none, some are drawn."""
    return tuple(_point(task, rows, logits, generator) for task in load_tasks() if task.id in _SPECIFICITIES)


def _point(
    task: Task, rows: Sequence[ManifestRow], logits: Mapping[str, Triple], generator: np.random.Generator
) -> StoredPoint:
    labels = (*task.positive, *task.negative)
    if task.split is Split.EXTERNAL:
        known = [(f"drawn-{label}-{number}", label) for label in labels for number in range(200)]
        drawn = np.concatenate([_spread(200, _MEANS[str(task.cohort), label], generator) for label in labels])
    else:
        tuning = [row for row in rows if row.cohort is task.cohort and row.split is Split.TUNE]
        known = [(row.scan_id, row.label_raw) for row in tuning if row.label_raw in labels]
        drawn = np.array([logits[scan] for scan, _ in known])
    truth = task.truth([label for _, label in known])
    scores = task.scores(softmax(drawn, axis=1), drawn)
    point = choose(Rule.A, roc(scores, truth), Demands(specificity=_SPECIFICITIES[task.id]))
    scans = [scan for scan, _ in known]
    return store(task.id, point, scan_ids=scans, scores=scores, truth=truth, model_sha256=MODEL_SHA256, chosen_on=DAY)


def _hard_scans(rows: Sequence[ManifestRow], logits: Mapping[str, Triple]) -> tuple[str, ...]:
    """Return the scans that no reader shall call covid: all but one missed by the model, that one last.

    None where the model misses too few for that.
    """
    task = task_named("mdh_covid_vs_rest")
    stored = _point(task, rows, logits, np.random.default_rng(0))
    covid = [row.scan_id for row in task.rows(rows) if row.label_raw == "covid"]
    drawn = np.array([logits[scan] for scan in covid])
    scores = dict(zip(covid, task.scores(softmax(drawn, axis=1), drawn).tolist(), strict=True))
    missed = sorted((scan for scan in covid if scores[scan] < stored.point.threshold), key=lambda scan: scores[scan])
    called = sorted((scan for scan in covid if scores[scan] >= stored.point.threshold), key=lambda scan: scores[scan])
    if len(missed) < _HARD - _CALLED_BY_MODEL:
        return ()
    return (*missed[: _HARD - _CALLED_BY_MODEL], *called[:_CALLED_BY_MODEL])


# --- readers -----------------------------------------------------------------------------------------------------


def _shuffled(names: Sequence[str], generator: np.random.Generator) -> list[str]:
    return [names[place] for place in generator.permutation(len(names))]


def _dealt(scans: Sequence[str], counts: Sequence[int], truth: int) -> dict[str, str]:
    """Give scans their calls: the wrong ones first, so that who comes first is missed."""
    order = [place for place in range(len(CLASSES)) if place != truth] + [truth]
    calls = [CLASSES[place] for place in order for _ in range(counts[place])]
    return dict(zip(scans, calls, strict=True))


def _changed(calls: Mapping[str, str], counts: Sequence[int], generator: np.random.Generator) -> dict[str, str]:
    """Change as few calls as needed for other counts: what the paper's margins allow at the least."""
    held = {name: [scan for scan, call in calls.items() if call == name] for name in CLASSES}
    wanted = dict(zip(CLASSES, counts, strict=True))
    spare = [scan for name in CLASSES for scan in _shuffled(held[name], generator)[wanted[name] :]]
    short = [name for name in CLASSES for _ in range(wanted[name] - len(held[name]))]
    return {**calls, **dict(zip(spare, short, strict=True))}


def _cc_row(counts: tuple[int, int, int], truth: int) -> tuple[int, int, int]:
    """Return the calls of one true class of CC-CCII; only those of covid are known, the rest is taken as right."""
    called, missed, false = counts
    normals, pneumonias = 105, 147
    from_normals = false // 5
    rows = (
        (normals - from_normals, 0, from_normals),
        (0, pneumonias - (false - from_normals), false - from_normals),
        (0, missed, called),
    )
    return rows[truth]


def _seconds(order: Sequence[str], timed: set[str], total: float, generator: np.random.Generator) -> dict[str, float]:
    """Return the seconds of each reading, so that those of the timed scans add up to `total`."""
    drawn = dict(zip(order, generator.gamma(4.0, 1.0, len(order)).tolist(), strict=True))
    scale = total / sum(drawn[scan] for scan in timed)
    seconds = {scan: round(scale * value, 3) for scan, value in drawn.items()}
    last = max(timed)
    seconds[last] = round(seconds[last] + total - sum(seconds[scan] for scan in timed), 3)
    return seconds


# --- rows that the paper does not have ----------------------------------------------------------------


def _excluded() -> Iterator[ManifestRow]:
    for status, count in _EXCLUDED:
        for number in range(count):
            name = f"mdh-excluded-{status}-{number:03d}"
            label = ("normal", "nca", "covid")[number % 3]
            yield ManifestRow(
                scan_id=name,
                subject_id=name,
                cohort=Cohort.MDH,
                split=Split.EXCLUDED,
                label_raw=label,
                label3="cp" if label == "nca" else label,
                n_slices=30,
                label_source=LabelSource.REPORTS,
                qc_status=status,
            )


def _path_of(scan_id: str) -> str:
    return f"images/{scan_id}"
