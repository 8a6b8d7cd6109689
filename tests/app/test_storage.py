"""Our copies of images go by a rule of the site: never what a person needs, never without a trace, never half."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from aicorona_desktop.app.storage import Retention, originals_beside, storage_of
from aicorona_desktop.app.viewing import StudyReader, ViewingError
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.retention import GRACE, Kept, Rule, Step
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings, SettingsError
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.history.store import History, OutcomeKind, StudyError
from aicorona_desktop.intake.keeping import Spool, SpoolError
from aicorona_desktop.triage.reading import FileReading
from tests import phantom
from tests.history.made_up import NOW, Clock

SMALL = phantom.chest("small").with_matrix(64).with_slices(6, 40.0)
OLD = timedelta(days=40)
PLENTY = 10**12


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


class Site:
    """A history with studies whose files are copies of ours, and the rule over it; the clock is turned by hand."""

    def __init__(self, folder: Path, reader: Reader) -> None:
        self.clock = Clock(NOW)
        self.history = History.open(folder / "history.sqlite", clock=self.clock)
        self.originals = Spool(originals_beside(self.history.path))
        self.volumes = VolumeCache(folder / "history.sqlite.cache")
        self.free = PLENTY
        self.told: list[str] = []
        self._reader = reader
        self._folder = folder

    def retention(self, days: int = 30, gigabytes: int = 0) -> Retention:
        return Retention(
            self.history,
            self.volumes,
            Rule(days, gigabytes),
            self.told.append,
            now=self.clock,
            free=lambda: self.free,
        )

    def study(self, name: str, *, read: bool = True, state: State = State.UNSUITABLE) -> str:
        """A study with copies of ours, as an import of an archive leaves it; read now unless told otherwise."""
        chest = SMALL.named(name)
        instances = FileReading(self._reader, self.originals).read([chest.written_to(self._folder / name)]).instances
        kept = [self._kept(one) for one in instances]
        [study] = studies_of(kept)
        self.history.record_received(study)
        uid = study.study_instance_uid
        if state is State.UNSUITABLE:
            self.history.move(uid, State.CHECKING, "test")
            self.history.record_unscored(uid, state, (Finding(Outcome.UNSUITABLE, Reason.TOO_FEW_SLICES),))
        if read:
            self.history.save_verdict(uid, impression="normal", initials="AB")
        return uid

    def _kept(self, one: object) -> object:
        from dataclasses import replace

        from aicorona_desktop.core.study import Instance

        assert isinstance(one, Instance)
        path = self.originals.keep(one.file.path.read_bytes(), one.file.sha256)
        return replace(one, file=replace(one.file, path=path))

    def copies(self) -> int:
        return len([one for one in self.originals.folder.rglob("*") if one.is_file()])

    def kept(self, uid: str) -> Kept | None:
        [found] = [one for one in self.history.copied_studies(self.originals.folder) if one.study_instance_uid == uid]
        return found.kept_because


@pytest.fixture
def site(tmp_path: Path, reader: Reader) -> Iterator[Site]:
    made = Site(tmp_path, reader)
    yield made
    made.history.close()


def pass_time(site: Site, by: timedelta) -> None:
    site.clock.now += by


def test_nothing_goes_without_a_rule(site: Site) -> None:
    site.study("one")
    pass_time(site, timedelta(days=4000))

    assert site.retention(0, 0).look() == ()
    assert site.copies() == 6
    assert Settings().retention == Rule(0, 0)


def test_what_a_rule_names_goes_after_a_week_and_row_and_answers_stay(site: Site, reader: Reader) -> None:
    uid = site.study("one")
    viewer = StudyReader(lambda: reader, site.volumes)
    series = viewer.open(site.history, uid).series[0]
    assert len(dict(viewer.shown_slices(series, range(6)))) == 6
    assert site.volumes.size_bytes
    pass_time(site, OLD)
    rule = site.retention()

    [named] = rule.preview()
    assert (named.study.study_instance_uid, named.rule, named.study.files) == (uid, "days", 6)
    assert named.goes_at == site.clock.now + GRACE
    assert rule.look() == ()  # named now
    assert [one.step for one in site.history.removals(uid)] == [Step.MARKED]
    pass_time(site, GRACE - timedelta(seconds=1))
    assert rule.look() == ()
    assert site.copies() == 6
    pass_time(site, timedelta(seconds=2))
    assert rule.look() == (uid,)

    assert site.copies() == 0
    assert site.volumes.size_bytes == 0  # what was decoded from them as well
    steps = site.history.removals(uid)
    assert [one.step for one in steps] == [Step.MARKED, Step.REMOVING, Step.REMOVED]
    assert (steps[-1].rule, steps[-1].who, steps[-1].files) == ("read 30 days ago", "the rule of this site", 6)
    assert steps[-1].size_bytes == sum(len(SMALL.named("one").file(index)) for index in range(6))
    row = site.history.row(uid)
    assert row is not None
    assert row.impression == "normal"
    assert "images removed" in [one.event for one in site.history.trail(uid)]
    with pytest.raises(
        ViewingError, match=r"The images were removed on 20.*by the rule of this site \(read 30 days ago"
    ):
        StudyReader(lambda: reader, site.volumes).open(site.history, uid)
    assert rule.look() == ()  # once
    assert site.history.removals(uid) == steps
    assert rule.preview() == ()
    assert rule.copied() == ()


def test_files_at_their_source_are_never_touched(site: Site, tmp_path: Path, reader: Reader) -> None:
    folder = SMALL.named("in place").written_to(tmp_path / "in place")
    instances = FileReading(reader, site.originals).read([folder]).instances
    [study] = studies_of(instances)
    site.history.record_received(study)
    site.history.move(study.study_instance_uid, State.CHECKING, "test")
    site.history.record_unscored(study.study_instance_uid, State.UNSUITABLE, ())
    site.history.save_verdict(study.study_instance_uid, impression="normal", initials="AB")
    before = {one: one.read_bytes() for one in folder.iterdir()}
    pass_time(site, timedelta(days=400))
    site.free = 0

    assert site.retention(7, 1).look() == ()
    assert site.retention().copied() == ()
    assert {one: one.read_bytes() for one in folder.iterdir()} == before


def test_what_a_person_needs_stays_whatever_the_rule_says(site: Site) -> None:
    uids = {name: site.study(name) for name in ("pinned", "told", "now", "conflict", "kept", "doubt", "case", "goes")}
    unread, unfinished = site.study("unread", read=False), site.study("unfinished", state=State.RECEIVED)
    site.history.pin(uids["pinned"], "AB")
    site.history.record_escalation(uids["told"], "Dr Silva", "AB")
    site.history.save_verdict(uids["now"], impression="covid", action="now", initials="AB")
    site.history.save_verdict(uids["doubt"], impression="cannot_judge", initials="AB")
    site.history.record_unscored(
        uids["conflict"], State.UNSUITABLE, (Finding(Outcome.UNSUITABLE, Reason.UID_CONFLICT, found=1),)
    )
    site.history.keep_images(uids["kept"], "AB")
    site.history.add_reader_study("readers", {"cases": [{"study_instance_uid": uids["case"]}]}, "AB")
    pass_time(site, timedelta(days=400))
    site.free = 0  # and at once

    assert site.retention().look() == (uids["goes"],)

    assert {name: site.kept(uid) for name, uid in uids.items() if name != "goes"} == {
        "pinned": Kept.PINNED,
        "doubt": Kept.PINNED,
        "told": Kept.TOLD,
        "now": Kept.TOLD,
        "conflict": Kept.CONFLICT,
        "kept": Kept.BY_PERSON,
        "case": Kept.READER_STUDY,
    }
    assert (site.kept(unread), site.kept(unfinished)) == (Kept.UNREAD, Kept.NOT_FINISHED)
    site.history.record_outcome(uids["told"], OutcomeKind.RT_PCR, "neg", initials="AB")
    assert site.kept(uids["told"]) is None
    number = site.history.record_escalation(uids["told"], "Dr Silva", "AB")
    site.history.take_back_escalation(number, "AB")
    assert site.kept(uids["told"]) is None


def test_what_came_up_between_the_list_and_the_removal_keeps_the_images(site: Site) -> None:
    uid = site.study("one")
    pass_time(site, OLD)
    assert site.retention().preview()
    site.history.pin(uid, "AB")

    with pytest.raises(StudyError, match="it is pinned"):
        site.history.begin_removal(uid, site.originals.folder, "rule", "who")
    assert site.history.removals(uid) == ()
    assert site.copies() == 6


def test_over_the_size_those_read_longest_ago_go_first_until_the_rest_fits(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = site.study("first")
    pass_time(site, timedelta(days=1))
    second = site.study("second")
    pass_time(site, timedelta(days=1))
    site.study("third")
    size = site.retention().copied()[0].size_bytes
    monkeypatch.setattr("aicorona_desktop.core.retention.GB", size + size // 2)

    assert [one.study.study_instance_uid for one in site.retention(0, 1).preview()] == [first, second]
    monkeypatch.setattr("aicorona_desktop.core.retention.GB", size * 3)
    assert site.retention(0, 1).preview() == ()


def test_a_study_that_is_looked_at_again_in_its_week_may_be_kept_and_let_go(site: Site) -> None:
    uid = site.study("one")
    pass_time(site, OLD)
    rule = site.retention()
    rule.look()
    site.history.keep_images(uid, "AB")
    pass_time(site, timedelta(days=365))

    assert rule.look() == ()
    site.history.keep_images(uid, "AB", keep=False)
    assert rule.look() == ()  # it has its week again
    pass_time(site, GRACE)
    assert rule.look() == (uid,)


def test_a_removal_that_failed_half_way_goes_on_at_the_next_look(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    uid = site.study("one")
    pass_time(site, OLD)
    site.free = 0
    rule = site.retention()
    real, removed = Path.unlink, 0

    def unlink(path: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        if path.is_relative_to(site.originals.folder):
            removed += 1
            if removed == 4:
                raise PermissionError(13, "held by a virus scanner")
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    with pytest.raises(SpoolError):
        rule.look()
    assert site.copies() == 3
    assert [one.step for one in site.history.removals(uid)] == [Step.REMOVING]
    site.history.pin(uid, "AB")  # too late: what was begun is finished, not left half

    assert rule.look() == (uid,)
    assert site.copies() == 0
    last = site.history.removals(uid)[-1]
    assert (last.step, last.files) == (Step.REMOVED, 6)


CHILD = """
    import sys
    from pathlib import Path
    from aicorona_desktop.app.storage import Retention
    from aicorona_desktop.app.volume_cache import VolumeCache
    from aicorona_desktop.core.retention import Rule
    from aicorona_desktop.history.store import History
    from datetime import datetime, timedelta, UTC

    place = Path(sys.argv[1])
    later = lambda: datetime(2100, 1, 1, tzinfo=UTC)
    with History.open(place) as history:
        rule = Retention(history, VolumeCache(None), Rule(30), print, now=later, free=lambda: 0)
        print("ready", flush=True)
        rule.look()
        print("done", flush=True)
"""


@pytest.mark.parametrize("round_number", range(6))
def test_kill_9_while_images_are_removed_leaves_all_or_goes_on(site: Site, tmp_path: Path, round_number: int) -> None:
    """Whenever it dies: a study has all its copies, or says that they are going, and the next start ends it."""
    uids = [site.study(f"study {number}") for number in range(8)]
    place = site.history.path
    site.history.close()
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(place)], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    time.sleep(random.Random(round_number).uniform(0, 0.06))
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()

    with History.open(place, clock=site.clock) as history:
        folder = originals_beside(place)
        for uid in uids:
            steps = [one.step for one in history.removals(uid)]
            there = [one.path.exists() for one in history.files(uid)]
            if not steps:
                assert all(there)
            elif steps[-1] is Step.REMOVED:
                assert not any(there)
        assert history.broken_audit_row() is None
        rule = Retention(history, VolumeCache(None), Rule(), print, now=site.clock)
        rule.look()  # without any rule: what was begun is ended
        assert history.unfinished_removals(folder) == ()
        for uid in uids:
            gone = bool(history.removals(uid))
            assert all(one.path.exists() is not gone for one in history.files(uid))
            assert history.row(uid) is not None
    site.history = History.open(place, clock=site.clock)


def test_what_is_kept_on_the_disk_is_counted(site: Site) -> None:
    site.study("one")
    copy = site.history.backup()

    found = storage_of(site.history.path, site.volumes)

    assert found.originals_bytes == sum(len(SMALL.named("one").file(index)) for index in range(6))
    assert found.backups_bytes == copy.stat().st_size
    assert found.history_bytes >= site.history.path.stat().st_size
    assert 0 < found.free_bytes < found.disk_bytes


def test_a_rule_shorter_than_a_week_is_refused() -> None:
    for wrong in ({"keep_days": 3}, {"keep_days": -1}, {"keep_gb": -1}, {"cache_gb": -1}):
        with pytest.raises(SettingsError):
            Settings(**wrong)  # type: ignore[arg-type]
    assert Settings(keep_days=7, keep_gb=50).retention == Rule(7, 50)
