"""The same image in files that differ only around it: one study, no conflict, no second score, over a restart too."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
)

from aicorona_desktop.app.versions import VersionsError, read_versions
from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core import events
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import Frame
from aicorona_desktop.core.imports import Fate
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import SourceKind, WatchedSource
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import ReaderError, answer_value
from aicorona_desktop.intake.media import Medium, MediumKind
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.receive.classes import file_head
from aicorona_desktop.receive.inbox import Inbox
from aicorona_desktop.triage.rescore import Agreement, verify
from tests import phantom
from tests.street.bench import Bench

CHEST = phantom.chest("sent on").with_localizer()
STUDY = CHEST.study_instance_uid
QUICK = replace(Settings(), quiet_time_s=0.3, poll_s=0.1)


@pytest.fixture
def start(reader: Reader, scorer: Scorer, cache: SliceCache, tmp_path: Path) -> Callable[[], Bench]:
    return lambda: Bench(reader, scorer, tmp_path, QUICK, resident=True, cache=cache)


@pytest.fixture
def bench(start: Callable[[], Bench], tmp_path: Path) -> Iterator[Bench]:
    """A study that came on a disc and is scored."""
    CHEST.written_to(tmp_path / "disc")
    with start() as bench:
        bench.engine.import_disc(Medium(tmp_path / "disc", MediumKind.DISC))
        bench.wait_for(events.FinalScore)
        bench.done()
        yield bench


def sent_on(data: bytes, syntax: UID | None = None) -> bytes:
    """Return the image as another program writes it on."""
    dataset = pydicom.dcmread(BytesIO(data))
    dataset.preamble = b"II*\0" + bytes(124)
    dataset.file_meta.ImplementationClassUID = UID("1.2.826.0.1.3680043.9.1")
    dataset.file_meta.ImplementationVersionName = "ANOTHER"
    dataset.file_meta.SourceApplicationEntityTitle = "PACS"
    if syntax in (RLELossless, JPEG2000Lossless):
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax is not None:
        dataset.file_meta.TransferSyntaxUID = syntax
    out = BytesIO()
    pydicom.dcmwrite(
        out,
        dataset,
        implicit_vr=dataset.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian,
        little_endian=True,
        enforce_file_format=True,
    )
    return out.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    (folder / "study").mkdir(parents=True)
    for name, data in files.items():
        (folder / "study" / Path(name).name).write_bytes(data)
    return folder


def all_sent_on(change: Callable[[bytes], bytes] = sent_on) -> dict[str, bytes]:
    return {name: change(data) for name, data in CHEST.files().items()}


def watch(bench: Bench, folder: Path, kind: SourceKind = SourceKind.FOLDER) -> events.ImportDone:
    count = len(bench.told(events.ImportDone))
    bench.engine.watch(WatchedSource(folder, "CT 1", kind=kind))
    told = bench.wait_for(events.ImportDone, count + 1)
    bench.done()
    return told


def row(bench: Bench) -> Row:
    [one] = bench.history.rows()
    assert one.study_instance_uid == STUDY
    return one


def stands_as_it_was(bench: Bench, images: int) -> None:
    assert row(bench).state is State.DONE
    assert Reason.UID_CONFLICT not in {one.reason for one in row(bench).findings}
    assert row(bench).slices_total == images
    assert len(bench.told(events.FinalScore)) <= 1
    assert len([one for one in bench.history.results(STUDY) if not one.score.preliminary]) == 1


def test_a_study_of_a_disc_that_comes_again_with_other_file_meta_is_known_and_stands(
    bench: Bench, start: Callable[[], Bench], tmp_path: Path
) -> None:
    images = len(CHEST.slices)
    first = {one.sha256 for one in bench.history.files(STUDY)}
    files = all_sent_on()

    summary = watch(bench, write(tmp_path / "in", files)).summary

    stands_as_it_was(bench, images)
    assert {one.fate for one in summary.files} == {Fate.KNOWN}
    assert len(summary.files) == len(files)
    assert {one.sha256 for one in bench.history.files(STUDY)} == first  # those that came first stand for the images
    later = {hashlib.sha256(data).hexdigest() for data in files.values()}
    same = {one.file.sha256 for one in bench.history.left_out(STUDY) if one.finding.reason is Reason.SAME_IMAGE}
    assert same == later
    assert all(path.is_file() for path in map(bench.engine._originals.path_of, first | later))
    with StudyReader() as viewer:
        shown = viewer.open(bench.history, STUDY)
    disc = {hashlib.sha256(data).hexdigest() for data in CHEST.files().values()}
    assert {one.file.sha256 for series in shown.series for one in series.instances} == disc > first
    with pytest.raises(VersionsError):
        read_versions(bench.history, STUDY)


def test_after_a_restart_and_a_late_slice_the_answer_is_the_same(
    bench: Bench, start: Callable[[], Bench], tmp_path: Path
) -> None:
    watch(bench, write(tmp_path / "in", all_sent_on()))
    bench.engine.stop(10)
    bench.history.close()

    with start() as again:
        one = next(iter(CHEST.files().values()))
        again.engine.submit([write(tmp_path / "once more", {"one.dcm": sent_on(sent_on(one) + b"", RLELossless)})])
        again.done()
        stands_as_it_was(again, len(CHEST.slices))
        again.engine.score_again(STUDY)
        again.done()
        assert row(again).state is State.DONE
        assert row(again).slices_total == len(CHEST.slices)
        assert Reason.UID_CONFLICT not in {one.reason for one in row(again).findings}


def test_a_score_of_the_first_files_is_proved_beside_the_later_ones(
    bench: Bench, reader: Reader, scorer: Scorer, tmp_path: Path
) -> None:
    watch(bench, write(tmp_path / "in", all_sent_on()))
    assert verify(STUDY, bench.history, reader, scorer).agreement is Agreement.IDENTICAL


def test_a_changed_pixel_is_a_conflict_and_only_that_image_and_with_both_its_versions(
    bench: Bench, tmp_path: Path
) -> None:
    files = all_sent_on()
    name = sorted(files)[8]
    changed = bytearray(files[name])
    changed[-100] ^= 1

    watch(bench, write(tmp_path / "in", files | {name: bytes(changed), "again.dcm": files[name]}))
    bench.wait_for(events.Unscored)

    assert row(bench).state is State.UNSUITABLE
    [conflict] = [one for one in row(bench).findings if one.reason is Reason.UID_CONFLICT]
    assert conflict.found == 1
    [image] = read_versions(bench.history, STUDY)
    original = hashlib.sha256(CHEST.files()[name]).hexdigest()
    assert image.seen == (original, hashlib.sha256(changed).hexdigest())

    bench.history.choose_version(STUDY, 0, {image.identity: image.seen}, why="sent again", initials="AB")
    bench.engine.settle_identity(STUDY)
    bench.done()
    assert row(bench).state is State.DONE
    assert {one.sha256 for one in bench.history.files(STUDY)} >= {original}


def test_a_changed_tag_is_a_conflict(bench: Bench, tmp_path: Path) -> None:
    files = {"one.dcm": sent_on(CHEST.with_tags(SeriesDescription="CORRECTED").file(8))}
    bench.engine.submit([write(tmp_path / "in", files)])
    bench.done()
    assert row(bench).state is State.UNSUITABLE


def test_what_the_receiver_gets_of_a_study_that_is_there_is_known(bench: Bench, tmp_path: Path) -> None:
    """The receiver writes the file meta header itself: constant, and its own."""
    inbox = Inbox(tmp_path / "inbox")
    for data in CHEST.files().values():
        sent = pydicom.dcmread(BytesIO(data))
        head = file_head(sent.SOPClassUID, sent.SOPInstanceUID, sent.file_meta.TransferSyntaxUID)
        assert head is not None
        arriving = inbox.begin(head)
        arriving.write(data[_data_set_offset(data) :])
        arriving.keep()

    summary = watch(bench, inbox.folder, SourceKind.RECEIVER).summary

    stands_as_it_was(bench, len(CHEST.slices))
    assert {one.fate for one in summary.files} == {Fate.KNOWN}
    assert not [one for one in inbox.folder.iterdir() if one.suffix == ".dcm"]  # taken: safe as copies of ours


def test_reports_that_come_again_with_other_meta_dont_score_the_study_anew(bench: Bench, tmp_path: Path) -> None:
    report = pydicom.dcmread(BytesIO(CHEST.file(3)))
    report.Modality = "SR"
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.88.11")
    report.SOPInstanceUID = report.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    del report.PixelData
    out = BytesIO()
    report.save_as(out, enforce_file_format=True)
    bench.engine.submit([write(tmp_path / "first", {"sr.dcm": out.getvalue()})])
    bench.done()
    scores = len(bench.history.results(STUDY))

    bench.engine.submit([write(tmp_path / "later", {"sr.dcm": sent_on(out.getvalue())})])
    bench.done()

    assert len(bench.history.results(STUDY)) == scores
    assert {one.fate for one in bench.told(events.ImportDone)[-1].summary.files} == {Fate.KNOWN}


@pytest.mark.parametrize(
    "syntax", [None, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless]
)
def test_the_content_is_the_same_in_every_encoding_that_loses_nothing(reader: Reader, syntax: UID | None) -> None:
    """Source: DICOM PS3.5 annex A."""
    data = CHEST.file(8)
    assert pydicom.dcmread(BytesIO(data)).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    other, changed = sent_on(data, syntax), sent_on(CHEST.with_seed(7).file(8), syntax)
    assert other != data
    contents = dict(reader.contents((one, one, hashlib.sha256(one).hexdigest()) for one in (data, other, changed)))
    assert contents[data] == contents[other] != contents[changed]
    assert isinstance(contents[data], str)


def test_what_is_no_dicom_has_no_content(reader: Reader) -> None:
    data = os.urandom(1000)
    [(_, answer)] = reader.contents([(None, data, hashlib.sha256(data).hexdigest())])
    assert isinstance(answer, Finding)
    assert answer.outcome is Outcome.REFUSED


@pytest.mark.parametrize("digest", ["", "ab", "g" * 64, "A" * 64, 7])
def test_a_digest_that_no_sound_reader_gives_is_not_taken(digest: object) -> None:
    with pytest.raises(ReaderError):
        answer_value(Frame(80, 1, (0.0, (digest,))))  # type: ignore[arg-type]


def _data_set_offset(data: bytes) -> int:
    return 144 + int.from_bytes(data[140:144], "little")
