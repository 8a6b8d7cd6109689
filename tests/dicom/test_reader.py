from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import Frame
from aicorona_desktop.dicom.client import Reader, ReaderLimits
from aicorona_desktop.dicom.protocol import (
    Answer,
    ArchiveMember,
    Examined,
    ReaderError,
    SliceRead,
    answer_frames,
    answer_value,
    field_of,
)
from tests.dicom.ct_files import ct_file, sha256

MARK = b"AICORONA TEST FAULT "  # what the reader obeys when it is started for tests
SHORT = ReaderLimits(slice_s=0.5, file_s=0.5, retry_s=0.3)
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="these walls are Linux's")


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    """A reader that misbehaves on demand."""
    with Reader(arguments=["--allow-test-faults"]) as reader:
        yield reader


@pytest.fixture(scope="module")
def touchy_reader() -> Iterator[Reader]:
    """One that gives a file no second chance."""
    with Reader(ReaderLimits(strikes=1), ["--allow-test-faults"]) as reader:
        yield reader


@pytest.fixture
def hasty_reader() -> Iterator[Reader]:
    """One with short deadlines."""
    with Reader(SHORT, ["--allow-test-faults"]) as reader:
        yield reader


def fault(what: str) -> bytes:
    return MARK + what.encode()


def examined(reader: Reader, content: bytes) -> Examined:
    return reader.examine(content, sha256(content))


def reason_of(answer: Examined | SliceRead | Finding) -> Reason | None:
    finding = answer.finding if isinstance(answer, Examined) else answer
    return finding.reason if isinstance(finding, Finding) else None


# --- a reader that dies, hangs or lies ---


def test_a_file_that_stops_the_reader_three_times_is_set_aside(reader: Reader) -> None:
    before = reader.restarts

    answer = examined(reader, fault("crash"))

    assert answer.finding == Finding(Outcome.REFUSED, Reason.STOPPED_THE_READER, found=3)
    assert answer.headers == ()
    assert reader.restarts == before + 3
    assert examined(reader, fault("crash")).finding == answer.finding
    assert reader.restarts == before + 3


@pytest.mark.parametrize("what", ["abort", "close", "garbage", "frame request", "frame reason"])
def test_a_reader_that_ends_or_lies_is_replaced(touchy_reader: Reader, what: str) -> None:
    before = touchy_reader.restarts

    answer = examined(touchy_reader, fault(what))

    assert answer.finding == Finding(Outcome.REFUSED, Reason.STOPPED_THE_READER, found=1)
    assert touchy_reader.restarts == before + 1
    assert examined(touchy_reader, ct_file()).headers


@pytest.mark.parametrize("what", ["spin", "sleep 0.9"])
def test_a_file_that_takes_too_long_is_tried_once_more_and_then_refused(hasty_reader: Reader, what: str) -> None:
    answer = examined(hasty_reader, fault(what))

    assert reason_of(answer) is Reason.READER_TIMEOUT
    assert hasty_reader.restarts == 2
    hasty_reader.limits = ReaderLimits()
    assert examined(hasty_reader, ct_file(PatientID="NEXT")).patient_id == "NEXT"


def test_lateness_counts_as_a_death(hasty_reader: Reader) -> None:
    examined(hasty_reader, fault("sleep 60"))

    assert reason_of(examined(hasty_reader, fault("sleep 60"))) is Reason.STOPPED_THE_READER
    assert hasty_reader.restarts == 3


def test_what_a_library_prints_does_not_disturb_the_frames(reader: Reader) -> None:
    before = reader.restarts

    assert reason_of(examined(reader, fault("print"))) is Reason.NOT_DICOM

    assert reader.restarts == before


@pytest.mark.parametrize("what", ["panic", "eat"])
def test_panics_and_full_memory_cost_the_file_alone(reader: Reader, what: str) -> None:
    before = reader.restarts

    answer = examined(reader, fault(what))

    assert reason_of(answer) is Reason.READER_FAILED
    assert examined(reader, ct_file()).headers
    assert reader.restarts == before


def test_a_panic_answers_every_frame_that_was_asked_for(reader: Reader) -> None:
    answers = list(reader.read_slices([(0, fault("panic"), "5" * 64, (0, 1, 2))]))

    assert [(frame, reason_of(answer)) for _, frame, answer in answers] == [
        (frame, Reason.READER_FAILED) for frame in range(3)
    ]


def test_other_files_are_not_blamed_for_a_death_among_them(touchy_reader: Reader) -> None:
    contents = [ct_file(PatientID="A"), ct_file(PatientID="B"), fault("crash 2"), ct_file(PatientID="C")]

    answers = list(
        touchy_reader.examine_all((index, content, sha256(content)) for index, content in enumerate(contents))
    )

    assert [key for key, _ in answers] == [0, 1, 2, 3]
    assert [answer.patient_id for _, answer in answers] == ["A", "B", "", "C"]
    assert reason_of(answers[2][1]) is Reason.STOPPED_THE_READER


def test_slices_go_on_after_a_death(touchy_reader: Reader) -> None:
    good = ct_file(np.full((32, 32), 7, np.int16))
    items = [("a", good, sha256(good), (0,)), ("b", fault("crash"), "0" * 64, (0, 1)), ("c", good, "1" * 64, (0,))]

    answers = list(touchy_reader.read_slices(items))

    assert [(key, frame) for key, frame, _ in answers] == [("a", 0), ("b", 0), ("b", 1), ("c", 0)]
    assert [reason_of(answer) for _, _, answer in answers] == [None, *[Reason.STOPPED_THE_READER] * 2, None]


def test_after_a_death_the_waiting_process_takes_over() -> None:
    content = ct_file()
    with Reader(ReaderLimits(strikes=1), ["--allow-test-faults"]) as reader:
        list(reader.examine_all((None, content, sha256(content)) for _ in range(60)))
        waiting = reader.waiting_process_id

        examined(reader, fault("crash"))

        assert waiting is not None
        assert reader.process_id == waiting
        assert reader.restarts == 1


def test_no_file_is_blamed_for_a_reader_that_died_idle(touchy_reader: Reader) -> None:
    examined(touchy_reader, b"")
    before = touchy_reader.restarts
    os.kill(touchy_reader.process_id, signal.SIGTERM)
    time.sleep(0.3)

    answer = examined(touchy_reader, ct_file(PatientID="NEXT"))

    assert answer.patient_id == "NEXT"
    assert touchy_reader.restarts == before + 1


def test_many_deaths_in_a_short_time_are_trouble() -> None:
    with Reader(ReaderLimits(deaths=2, strikes=2), ["--allow-test-faults"]) as reader:
        assert not reader.struggling

        examined(reader, fault("crash"))

        assert reader.struggling


def test_a_reader_that_has_read_enough_is_replaced_without_anybody_noticing() -> None:
    content = ct_file()
    with Reader(ReaderLimits(files=4)) as reader:
        answers = list(reader.examine_all((index, content, sha256(content)) for index in range(13)))

        assert [key for key, answer in answers if answer.headers] == list(range(13))
        assert reader.restarts == 0


def test_a_reader_outlives_the_thread_that_started_it() -> None:
    readers: list[Reader] = []
    thread = threading.Thread(target=lambda: readers.append(Reader()))
    thread.start()
    thread.join()
    (reader,) = readers
    with reader:
        assert examined(reader, ct_file()).headers
        assert reader.restarts == 0


def test_a_reader_that_cannot_start_says_so() -> None:
    with Reader(arguments=["--no-such-option"]) as reader, pytest.raises(ReaderError, match="could not be started"):
        examined(reader, ct_file())


# --- order and size ---


def test_answers_keep_their_order_while_requests_run_ahead(reader: Reader) -> None:
    contents = [ct_file(PatientID=f"P{index}") for index in range(40)]
    taken: list[int] = []

    def items() -> Iterator[tuple[int, bytes, str]]:
        for index, content in enumerate(contents):
            taken.append(index)
            yield index, content, sha256(content)

    ahead = [len(taken) - index for index, _ in reader.examine_all(items())]

    answers = list(reader.examine_all(items()))
    assert [answer.patient_id for _, answer in answers] == [f"P{index}" for index in range(40)]
    assert max(ahead) == reader.limits.in_flight


def test_two_questions_may_be_asked_by_turns(reader: Reader) -> None:
    contents = [ct_file(np.full((32, 32), index, np.int16)) for index in range(5)]
    headers = reader.examine_all((index, content, sha256(content)) for index, content in enumerate(contents))
    slices = reader.read_slices((index, content, sha256(content), (0,)) for index, content in enumerate(contents))

    for (key, answer), (other, _, read) in zip(headers, slices, strict=True):
        assert key == other
        assert answer.headers
        assert isinstance(read, SliceRead)
        assert read.hounsfield[0, 0] == key


def test_two_threads_get_their_own_answers(reader: Reader) -> None:
    seen: dict[str, list[str]] = {"A": [], "B": []}

    def ask(name: str) -> None:
        contents = [ct_file(PatientID=f"{name}{index}") for index in range(30)]
        answers = reader.examine_all((index, content, sha256(content)) for index, content in enumerate(contents))
        seen[name] = [answer.patient_id for _, answer in answers]

    threads = [threading.Thread(target=ask, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert seen == {name: [f"{name}{index}" for index in range(30)] for name in seen}


def test_a_question_that_nobody_waits_for_does_not_disturb_the_next(reader: Reader) -> None:
    content = ct_file(PatientID="OLD")
    next(iter(reader.examine_all((index, content, sha256(content)) for index in range(20))))

    assert examined(reader, ct_file(PatientID="NEW")).patient_id == "NEW"


def test_a_file_larger_than_a_frame_is_sent_in_parts() -> None:
    stored = np.zeros((4096, 4096), np.int16)
    stored[-1, -1] = 5
    content = ct_file(stored) + bytes(40 * 1024 * 1024)
    with Reader() as reader:
        answer = examined(reader, content)
        ((_, _, read),) = reader.read_slices([(0, content, sha256(content), (0,))])

    assert [finding.reason for finding in answer.headers[0].findings] == [Reason.TRAILING_BYTES]
    assert isinstance(read, SliceRead)
    assert read.hounsfield[-1, -1] == 5


def test_a_file_over_the_limit_is_refused_without_being_sent(reader: Reader) -> None:
    answer = examined(reader, bytes(257 * 1024 * 1024))

    assert reason_of(answer) is Reason.TOO_LARGE_FILE


def test_nothing_is_asked_when_no_frame_is_wanted(reader: Reader) -> None:
    assert list(reader.read_slices([(0, b"", "", ())])) == []


# --- what the client takes from a reader ---


@pytest.mark.parametrize(
    "fields",
    [
        (),
        (0.0,),
        ("0", ((), None, "", "", "")),
        (0.0, ((), None, "", "", "")),  # neither headers nor a finding
        (0.0, ((), ("REFUSED", "EMPTY_FILE", None, None, ""), "../..", "", "")),
        (0.0, ((), ("REFUSED", "EMPTY_FILE", None, None, "x" * 65), "", "", "")),
        (0.0, ((), ("REFUSED", "EMPTY_FILE", True, None, ""), "", "", "")),
        (0.0, ((), ("refused", "EMPTY_FILE", None, None, ""), "", "", "")),
        (0.0, ((), ("REFUSED", "EMPTY_FILE", float("inf"), None, ""), "", "", "")),
        (0.0, ((), ("REFUSED", "EMPTY_FILE", None, None, ""), "", "", "x" * 5000)),
        (0.0, ((("a",),), None, "", "", "")),
    ],
)
def test_fields_that_no_sound_reader_sends_are_an_error(fields: tuple[object, ...]) -> None:
    with pytest.raises(ReaderError):
        answer_value(Frame(Answer.EXAMINED, 1, fields))  # type: ignore[arg-type]


def test_headers_that_contradict_each_other_are_an_error(reader: Reader) -> None:
    answer = examined(reader, ct_file())
    (frame,) = answer_frames(1, 0.0, answer)
    assert answer_value(frame) == (0.0, answer)
    twice = Examined(answer.headers * 2, None, "1", "2", "")

    with pytest.raises(ReaderError, match="cannot be"):
        answer_value(Frame(Answer.EXAMINED, 1, (0.0, field_of(twice))))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((15, 40), np.int16),
        np.zeros((16, 4097), np.int16),
        np.zeros((40, 40), np.uint16),
        np.zeros(40, np.int16),
    ],
)
def test_slices_of_an_impossible_form_are_an_error(array: np.ndarray) -> None:
    with pytest.raises(ReaderError):
        answer_value(Frame(Answer.SLICE, 1, (0.0, (array, ()))))


# --- walls ---


@LINUX
def test_the_reader_names_the_walls_around_it(reader: Reader) -> None:
    examined(reader, b"")

    assert {"limits", "dies-with-parent", "no-new-privileges"} <= set(reader.walls)


@LINUX
@pytest.mark.parametrize("what", ["open", "write", "socket", "fork", "execute", "signal"])
def test_the_reader_can_open_no_file_no_socket_and_start_no_process(reader: Reader, what: str) -> None:
    if not {"landlock", "seccomp"} <= set(reader.walls):
        pytest.skip("this kernel has no such walls")

    answer = examined(reader, fault(f"try {what}"))

    assert answer.finding is not None
    assert answer.finding.found in {errno.EPERM, errno.EACCES}


@LINUX
def test_memory_stays_under_its_limit(reader: Reader) -> None:
    examined(reader, fault("eat"))

    status = Path(f"/proc/{reader.process_id}/status").read_text()
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmPeak"))
    assert peak <= 1536 * 1024


def test_faults_are_out_of_reach_in_an_ordinary_reader() -> None:
    with Reader() as reader:
        assert reason_of(examined(reader, fault("crash"))) is Reason.NOT_DICOM
        assert reader.restarts == 0


@LINUX
def test_closing_leaves_no_process_behind() -> None:
    reader = Reader()
    examined(reader, ct_file())
    pid = reader.process_id

    reader.close()

    assert not Path(f"/proc/{pid}").exists()


# --- discs and archives ---


def zipped(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def listed(reader: Reader, content: bytes) -> tuple[ArchiveMember, ...]:
    members = reader.archive(content, sha256(content))
    assert isinstance(members, tuple)
    return members


def test_an_archive_is_listed_and_its_members_are_read(reader: Reader) -> None:
    one, other = ct_file(PatientID="A"), b"text"

    members = listed(reader, zipped(one=one, other=other))

    assert [(member.name, member.size_bytes) for member in members] == [("one", len(one)), ("other", 4)]
    assert [reader.archive_member(member) for member in members] == [one, other]


def test_an_archive_outlives_the_reader_that_listed_it(touchy_reader: Reader) -> None:
    (member,) = listed(touchy_reader, zipped(one=b"content"))
    before = touchy_reader.restarts
    examined(touchy_reader, fault("crash 3"))

    assert touchy_reader.restarts > before
    assert touchy_reader.archive_member(member) == b"content"


def test_an_archive_outlives_a_reader_that_has_read_enough() -> None:
    with Reader(ReaderLimits(files=3)) as reader:
        members = listed(reader, zipped(**{f"m{index}": bytes([index]) for index in range(8)}))

        assert [reader.archive_member(member) for member in members] == [bytes([index]) for index in range(8)]


def test_a_large_member_comes_in_parts() -> None:
    content = np.random.default_rng(3).integers(0, 200, 2 * 1024 * 1024, np.uint8).tobytes() * 17
    with Reader() as reader:
        (member,) = listed(reader, zipped(large=content))

        assert reader.archive_member(member) == content


def test_a_damaged_archive_is_refused(reader: Reader) -> None:
    content = zipped(one=b"content")[:-10]

    answer = reader.archive(content, sha256(content))

    assert isinstance(answer, Finding)
    assert answer.outcome is Outcome.REFUSED


def test_without_an_archive_there_is_no_member(reader: Reader) -> None:
    with pytest.raises(ReaderError, match="No archive"):
        reader.archive_member(ArchiveMember(0, "one", 1))


def test_a_real_disc_directory_names_its_files(reader: Reader, shared: Path) -> None:
    content = (shared / "data/dicom/disc_chest_ct/DICOMDIR").read_bytes()

    directory = reader.disc_directory(content, sha256(content))

    files = {path.name for path in (shared / "data/dicom/disc_chest_ct").rglob("*") if path.is_file()}
    assert {file_id[-1] for file_id in directory.file_ids} == files - {"DICOMDIR"}


def test_a_disc_directory_that_stops_the_reader_is_only_a_missing_hint(touchy_reader: Reader) -> None:
    directory = touchy_reader.disc_directory(fault("crash 4"), "4" * 64)

    assert directory.file_ids == ()
    assert [finding.reason for finding in directory.findings] == [Reason.DICOMDIR_UNREADABLE]
    assert directory.findings[0].outcome is Outcome.WARNED
