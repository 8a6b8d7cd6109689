"""A ledger that is older than its copies, or gone: every copy is read again, however often that is cut off."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from aicorona_desktop.app.reconciling import Reconciling
from aicorona_desktop.app.services import Wishes, running
from aicorona_desktop.app.storage import originals_beside
from aicorona_desktop.core.events import Event, ImportDone
from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.history.backup import RESTORED_FROM, copies, restore
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.triage.engine import Engine
from tests import phantom
from tests.app import reconciling_child

ROOT = Path(__file__).resolve().parents[2]
CHEST = phantom.chest("after the backup").with_slices(20)
STUDY = CHEST.study_instance_uid

pytestmark = pytest.mark.skipif(os.name == "nt", reason="SIGKILL")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A ledger with a backup from the middle of an import, and the copies of that import."""
    place = tmp_path / "program" / "history.sqlite"
    place.parent.mkdir()
    originals = Originals(originals_beside(place))
    kept = [originals.keep(data).name for data in CHEST.files().values()]
    with History.open(place) as history:
        history.intend_copies(kept)
        history.backup()
        history.forget_intents()
    return place


def put_back(place: Path) -> None:
    restore(place, copies(place)[-1].path, utc_now())


def damage(place: Path) -> None:
    place.write_bytes(place.read_bytes()[:100] + os.urandom(20_000))


def lose(place: Path) -> None:
    place.unlink()


def lose_all(place: Path) -> None:
    place.unlink()
    for copy in copies(place):
        copy.path.unlink()


def killed(place: Path, moment: str) -> None:
    child = subprocess.run(
        [sys.executable, reconciling_child.__file__, str(place), moment],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()[-2000:]


def blobs(place: Path) -> set[str]:
    return {sha256 for sha256, _ in Originals(originals_beside(place)).listing()}


class Taker:
    """Takes what an engine would read."""

    def __init__(self) -> None:
        self.paths: list[Path] = []

    def submit(self, paths: Iterable[Path], label: str = "") -> int:
        assert label
        self.paths += paths
        return 7


def run_to_the_end(place: Path) -> None:
    wishes = Wishes(history=place, provider="cpu", settings=Settings(provider="cpu"))
    with running(wishes, lambda _: None, lambda _: None) as services:
        assert services.engine is not None
        assert services.engine.wait_until_idle(60)
        assert services.engine.failure is None


@pytest.mark.parametrize(
    ("trouble", "moments"),
    [
        (put_back, ("BatchStarted", "1.3", "FilesDone")),
        (damage, ("opened", "BatchStarted")),
        (lose, ("opened",)),
        (lose_all, ("BatchStarted",)),
    ],
)
def test_what_the_ledger_lacks_is_read_again_after_any_number_of_kills(
    place: Path, trouble: Callable[[Path], None], moments: Iterable[str]
) -> None:
    before = blobs(place)
    assert len(before) == 20
    trouble(place)

    for moment in moments:
        killed(place, moment)
        assert blobs(place) == before
    run_to_the_end(place)

    assert blobs(place) == before
    with History.open(place) as history:
        row = history.row(STUDY)
        assert row is not None
        assert row.probabilities is not None
        assert {one.sha256 for one in history.files(STUDY)} == before
        assert not history.setting(RESTORED_FROM)
        assert history.take_unrecorded_copies(originals_beside(place)) == ()
        assert Reconciling(history, print).begin(cast("Engine", Taker())) == 0  # it was done once and for all


@pytest.mark.parametrize("trouble", [put_back, damage, lose])
def test_a_backup_in_the_ledgers_place_asks_for_its_copies_and_forgets_what_it_was_about_to_do(
    place: Path, trouble: Callable[[Path], None]
) -> None:
    name = copies(place)[-1].path.name
    trouble(place)

    with History.open(place):
        pass

    with closing(sqlite3.connect(place)) as raw:
        assert raw.execute("SELECT value FROM setting WHERE key = ?", (RESTORED_FROM,)).fetchone() == (name,)
        assert raw.execute("SELECT count(*) FROM copy_intent").fetchone() == (0,)


def ended(number: int, *, cancelled: bool = False, trouble: str = "") -> ImportDone:
    return ImportDone(ImportSummary(number, "", utc_now(), utc_now(), (), cancelled, trouble))


def test_only_the_whole_import_of_those_copies_is_the_end_of_it(place: Path) -> None:
    put_back(place)
    heard: list[Event] = []
    with History.open(place) as history:
        reconciling, taker = Reconciling(history, heard.append), Taker()
        assert reconciling.begin(cast("Engine", taker)) == len(taker.paths) == 20
        for event in (ended(7, cancelled=True), ended(7, trouble="It broke off."), ended(8)):
            reconciling.hear(event)
            assert history.setting(RESTORED_FROM)
        reconciling.hear(ended(7))
        assert not history.setting(RESTORED_FROM)
    assert len(heard) == 4
