"""The long proofs of `python -m tests.soak`, each for a few seconds: that they run, find nothing, and can fail."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aicorona_desktop.app import services
from aicorona_desktop.history.store import History
from tests.history.made_up import study
from tests.soak import faults
from tests.soak.kills import kills
from tests.soak.ledger import Acknowledged, troubles
from tests.soak.order import breaches, order
from tests.soak.parts import Soak
from tests.soak.small_disk import can_mount
from tests.soak.space import space


@pytest.fixture(autouse=True)
def _only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `near.put_in_place` puts in the place of processes, for the children to inherit, goes again."""
    for name in ("Reader", "Scorer", "chosen_pack"):
        monkeypatch.setattr(services, name, getattr(services, name))


def test_a_program_that_is_killed_at_any_moment_loses_nothing_acknowledged(tmp_path: Path) -> None:
    soak = Soak(tmp_path, share=5 / 3000)

    kills(soak)

    assert soak.failures == []


@pytest.mark.parametrize(("mode", "first"), [("EIO", 301), ("ENOSPC", 377), ("ENOSPC+", 520), ("short", 610)])
def test_a_call_that_fails_loses_nothing_acknowledged_and_the_next_start_finishes(
    tmp_path: Path, mode: str, first: int
) -> None:
    runs = faults.runs(tmp_path, mode, first, 97, first + 2 * 97)
    if not runs:
        pytest.skip("there is no C compiler to build the shim with")

    assert [(one["at"], one["what"], one["wrong"]) for one in runs if one["wrong"]] == []
    assert any(one["failed"] for one in runs)


@pytest.mark.skipif(not can_mount(), reason="disks can only be mounted as root, or in a user namespace")
def test_a_disk_that_fills_up_loses_nothing_acknowledged(tmp_path: Path) -> None:
    soak = Soak(tmp_path)

    space(soak, points=(4, 8))

    assert soak.failures == []


def test_the_proof_itself_sees_what_is_lost_doubled_or_damaged(tmp_path: Path) -> None:
    place = tmp_path / "history.sqlite"
    with History.open(place) as history:
        history.record_received(study("1.2"))
        files = {file.sha256 for file in history.files("1.2")}
    sound = Acknowledged({"1.2": files})
    assert list(troubles(place, sound)) == []

    assert list(troubles(place, Acknowledged({"1.2": files | {"0" * 64}}))) == [
        f"1 of {len(files) + 1} acknowledged instances lost"
    ]
    assert list(troubles(place, Acknowledged({"1.2": files}, scored={"1.2"}))) == [
        "an acknowledged score is lost (state received)"
    ]
    (tmp_path / ("a" * 64)).write_bytes(b"not what its name says")
    assert list(troubles(place, sound)) == ["a copy is not what its name says: aaaaaaaaaaaa"]
    (tmp_path / ("a" * 64)).unlink()
    with closing(sqlite3.connect(place)) as raw:
        names = [row[1] for row in raw.execute("PRAGMA table_info(instance)")]
        own = {"sequence": "NULL", "sha256": "randomblob(32)"}
        values = ", ".join(own.get(name, name) for name in names)
        raw.execute(f"INSERT INTO instance SELECT {values} FROM instance LIMIT 1")
        raw.commit()
    assert "1 instances stand twice" in list(troubles(place, sound))


def test_what_is_acknowledged_would_survive_a_power_cut(tmp_path: Path) -> None:
    soak = Soak(tmp_path)

    order(soak)

    assert soak.failures == []


def test_the_order_of_calls_is_judged_as_a_power_cut_would() -> None:
    sound = ["C\t/d/a.part\t", "W\t/d/a.part\t", "S\t/d/a.part\t", "R\t/d/a.part\t/d/a", "S\t/d\t", "M\treceived 1\t"]

    assert list(breaches(sound)) == []
    assert list(breaches(sound[:2] + sound[3:])) == [
        "a.part got its name before it was flushed",
        "received: a is not flushed",
    ]
    assert list(breaches(sound[:4] + sound[5:])) == ["received: the name of a is not flushed"]
    assert list(breaches([*sound, "U\t/d/l-journal\t", "M\tscored 1\t"])) == [
        "scored: the name of l-journal is not flushed"
    ]
