"""A site for the pictures: known studies that were scored, and some months of the clinic, all made of numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from aicorona_desktop.core.score import CLASSES
from aicorona_desktop.history.store import History
from aicorona_desktop.model.pack import default_pack
from tests.app.site_study import WAY, known_run
from tests.history import made_up


def verify_site(folder: Path) -> None:
    """Put a run over known studies, and the months before, into a program's folder."""
    clock = made_up.Clock(datetime.now(UTC))
    rng = np.random.default_rng(7)
    scores = [("covid", float(p)) for p in rng.beta(5, 2, 60)]
    scores += [("cp" if place % 3 else "normal", float(p)) for place, p in enumerate(rng.beta(2, 5, 90))]
    with History.open(folder / "history.sqlite", clock=clock) as history:
        known_run(history, default_pack(), scores, failed=("cp", "normal"))
        now = clock.now
        for day in range(70, 0, -1):
            _one(history, clock, now - timedelta(days=day), day, rng)


def _one(history: History, clock: made_up.Clock, at: datetime, day: int, rng: np.random.Generator) -> None:
    pack = default_pack()
    clock.now = at
    study = made_up.study(f"3.{day}")
    lately = at.month == datetime.now(UTC).month
    p_covid = float(rng.beta(6, 3) if lately else rng.beta(2, 6))
    history.record_received(study)
    history.move_through(f"3.{day}", WAY)
    score = made_up.score(study, p_covid=p_covid, pack_sha256=pack.sha256)
    shown = replace(score, pack=pack.title, pack_status=pack.status, preparation=pack.preparation)
    history.record_result(f"3.{day}", shown, (), "0.1", "gate-1", choice=made_up.choice(study))
    clock.pass_by(minutes=float(rng.integers(3, 20) if p_covid > 0.5 else rng.integers(10, 90)))
    history.open_viewing(f"3.{day}", "AB")
    if day % 3:
        answer = "covid" if p_covid > rng.random() else CLASSES[day % 2]
        history.save_verdict(f"3.{day}", impression=answer, initials="AB")
