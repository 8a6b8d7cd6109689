"""The disc directory: a hint that can neither lead off the disc nor stop the reader."""

from __future__ import annotations

import csv
import random
import struct
from pathlib import Path

import pytest

from aicorona_desktop.core.findings import Outcome, Reason
from aicorona_desktop.dicom.child import dicomdir
from aicorona_desktop.dicom.child.dicomdir import directory

GOOD = ["DICOM\\IM1", "DICOM\\IM2", "DICOM\\IM3"]


def element(tag: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value


def record(file_id: str | None, following: int, lower: int) -> bytes:
    body = element(0x00041400, "UL", struct.pack("<I", following)) + element(0x00041420, "UL", struct.pack("<I", lower))
    body += element(0x00041430, "CS", b"IMAGE" if file_id is not None else b"SERIES")
    body += b"" if file_id is None else element(0x00041500, "CS", file_id.encode("latin-1"))
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(body)) + body


def disc(file_ids: list[str], loop: str = "") -> bytes:
    """A directory of one series record with image records below it."""
    body = element(0x00020002, "UI", b"1.2.840.10008.1.3.10") + element(0x00020010, "UI", b"1.2.840.10008.1.2.1\0")
    head = b"\0" * 128 + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(body))) + body
    first = len(head) + 12 + 12
    sizes = [len(record(file_id, 0, 0)) for file_id in [None, *file_ids]]
    places = [first + sum(sizes[:index]) for index in range(len(sizes))]
    records = [record(None, places[0] if loop == "self" else 0, places[1] if file_ids else 0)]
    for index, file_id in enumerate(file_ids, start=1):
        following = places[index + 1] if index < len(file_ids) else {"up": places[0], "outside": 2**31}.get(loop, 0)
        records.append(record(file_id, following, 0))
    sequence = b"".join(records)
    root = element(0x00041200, "UL", struct.pack("<I", first))
    return head + root + struct.pack("<HH2sHI", 4, 0x1220, b"SQ", 0, len(sequence)) + sequence


def reasons(data: bytes) -> list[Reason]:
    findings = directory(data)[1]
    assert all(finding.outcome is Outcome.WARNED for finding in findings)
    return [finding.reason for finding in findings]


def test_file_ids_are_read_in_their_order_without_their_version():
    file_ids, findings = directory(disc([*GOOD, "DICOM\\SUB\\IM4;1"]))

    assert file_ids == (("DICOM", "IM1"), ("DICOM", "IM2"), ("DICOM", "IM3"), ("DICOM", "SUB", "IM4"))
    assert findings == ()


@pytest.mark.parametrize(
    "file_id",
    [
        "..\\X",
        "..\\..\\etc\\passwd",
        "../../etc/passwd",
        "A\\..\\X",
        "/etc/passwd",
        "C:\\X",
        "\\\\host\\X",
        "CON",
        "A\\nul.txt",
        "A\\X:stream",
        "A\\.",
        "A\\\\X",
        "A\\\x01X",
        "X" * 600,
        "A\\X.",
    ],
    ids=lambda file_id: ascii(file_id)[:20],
)
def test_an_id_that_leaves_the_disc_is_dropped_and_the_others_stay(file_id: str):
    file_ids, findings = directory(disc([*GOOD, file_id]))

    assert len(file_ids) == len(GOOD)
    assert [finding.reason for finding in findings] == [Reason.DICOMDIR_PATH]


@pytest.mark.parametrize("loop", ["self", "up", "outside"])
def test_offsets_that_lead_in_a_circle_or_nowhere_are_named_and_never_followed(loop: str):
    data = disc(GOOD, loop)

    assert reasons(data) == [Reason.DICOMDIR_LOOP]
    assert len(directory(data)[0]) == len(GOOD)


def test_an_empty_or_foreign_directory_is_unreadable_and_no_error():
    for data in (b"", b"\0" * 4096, b"\0" * 128 + b"DICM", disc([]), disc(GOOD)[:200]):
        assert directory(data)[0] == ()
        assert reasons(data) == [Reason.DICOMDIR_UNREADABLE]


def test_a_torn_directory_gives_the_ids_up_to_the_tear():
    data = disc(GOOD)
    torn = data[: data.index(b"IM3") - 4]

    # the sequence is longer than the file: nothing in it is believed
    assert reasons(torn) == [Reason.DICOMDIR_UNREADABLE]
    # an element past its item: what came before stays
    broken = data.replace(
        element(0x00041500, "CS", b"DICOM\\IM3"), element(0x00041500, "CS", b"DICOM\\IM3")[:6] + b"\xff\xff"
    )
    assert directory(broken + b"\0" * 12)[0][:2] == (("DICOM", "IM1"), ("DICOM", "IM2"))
    assert Reason.DICOMDIR_UNREADABLE in reasons(broken + b"\0" * 12)


def test_a_directory_of_many_records_is_read_and_one_of_too_many_is_cut(monkeypatch: pytest.MonkeyPatch):
    data = disc([f"D\\{index:05d}" for index in range(5000)])

    file_ids, findings = directory(data)
    monkeypatch.setattr(dicomdir, "MOST_RECORDS", 1000)
    some_ids, some_findings = directory(data)

    assert len(file_ids) == 5000
    assert findings == ()
    assert len(some_ids) == 999  # and the series record
    assert [finding.reason for finding in some_findings] == [Reason.DICOMDIR_UNREADABLE]


def test_a_mutated_directory_never_raises():
    seed, chance = disc(GOOD), random.Random(20261123)
    for _ in range(3000):
        changed = bytearray(seed)
        at = chance.randrange(len(seed))
        changed[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        file_ids, findings = directory(bytes(changed))
        assert all(part not in {"", ".", ".."} for file_id in file_ids for part in file_id)
        assert len(findings) <= 3


def test_the_directories_of_real_discs_name_their_files(shared: Path):
    for name, count in (("disc_pydicom", 31), ("disc_chest_ct", 16)):
        folder = shared / "data" / "dicom" / name

        file_ids, findings = directory((folder / "DICOMDIR").read_bytes())

        assert len(file_ids) == count
        assert findings == ()
        assert all(folder.joinpath(*file_id).is_file() for file_id in file_ids)


def test_hostile_directories_are_called_what_they_are(shared: Path):
    folder = shared / "data" / "dicom_bad"

    assert Reason.DICOMDIR_PATH in reasons((folder / "dicomdir_traversal" / "DICOMDIR").read_bytes())
    assert directory((folder / "dicomdir_traversal" / "DICOMDIR").read_bytes())[0] == ()
    assert reasons((folder / "dicomdir_cycle" / "DICOMDIR").read_bytes()) == [Reason.DICOMDIR_LOOP]
    assert len(directory((folder / "dicomdir_missing_files" / "DICOMDIR").read_bytes())[0]) == 31


EXPECTED = {"escape": [Reason.DICOMDIR_PATH], "loop": [Reason.DICOMDIR_LOOP]}
UNREADABLE = {"cd-empty-directory", "cd-garbage-directory"}


def test_generated_directories_are_warned_of_as_they_deserve(bad_inputs: Path):
    with (bad_inputs / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        cases = [row["case"] for row in csv.DictReader(manifest) if row["class"] == "media"]
    for case in cases:
        expected = [Reason.DICOMDIR_UNREADABLE] if case in UNREADABLE else EXPECTED.get(case.split("-")[1], [])

        assert reasons((bad_inputs / "cases" / case / "DICOMDIR").read_bytes()) == expected, case

    assert len(cases) > 15
