"""Decoded slices that are kept: the very pixels of the files, never those of other files, and never relied upon."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.app import volume_cache
from aicorona_desktop.app.storage import ROOM_WANTED_BYTES, RoomyDisk
from aicorona_desktop.app.viewing import StudyReader, ViewedSeries
from aicorona_desktop.app.volume_cache import ShownSlice, VolumeCache
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.triage.reading import FileReading
from tests import phantom

CHEST = phantom.chest("kept").with_matrix(64).with_slices(12, 20.0)
UID = CHEST.study_instance_uid
DAMAGES = ("flip", "cut", "empty", "other")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    with History.open(tmp_path / "history.sqlite") as made:
        yield made


@pytest.fixture
def cache(tmp_path: Path) -> VolumeCache:
    return VolumeCache(tmp_path / "history.sqlite.cache")


def receive(history: History, reader: Reader, folder: Path) -> None:
    instances = FileReading(reader, Spool(folder.parent / "spool")).read([folder]).instances
    for study in studies_of(instances):
        history.record_received(study)


def looked_at(
    history: History, reader: Reader, cache: VolumeCache
) -> tuple[ViewedSeries, dict[int, ShownSlice | Finding]]:
    """Look at all slices with a viewer that knows nothing yet."""
    viewer = StudyReader(lambda: reader, cache)
    series = viewer.open(history, UID).series[0]
    return series, dict(viewer.shown_slices(series, range(len(series.instances))))


class NoFiles:
    """Stands for a reader process that must not be asked for anything."""

    def examine_all(self, items: Iterator[object]) -> Iterator[object]:
        assert not list(items), "headers were read again"
        return iter(())

    def show_slices(self, items: Iterator[object]) -> Iterator[object]:
        raise AssertionError("pixels were read again")


def without_files(history: History, cache: VolumeCache) -> dict[int, ShownSlice | Finding]:
    """Look at all slices where no file may be read: neither headers nor pixels."""
    viewer = StudyReader(NoFiles, cache)  # type: ignore[arg-type]
    series = viewer.open(history, UID).series[0]
    return dict(viewer.shown_slices(series, range(len(series.instances))))


def same(one: ShownSlice | Finding, other: ShownSlice | Finding) -> bool:
    assert isinstance(one, ShownSlice)
    assert isinstance(other, ShownSlice)
    return one.pixels.dtype == other.pixels.dtype and bool((one.pixels == other.pixels).all())


def test_a_study_that_was_looked_at_is_shown_again_without_reading_a_file(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    _, first = looked_at(history, reader, cache)

    again = without_files(history, cache)

    assert sorted(again) == list(range(12))
    assert all(same(first[index], again[index]) for index in again)
    for index in again:
        shown = again[index]
        assert isinstance(shown, ShownSlice)
        np.testing.assert_array_equal(shown.pixels, CHEST.hounsfield(index))
    assert {one.suffix for one in cache.folder.iterdir()} == {".volume", ".headers"}  # type: ignore[union-attr]
    if os.name != "nt":
        assert {one.stat().st_mode & 0o777 for one in cache.folder.iterdir()} == {0o600}  # type: ignore[union-attr]


def test_overlays_are_kept_with_their_slice(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    instances = StudyReader(lambda: reader).open(history, UID).series[0].instances[:1]
    bits = np.zeros((16, 24), np.uint8)
    bits[3, 5] = 1
    pixels = np.arange(16 * 24, dtype=np.int16).reshape(16, 24)
    left_out = Finding(Outcome.WARNED, Reason.OVERLAY_LEFT_OUT)
    writing = cache.writing(UID, instances, 1000)
    assert writing is not None
    writing.add(0, ShownSlice(pixels, np.packbits(bits, axis=1), left_out))
    assert writing.finish()

    volume = cache.volume(UID, instances)
    assert volume is not None
    with volume:
        kept = volume.slice(0)

    assert kept is not None
    assert kept.overlay_bits is not None
    np.testing.assert_array_equal(kept.pixels, pixels)
    np.testing.assert_array_equal(kept.overlay_bits, bits.astype(bool))
    assert kept.overlay_left_out == left_out


def test_one_file_more_is_another_study_and_nothing_old_is_shown(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.without_slice(5).written_to(tmp_path / "in"))
    before, _ = looked_at(history, reader, cache)
    (tmp_path / "late").mkdir()
    (tmp_path / "late" / "late.dcm").write_bytes(CHEST.file(5))
    receive(history, reader, tmp_path / "late")

    volume = cache.volume(UID, before.instances)
    assert volume is not None
    with volume:
        assert volume.slice(10) is not None
    series, shown = looked_at(history, reader, cache)

    assert len(series.instances) == 12
    for index, one in shown.items():
        assert isinstance(one, ShownSlice)
        np.testing.assert_array_equal(one.pixels, CHEST.hounsfield(index))


def test_the_same_slices_with_other_bytes_have_another_name(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    series, _ = looked_at(history, reader, cache)
    other = FileReading(reader, Spool(tmp_path / "spool")).read(
        [CHEST.with_ground_glass(0.9).written_to(tmp_path / "other")]
    )
    [study] = studies_of(other.instances)

    assert [one.identity for one in study.series[0].instances] == [one.identity for one in series.instances]
    assert cache.volume(UID, study.series[0].instances) is None
    assert cache.volume(UID, tuple(reversed(series.instances))) is None


def test_another_version_of_the_program_decodes_anew(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    series, _ = looked_at(history, reader, cache)
    monkeypatch.setattr(volume_cache, "__version__", "99.0")

    assert cache.volume(UID, series.instances) is None
    assert cache.examined(UID, [one.file.sha256 for one in series.instances]) is None


@pytest.mark.parametrize("spoiling", [f"{one} {of}" for one in DAMAGES for of in ("volume", "headers")])
def test_what_is_damaged_goes_and_the_files_are_read(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path, spoiling: str
) -> None:
    damage, kind = spoiling.split()
    suffix = f".{kind}"
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    _, first = looked_at(history, reader, cache)
    [file] = cache.folder.glob(f"*{suffix}")  # type: ignore[union-attr]
    data = bytearray(file.read_bytes())
    middle = len(data) // 2
    data[middle] ^= 0x10
    spoilt = {"flip": bytes(data), "cut": bytes(data[:middle]), "empty": b"", "other": b"x" * 4000}[damage]
    file.write_bytes(spoilt)

    _, again = looked_at(history, reader, cache)

    assert sorted(again) == list(range(12))
    assert all(same(first[index], again[index]) for index in again)
    _, third = looked_at(history, reader, cache)
    assert all(same(first[index], third[index]) for index in third)
    assert file.read_bytes() != spoilt


def test_what_is_cut_short_leaves_nothing(history: History, reader: Reader, cache: VolumeCache, tmp_path: Path) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    viewer = StudyReader(lambda: reader, cache)
    series = viewer.open(history, UID).series[0]

    slices = viewer.shown_slices(series, range(12))
    next(slices)
    slices.close()  # type: ignore[attr-defined]
    assert dict(viewer.shown_slices(series, range(3)))  # too many are missing

    assert [one.suffix for one in cache.folder.iterdir()] == [".headers"]  # type: ignore[union-attr]


def test_slices_that_the_viewer_had_already_are_read_for_the_cache(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    viewer = StudyReader(lambda: reader, cache)
    series = viewer.open(history, UID).series[0]

    assert sorted(dict(viewer.shown_slices(series, [*range(6), *range(7, 12)]))) == [*range(6), *range(7, 12)]

    volume = cache.volume(UID, series.instances)
    assert volume is not None
    with volume:
        shown = volume.slice(6)
    assert shown is not None
    np.testing.assert_array_equal(shown.pixels, CHEST.hounsfield(6))


def test_a_series_with_a_slice_that_can_t_be_read_is_not_kept(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    folder = CHEST.written_to(tmp_path / "in")
    receive(history, reader, folder)
    viewer = StudyReader(lambda: reader, cache)
    series = viewer.open(history, UID).series[0]
    (folder / "IM0004.dcm").unlink()

    shown = dict(viewer.shown_slices(series, range(12)))

    assert [index for index, one in shown.items() if isinstance(one, Finding)] == [4]
    assert {one.suffix for one in cache.folder.iterdir()} <= {".headers"}  # type: ignore[union-attr]


def filled(cache: VolumeCache, name: str, size: int, age_s: float) -> Path:
    assert cache.folder is not None
    cache.folder.mkdir(exist_ok=True)
    path = cache.folder / f"{name}.volume"
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_what_was_used_longest_ago_goes_first(cache: VolumeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    old, middle, new = (filled(cache, name, 1000, age) for name, age in (("a", 300), ("b", 200), ("c", 100)))
    cache.most_gb = 2500 / volume_cache.GB

    assert cache.make_room() == 1000
    assert [one.exists() for one in (old, middle, new)] == [False, True, True]
    assert cache.make_room(500) == 1000
    assert [one.exists() for one in (middle, new)] == [False, True]
    assert cache.clear() == 1000
    assert cache.size_bytes == 0


def test_a_tenth_of_the_disk_is_the_most(cache: VolumeCache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_cache, "_disk_bytes", lambda _: 50 * volume_cache.GB)

    assert cache.most_bytes == 5 * volume_cache.GB
    cache.most_gb = 2
    assert cache.most_bytes == 2 * volume_cache.GB


def test_kept_slices_make_room_before_intake_would_pause(cache: VolumeCache, tmp_path: Path) -> None:
    files = [filled(cache, name, 400_000, age) for name, age in (("a", 300), ("b", 200), ("c", 100))]
    disk = ROOM_WANTED_BYTES + 900_000  # free with an empty cache

    def measure(_folder: Path) -> int:
        return disk - sum(one.stat().st_size for one in files if one.exists())

    free = RoomyDisk(tmp_path, cache, measure)()

    assert free >= ROOM_WANTED_BYTES
    assert [one.exists() for one in files] == [False, True, True]


def test_a_study_is_forgotten_as_a_whole_and_others_stay(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    looked_at(history, reader, cache)
    other = filled(cache, "0123456789abcdef-0", 10, 0)

    cache.forget(UID)

    assert list(cache.folder.iterdir()) == [other]  # type: ignore[union-attr]


def test_without_room_nothing_is_kept_and_all_is_shown(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    monkeypatch.setattr(volume_cache, "free_bytes", lambda _: 600_000_000)

    _, shown = looked_at(history, reader, cache)

    assert len(shown) == 12
    assert cache.size_bytes == 0


def test_a_full_disk_in_the_middle_costs_the_cache_alone(
    history: History, reader: Reader, cache: VolumeCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive(history, reader, CHEST.written_to(tmp_path / "in"))
    written = []

    def full(stream: object, frame: object) -> None:
        written.append(frame)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(volume_cache, "write_frame", full)
    _, shown = looked_at(history, reader, cache)

    assert len(shown) == 12
    assert written
    assert list(cache.folder.iterdir()) == []  # type: ignore[union-attr]


def test_what_an_earlier_session_has_begun_is_swept(cache: VolumeCache) -> None:
    assert cache.folder is not None
    cache.folder.mkdir()
    (cache.folder / "x.volume.0011.part").write_bytes(b"x")
    kept = filled(cache, "y", 5, 0)

    cache.sweep()

    assert list(cache.folder.iterdir()) == [kept]
