"""Studies and scores of numbers, for the ledger: no file lies behind them."""

from __future__ import annotations

import hashlib
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header
from aicorona_desktop.core.score import Fragility, Score
from aicorona_desktop.core.study import Instance, LeftOut, Series, SeriesChoice, Study

NOW = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
PACK = "e" * 64


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_by(self, **time: float) -> None:
        self.now += timedelta(**time)


def sha256(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def file(name: str, *, path: Path | None = None, source: str = "/in") -> FileRef:
    return FileRef(
        path or Path("/store") / name, f"disc/{name}", 526_336, 1_763_900_000_123_456_789, sha256(name), source
    )


_EMPTY = {"str": "", "int": 0, "bool": False, "tuple[str, ...]": (), "tuple[Finding, ...]": ()}


def header(**values: object) -> Header:
    """A header with the values given; text "", numbers None or 0."""
    nothing = {field.name: _EMPTY.get(str(field.type)) for field in fields(Header)}
    return Header(**nothing | {"number_of_frames": 1} | values)  # type: ignore[arg-type]


def study(
    uid: str = "1.2.3",
    slices: int = 3,
    *,
    first: int = 0,
    name: str = "Doe^Jane",
    patient_id: str | None = None,
    left_out: tuple[LeftOut, ...] = (),
) -> Study:
    """A study of one series; slice n has the identity UID.n, the patient the ID ID-UID where none is given."""
    instances = tuple(
        Instance(
            file(f"{uid}.{number}"),
            header(
                sop_instance_uid=f"{uid}.{number}",
                study_instance_uid=uid,
                series_instance_uid=f"{uid}.1000",
                patient_name=name,
                patient_id=f"ID-{uid}" if patient_id is None else patient_id,
                patient_sex="F",
                patient_age_years=61.5,
                study_date="2026-11-22",
                study_description="CT Thorax",
                manufacturer="ACME",
                kvp=120.0,
            ),
        )
        for number in range(first, first + slices)
    )
    return Study(uid, (Series(f"{uid}.1000", instances),), left_out)


def choice(of: Study) -> SeriesChoice:
    return SeriesChoice(of.series[0], "The only axial series.")


def score(
    of: Study, *, p_covid: float = 0.81, preliminary: bool = False, pack_sha256: str = PACK, doubtful: bool = False
) -> Score:
    """A score of all slices, or of the first one when preliminary; every number has all its bits in use."""
    instances = of.series[0].instances[: 1 if preliminary else None]
    return Score(
        logits=(0.1, 1 / 3, 2 / 7),
        probabilities=((1 - p_covid) / 3, (1 - p_covid) * 2 / 3, p_covid),
        slice_indices=tuple(range(len(instances))),
        slice_identities=tuple(one.identity for one in instances),
        slice_sha256=tuple(one.file.sha256 for one in instances),
        slice_contributions=tuple((number + 0.1, number / 3, -number / 7) for number in range(len(instances))),
        slices_total=len(of.series[0].instances),
        preliminary=preliminary,
        standard_error=(0.01, 0.02, 0.03),
        fragility=None if preliminary else Fragility(0.04, rests_on_one_slice=False, doubtful=doubtful),
        training_distance=None if preliminary else 12.5,
        training_distance_limit=None if preliminary else 40.0,
        pack="demo 1.0",
        pack_sha256=pack_sha256,
        pack_status="untrained",
        preparation="paper-1",
        provider="cpu",
        seconds_read=1.25,
        seconds_infer=8.5,
    )


TILT = Finding(Outcome.WARNED, Reason.TILT, found=3.5)
TOO_FEW = Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES, found=3, needed=16)


def damaged_file(name: str = "broken") -> LeftOut:
    return LeftOut(file(name), Finding(Outcome.REFUSED, Reason.TRUNCATED, name="PixelData"), "1.2.3.1000")


def renamed(of: Study, name: str) -> Study:
    """The same files with another patient name in their headers."""
    series = of.series[0]
    instances = tuple(replace(one, header=replace(one.header, patient_name=name)) for one in series.instances)
    return replace(of, series=(replace(series, instances=instances),))
