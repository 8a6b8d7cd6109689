from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from aicorona_desktop.history import migrations
from aicorona_desktop.history.connection import APPLICATION_ID
from aicorona_desktop.history.store import History, HistoryError
from tests.app.site_study import WAY
from tests.history import made_up
from tests.history.made_up import NOW, PACK, Clock


def test_a_ledger_of_before_keeps_its_verification(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "history.sqlite"
    place = next(number for number, step in enumerate(migrations.STEPS) if step.__name__.startswith("m008"))
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None)) as raw, monkeypatch.context() as earlier:
        earlier.setattr(migrations, "STEPS", migrations.STEPS[:place])
        raw.execute(f"PRAGMA application_id={APPLICATION_ID}")
        migrations.migrate(raw)
        raw.execute("INSERT INTO pack VALUES (?, 'demo', 'untrained', '')", (PACK,))
        raw.execute(
            "INSERT INTO site_verification (pack_sha256, preparation, device, operating_point, sensitivity,"
            " specificity, studies, initials, at) VALUES (?, 'paper-1', 'cpu', 0.4, 0.9, 0.8, 60, 'AB', ?)",
            (PACK, NOW.isoformat()),
        )

    with History.open(path, clock=Clock()) as history:
        own = history.site_verification(PACK)

    assert own is not None
    assert (own.operating_point, own.name, own.certificate, own.withdrawn) == (0.4, "", {}, False)


def test_a_run_is_kept_with_its_labels_until_it_ends(tmp_path: Path) -> None:
    with History.open(tmp_path / "history.sqlite", clock=Clock()) as history:
        history.record_pack(PACK, "demo", "untrained")
        number = history.begin_verification_run("known", PACK, {"1.2": "covid"}, "AB")
        begun = history.newest_verification_run()
        history.end_verification_run(number)
        ended = history.verification_run(number)
        with pytest.raises(HistoryError, match="not in the history"):
            history.end_verification_run(number + 1)

    assert begun is not None
    assert begun.ended_at is None
    assert (ended.labels, ended.initials, ended.ended_at) == ({"1.2": "covid"}, "AB", NOW)


def test_a_month_holds_what_arrived_in_it_with_scores_answers_and_scanner(tmp_path: Path) -> None:
    clock = Clock()
    with History.open(tmp_path / "history.sqlite", clock=clock) as history:
        study = made_up.study("1.1")
        history.record_received(study)
        history.record_pack(PACK, "demo", "untrained")
        history.move_through("1.1", WAY)
        history.record_result(
            "1.1", made_up.score(study, p_covid=0.6), (), "0.1", "gate-1", choice=made_up.choice(study)
        )
        clock.pass_by(minutes=12)
        history.open_viewing("1.1", "AB")
        history.save_verdict("1.1", impression="cp", initials="AB")
        clock.pass_by(days=40)
        history.record_received(made_up.study("1.2"))
        rows = history.month_rows(NOW - timedelta(hours=1), NOW + timedelta(days=1))

        assert history.first_arrival() == NOW
        assert history.scanners()["1.1"][0] == "ACME"

    assert len(rows) == 1
    assert (rows[0].p_covid, rows[0].model_class, rows[0].model_other) == (0.6, "covid", "cp")
    assert (rows[0].impression, rows[0].manufacturer) == ("cp", "ACME")
    assert rows[0].first_opened_at == NOW + timedelta(minutes=12)
