"""A disc through the whole street: copied first, seen while it is copied, scored when all of it is there."""

from __future__ import annotations

import hashlib
import io
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pycdlib
import pytest

from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core import events
from aicorona_desktop.core.discs import Phase
from aicorona_desktop.core.findings import Finding, Reason
from aicorona_desktop.core.imports import Fate
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.intake import disc
from aicorona_desktop.model.client import Scorer
from tests import phantom
from tests.intake.faulty_disc import FaultyDisc
from tests.street.bench import Bench


@pytest.fixture
def bench(
    reader: Reader, scorer: Scorer, tmp_path: Path, room: list[int], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bench]:
    monkeypatch.setattr(disc, "PAUSE_S", 0.01)
    monkeypatch.setattr(disc, "WAIT_S", 0.05)
    settings = Settings(quiet_time_s=0.3, poll_s=0.1)
    with Bench(reader, scorer, tmp_path, settings, resident=True, free_space=lambda: room[0]) as bench:
        yield bench


@pytest.fixture
def room() -> list[int]:
    """The free bytes of the disk: a test may put others there."""
    return [10**12]


@pytest.fixture
def faulty(tmp_path: Path) -> FaultyDisc:
    folder = tmp_path / "media" / "cd"
    phantom.chest().written_to(folder / "IMAGES")
    (folder / "AUTORUN.INF").write_text("[autorun]\nopen=viewer.exe\n")
    (folder / "VIEWER.EXE").write_bytes(b"MZ" + bytes(5000))
    return FaultyDisc(folder)


def tree(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(one.relative_to(folder)): (hashlib.sha256(one.read_bytes()).hexdigest(), one.stat().st_mtime_ns)
        for one in folder.rglob("*")
        if one.is_file()
    }


def test_a_disc_is_copied_scored_from_the_copies_and_left_as_it_was(bench: Bench, faulty: FaultyDisc) -> None:
    before = tree(faulty.root)

    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    summary = bench.wait_for(events.ImportDone).summary
    shutil.copytree(faulty.root, faulty.root.with_name("kept"))
    tree_after = tree(faulty.root)
    faulty.pull()  # nothing of it is needed any more
    final = bench.wait_for(events.FinalScore)

    assert tree_after == before
    assert summary.counts.images == len(list((faulty.away / "IMAGES").glob("*.dcm")))
    assert [told.progress.phase for told in bench.told(events.DiscProgress)][-1] is Phase.SAFE
    assert Reason.DISC_STILL_COPIED not in {one.reason for one in final.findings}
    files = bench.history.files(final.study_instance_uid)
    assert files
    assert all(hashlib.sha256(one.path.read_bytes()).hexdigest() == one.sha256 for one in files)
    assert not any(one.path.is_relative_to(faulty.root) for one in files)
    assert {sha256 for sha256, _ in bench.engine._originals.listing()} == {one.sha256 for one in files}  # no viewer


def test_while_a_disc_is_copied_its_study_is_in_the_list_and_not_scored(bench: Bench, faulty: FaultyDisc) -> None:
    faulty.pulled_at = 12
    uid = phantom.chest().study_instance_uid

    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    until(lambda: bench.told(events.DiscProgress) and bench.told(events.DiscProgress)[-1].progress.phase is Phase.AWAY)
    until(lambda: len(bench.history.files(uid)) >= 5)
    time.sleep(0.5)
    partly = bench.history.row(uid)
    scored = bench.told(events.FinalScore)
    with Reader() as eye:
        viewer = StudyReader(lambda: eye, VolumeCache(None))
        series = viewer.open(bench.history, uid).series[0]
        pictures = dict(viewer.shown_slices(series, range(5)))
    faulty.put_back()
    final = bench.wait_for(events.FinalScore)

    assert partly is not None
    assert partly.state is State.RECEIVED
    assert Reason.DISC_STILL_COPIED in {one.reason for one in partly.findings}
    assert not scored
    assert len(pictures) == 5
    assert not any(isinstance(one, Finding) for one in pictures.values())
    assert len(bench.history.files(uid)) == len(phantom.chest().slices)
    assert not {one.reason for one in final.findings} & {Reason.DISC_STILL_COPIED, Reason.IMPORT_STOPPED}
    assert faulty.order.count("IM0001.dcm") <= 1


def test_a_slice_that_cannot_be_read_is_named_and_its_study_warned_of(bench: Bench, faulty: FaultyDisc) -> None:
    name = sorted(one.name for one in (faulty.root / "IMAGES").iterdir())[4]
    faulty.bad[name] = range(2048 * 3, 2048 * 3 + 10)

    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    summary = bench.wait_for(events.ImportDone).summary
    bench.done()

    lost = [one for one in summary.files if one.fate is Fate.DAMAGED]
    assert [one.shown.rpartition("/")[2] for one in lost] == [name]
    assert str(lost[0].finding).startswith("The disc could not be read here: 2048 bytes are unreadable")
    row = bench.history.row(phantom.chest().study_instance_uid)
    assert row is not None
    assert Reason.FILES_REFUSED_BESIDE in {one.reason for one in row.findings}


def test_a_stopped_disc_keeps_what_is_read_and_says_that_slices_may_be_missing(
    bench: Bench, faulty: FaultyDisc
) -> None:
    faulty.pulled_at = 14
    number = bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    until(lambda: bench.told(events.DiscProgress) and bench.told(events.DiscProgress)[-1].progress.phase is Phase.AWAY)

    bench.engine.cancel_import(number)
    summary = bench.wait_for(events.ImportDone).summary
    until(lambda: bench.told(events.FinalScore) or bench.told(events.Unscored))

    assert summary.cancelled
    row = bench.history.row(phantom.chest().study_instance_uid)
    assert row is not None
    assert Reason.IMPORT_STOPPED in {one.reason for one in row.findings}


def test_the_next_import_of_a_stopped_disc_reads_only_what_is_left(bench: Bench, faulty: FaultyDisc) -> None:
    faulty.pulled_at = 14
    number = bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    until(lambda: bench.told(events.DiscProgress) and bench.told(events.DiscProgress)[-1].progress.phase is Phase.AWAY)
    bench.engine.cancel_import(number)
    bench.wait_for(events.ImportDone)
    faulty.put_back()
    copied = faulty.reads - 1
    faulty.order.clear()

    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    bench.wait_for(events.ImportDone, 2)

    assert copied + len(faulty.order) == len(phantom.chest().slices) + 1  # and the viewer's program
    bench.done()
    assert len(bench.history.files(phantom.chest().study_instance_uid)) == len(phantom.chest().slices)


CHILD = """
    import os, signal, sys
    from pathlib import Path
    from aicorona_desktop.core.settings import Settings
    from aicorona_desktop.dicom.client import Reader
    from aicorona_desktop.model.client import Scorer
    from aicorona_desktop.model.pack import default_pack
    from tests.intake.faulty_disc import FaultyDisc
    from tests.street.bench import Bench

    class Deadly(FaultyDisc):
        def pull(self):
            os.kill(os.getpid(), signal.SIGKILL)

    folder, disc, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    with Reader() as reader, Scorer(default_pack(), "cpu") as scorer:
        with Bench(reader, scorer, folder, Settings(), resident=True, free_space=lambda: 10**12) as bench:
            deadly = Deadly(disc, pulled_at=at)
            bench.engine.import_disc(deadly.medium, opened=deadly.opened)
            bench.done()
"""


@pytest.mark.parametrize("killed_at", [5, 16])
def test_a_program_that_is_killed_while_it_copies_a_disc_loses_and_doubles_nothing(
    reader: Reader, scorer: Scorer, faulty: FaultyDisc, tmp_path: Path, killed_at: int
) -> None:
    (faulty.root / "IMAGES" / "IM9999.dcm").write_bytes(b"damaged" * 100)  # names no study: its copy is nobody's
    chest = phantom.chest()
    child = [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path), str(faulty.root), str(killed_at)]
    assert subprocess.run(child, check=False, timeout=60).returncode == -signal.SIGKILL

    for number in range(2):  # and once more, when all of it is known
        with Bench(reader, scorer, tmp_path, Settings(), resident=True, free_space=lambda: 10**12) as bench:
            bench.engine.import_disc(faulty.medium, opened=faulty.opened)
            summary = bench.wait_for(events.ImportDone).summary
            bench.done()
            files = bench.history.files(chest.study_instance_uid)
            copies = {sha256 for sha256, _ in bench.engine._originals.listing()}
            assert bench.told(events.DiscProgress)[-1].progress.phase is Phase.SAFE

        assert len(files) == len({one.sha256 for one in files}) == len(chest.slices)
        assert all(hashlib.sha256(one.path.read_bytes()).hexdigest() == one.sha256 for one in files)
        assert copies - {one.sha256 for one in files} == {hashlib.sha256(b"damaged" * 100).hexdigest()}
        counts = summary.counts
        assert counts.images + counts.known == len(chest.slices)
        assert counts.known == len(chest.slices) if number else counts.known < len(chest.slices)
        assert [one.fate for one in summary.files if one.shown.endswith("IM9999.dcm")] == [Fate.NOT_DICOM]
    with Bench(reader, scorer, tmp_path, Settings(), resident=True) as bench:
        assert {sha256 for sha256, _ in bench.engine._originals.listing()} == {one.sha256 for one in files}


def test_another_import_goes_on_while_a_disc_is_away(bench: Bench, faulty: FaultyDisc, tmp_path: Path) -> None:
    faulty.pulled_at = 3
    other = phantom.chest().named("other").with_seed(7)
    other.written_to(tmp_path / "other")
    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    until(lambda: bench.told(events.DiscProgress) and bench.told(events.DiscProgress)[-1].progress.phase is Phase.AWAY)

    bench.engine.submit([tmp_path / "other"])
    final = bench.wait_for(events.FinalScore)

    assert final.study_instance_uid == other.study_instance_uid
    faulty.put_back()
    assert bench.engine.wait_until_idle(60)


def test_what_the_index_of_a_disc_names_in_vain_is_named(bench: Bench, shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cd"
    shutil.copytree(shared / "data" / "dicom" / "disc_chest_ct", folder)
    (folder / "DICOMDIR").rename(folder / "dicomdir")
    gone = folder / "PT000000" / "ST000000" / "SE000000" / "IM000005"
    gone.unlink()

    bench.engine.import_disc(FaultyDisc(folder).medium)
    summary = bench.wait_for(events.ImportDone).summary

    named = [one for one in summary.files if one.finding is not None and one.finding.reason is Reason.DICOMDIR_NAMED]
    assert [one.shown for one in named] == ["PT000000/ST000000/SE000000/IM000005"]
    index = [one for one in summary.files if one.shown == "dicomdir"]
    assert [one.finding.reason for one in index if one.finding] == [Reason.DICOMDIR_MISSING_FILES]


def test_a_disc_for_which_there_is_no_room_is_not_begun(bench: Bench, faulty: FaultyDisc, room: list[int]) -> None:
    room[0] = 512_000_000 + 1000

    bench.engine.import_disc(faulty.medium, opened=faulty.opened)
    summary = bench.wait_for(events.ImportDone).summary

    assert "no room for a copy of this disc" in summary.trouble
    assert faulty.reads == 0


def test_a_disc_image_gives_what_the_disc_gives(bench: Bench, shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "dicom" / "disc_chest_ct"
    image = tmp_path / "disc.iso"
    image.write_bytes(iso_of(root))

    bench.engine.submit([image])
    of_image = bench.wait_for(events.ImportDone).summary
    bench.engine.submit([root])
    of_folder = bench.wait_for(events.ImportDone, 2).summary

    assert of_image.counts.images
    assert of_folder.counts.known == of_image.counts.images + sum(
        1 for one in of_image.files if one.study_instance_uid and one.fate is not Fate.IMAGE
    )
    assert {one.shown for one in of_image.files} - {"disc.iso"} == {one.shown for one in of_folder.files}


def iso_of(root: Path) -> bytes:
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09")
    for one in sorted(root.rglob("*")):
        below = "/" + one.relative_to(root).as_posix()
        if one.is_dir():
            image.add_directory(below, rr_name=one.name, joliet_path=below)
        else:
            data = one.read_bytes()
            image.add_fp(io.BytesIO(data), len(data), f"{below}.;1", rr_name=one.name, joliet_path=below)
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def until(holds: object, seconds: float = 30.0) -> None:
    ends, waiting = time.monotonic() + seconds, threading.Event()
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < ends, "it did not happen in time"
        waiting.wait(0.02)
