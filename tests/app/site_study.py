"""Ledgers of known studies made of numbers: scores with labels, as a run of the kit leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from aicorona_desktop.app.verification_run import RunPlace
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.rows import State
from aicorona_desktop.history.store import History
from aicorona_desktop.model.pack import Pack
from tests.history import made_up

WAY = [(State.CHECKING, "test"), (State.QUEUED, "test"), (State.RUNNING, "test")]


def known_run(
    clinic: History,
    pack: Pack,
    scores: Sequence[tuple[str, float]],
    *,
    same_patient: int = 1,
    failed: Sequence[str] = (),
) -> int:
    """Record an ended run over studies of (label, p(COVID-19)) and failed ones of these labels; return its number."""
    labels = {f"7.{place}": label for place, (label, _) in enumerate(scores)}
    lost = {f"8.{place}": label for place, label in enumerate(failed)}
    clinic.record_pack(pack.sha256, pack.title, pack.status)
    number = clinic.begin_verification_run("known", pack.sha256, {**labels, **lost}, "AB")
    place = RunPlace(clinic.path, number)
    place.lay_down({uid: [Path("/gone")] for uid in labels})
    with History.open(place.ledger, clock=made_up.Clock()) as ledger:
        ledger.record_pack(pack.sha256, pack.title, pack.status)
        for index, (uid, (_, p_covid)) in enumerate(zip(labels, scores, strict=True)):
            study = made_up.study(uid, patient_id=f"P{index // same_patient}")
            score = made_up.score(study, p_covid=p_covid, pack_sha256=pack.sha256)
            ledger.record_received(study)
            ledger.move_through(uid, WAY)
            result = replace(score, pack=pack.title, preparation=pack.preparation)
            ledger.record_result(uid, result, (), "0.1", "gate-1", choice=made_up.choice(study))
        for uid in lost:
            study = made_up.study(uid)
            ledger.record_received(study)
            ledger.move(uid, State.CHECKING, "test")
            few = Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES, found=3, needed=16)
            ledger.record_unscored(uid, State.UNSUITABLE, (few,), choice=made_up.choice(study))
    clinic.end_verification_run(number)
    return number
