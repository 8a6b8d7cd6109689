"""ZIP archives: read whole in memory, or refused whole with the rule that they break."""

from __future__ import annotations

import csv
import io
import random
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from aicorona_desktop.core.findings import Reason
from aicorona_desktop.dicom.child.archives import Archive
from aicorona_desktop.dicom.child.prescan import RefusedError

NOISE = random.Random(3).randbytes(3000)
TEXT = b"a slice or something like it " * 200


def zipped(
    members: dict[str, bytes],
    method: int = zipfile.ZIP_DEFLATED,
    change: Callable[[zipfile.ZipInfo], None] | None = None,
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in members.items():
            member = zipfile.ZipInfo("x", (2026, 1, 5, 10, 0, 0))
            member.filename, member.compress_type, member.create_system = name, method, 3
            member.external_attr = 0o100644 << 16
            if change:
                change(member)
            archive.writestr(member, data)
    return buffer.getvalue()


def refusal(data: bytes) -> Reason:
    with pytest.raises(RefusedError) as caught:
        Archive(data)
    return caught.value.finding.reason


def central(data: bytes) -> int:
    """Where the central directory begins."""
    return data.index(b"PK\x01\x02")


def patched(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


# --- what is read -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_members_are_listed_in_their_order_and_read_as_they_were(method: int):
    members = {"B/IM2.dcm": NOISE, "B/IM1.dcm": TEXT, "empty": b"", "__MACOSX/B/._IM1.dcm": b"junk"}

    archive = Archive(zipped(members, method))

    assert archive.members == tuple((name, len(data)) for name, data in members.items())
    assert [archive.read(index) for index in range(4)] == list(members.values())


def test_folders_are_no_members():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.mkdir("DICOM")
        archive.writestr("DICOM/IM1", TEXT)
        archive.mkdir("EMPTY")

    opened = Archive(buffer.getvalue())

    assert opened.members == (("DICOM/IM1", len(TEXT)),)
    assert opened.read(0) == TEXT


def test_an_empty_archive_has_no_members():
    assert Archive(zipped({})).members == ()


def test_names_of_windows_writers_get_their_separators_and_letters_right():
    archive = Archive(zipped({"CT\\Größe\\IM1": TEXT}))

    assert archive.members == (("CT/Größe/IM1", len(TEXT)),)


def test_a_streamed_archive_and_one_with_wide_sizes_are_read():
    class Pipe(io.RawIOBase):
        """A target that can't seek: sizes then follow the data."""

        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data) -> int:
            self.written += data
            return len(data)

    pipe, wide = Pipe(), io.BytesIO()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IM1", TEXT)
    member = zipfile.ZipInfo("IM1")
    member.compress_type, member.extra = zipfile.ZIP_DEFLATED, b"UT\1\0\0"  # a field of another kind before it
    with zipfile.ZipFile(wide, "w") as archive, archive.open(member, "w", force_zip64=True) as file:
        file.write(TEXT)

    assert Archive(bytes(pipe.written)).read(0) == TEXT
    assert Archive(wide.getvalue()).read(0) == TEXT


def test_a_directory_with_wide_offsets_is_read():
    data = zipped({"IM1": TEXT})
    start, end = central(data), data.index(b"PK\x05\x06")
    wide = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, end - start, start)
    place = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 2**32 - 1, 2**32 - 1, 0)

    assert Archive(data[:end] + wide + place + tail).read(0) == TEXT
    assert refusal(data[:end] + wide + patched(place, 8, b"\1") + tail) is Reason.ARCHIVE_TRUNCATED
    assert refusal(data[:end] + patched(wide, 24, b"\2") + place + tail) is Reason.ARCHIVE_TRUNCATED
    assert refusal(data[:end] + tail) is Reason.ARCHIVE_TRUNCATED


def test_a_name_that_is_not_the_unicode_it_claims_to_be_is_still_told_apart():
    data = zipped({"IM-\u00e9": TEXT}).replace("\u00e9".encode(), b"\xff\xfe")

    assert Archive(data).members[0][0].startswith("IM-")


def test_a_document_of_an_export_is_no_archive_in_the_archive():
    assert Archive(zipped({"viewer/lib.jar": zipped({"a": b"b"}), "IM1": TEXT})).members[1] == ("IM1", len(TEXT))


def test_a_member_too_large_for_one_message_is_listed_but_not_read():
    archive = Archive(zipped({"setup.exe": bytes(64 * 2**20 + 1), "IM1": NOISE}, zipfile.ZIP_STORED))

    assert archive.read(1) == NOISE
    with pytest.raises(RefusedError) as caught:
        archive.read(0)
    assert caught.value.finding.reason is Reason.ARCHIVE_TOO_LARGE


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../evil",
        "a/../../evil",
        "..\\evil",
        "/tmp/evil",
        "C:\\evil",
        "\\\\host\\evil",
        "a\0b",
        "CON.dcm",
        "d/lpt1",
        "a:b",
        "x" * 600,
        "a/ ./b",
        "a\nb",
    ],
    ids=lambda name: name[:12],
)
def test_a_name_that_could_lead_elsewhere_refuses_the_archive(name: str):
    assert refusal(zipped({"IM1": TEXT, name: b"x"})) is Reason.ARCHIVE_PATH


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_a_link_or_a_device_refuses_the_archive(kind: int):
    def special(member: zipfile.ZipInfo) -> None:
        member.external_attr = (kind | 0o777) << 16

    assert refusal(zipped({"link": b"/etc/passwd"}, change=special)) is Reason.ARCHIVE_LINK


def test_a_windows_reparse_point_refuses_the_archive():
    def junction(member: zipfile.ZipInfo) -> None:
        member.create_system, member.external_attr = 0, 0x400

    assert refusal(zipped({"link": b"x"}, change=junction)) is Reason.ARCHIVE_LINK


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("other", ["IM/é1", "im/É1", "IM/e\u03011", "IM/é1.", "IM\\é1"], ids=ascii)
def test_two_members_of_one_name_refuse_the_archive_however_it_is_spelt(other: str):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in ("IM/é1", other):
            member = zipfile.ZipInfo("x")
            member.filename = name
            archive.writestr(member, TEXT)

    assert refusal(buffer.getvalue()) is Reason.ARCHIVE_TWICE


def test_an_archive_in_the_archive_refuses_it_by_name_and_by_content():
    assert refusal(zipped({"more.zip": b"x"})) is Reason.ARCHIVE_NESTED
    assert refusal(zipped({"IM1": zipped({"a": b"b"})})) is Reason.ARCHIVE_NESTED


def test_a_bomb_is_refused_before_anything_is_inflated():
    data = zipped({f"IM{index}": b"\0" * 2**22 for index in range(4)})
    torn = patched(data, 200, b"\xff" * 100)  # inflating would fail: the sizes alone decide

    assert refusal(torn) is Reason.ARCHIVE_TOO_LARGE


def test_more_bytes_than_a_disc_may_hold_are_refused_at_any_ratio(monkeypatch: pytest.MonkeyPatch):
    data = zipped({"a": NOISE, "b": NOISE}, zipfile.ZIP_STORED)
    assert len(Archive(data).members) == 2
    monkeypatch.setattr("aicorona_desktop.dicom.child.archives.MOST_BYTES", 2 * len(NOISE) - 1)
    assert refusal(data) is Reason.ARCHIVE_TOO_LARGE


def test_folders_nested_too_deep_are_refused():
    assert len(Archive(zipped({"a/" * 63 + "x": TEXT})).members) == 1
    assert refusal(zipped({"a/" * 64 + "x": TEXT})) is Reason.ARCHIVE_PATH


def test_too_many_entries_are_refused():
    assert refusal(zipped({str(index): b"" for index in range(20_001)}, zipfile.ZIP_STORED)) is Reason.ARCHIVE_TOO_MANY


def test_an_encrypted_archive_is_refused():
    data = zipped({"IM1": TEXT})

    assert refusal(patched(data, central(data) + 8, b"\1")) is Reason.ARCHIVE_ENCRYPTED
    assert refusal(patched(data, 6, b"\1")) is Reason.ARCHIVE_ENCRYPTED


def test_another_compression_is_refused():
    assert refusal(zipped({"IM1": TEXT}, zipfile.ZIP_BZIP2)) is Reason.ARCHIVE_METHOD


def test_a_wrong_checksum_refuses_the_archive_though_only_one_member_has_it():
    data = zipped({"IM1": TEXT, "IM2": NOISE}, zipfile.ZIP_STORED)
    at = data.index(NOISE) + 100

    assert refusal(patched(data, at, bytes([data[at] ^ 1]))) is Reason.ARCHIVE_CHECKSUM


def test_a_lie_about_a_size_refuses_the_archive():
    data = zipped({"IM1": TEXT})
    both = patched(patched(data, 22, struct.pack("<I", 16)), central(data) + 24, struct.pack("<I", 16))
    more = struct.pack("<I", len(TEXT) + 1)

    assert refusal(patched(data, central(data) + 24, struct.pack("<I", 16))) is Reason.ARCHIVE_SIZE
    assert refusal(both) is Reason.ARCHIVE_SIZE
    assert refusal(patched(patched(data, 22, more), central(data) + 24, more)) is Reason.ARCHIVE_SIZE


def test_a_wide_size_that_stands_nowhere_refuses_the_archive():
    data = zipped({"IM1": TEXT})

    assert refusal(patched(data, central(data) + 24, b"\xff\xff\xff\xff")) is Reason.ARCHIVE_SIZE


def test_bytes_behind_the_deflated_data_of_a_member_refuse_the_archive():
    packed = zlib.compress(TEXT, wbits=-15) + b"xx"
    data = zipped({"IM1": packed}, zipfile.ZIP_STORED)
    start = central(data)
    truth = struct.pack("<I", zlib.crc32(TEXT)), struct.pack("<I", len(TEXT))
    for at in (8, start + 10):
        data = patched(data, at, b"\x08")
        data = patched(data, at + 6, truth[0])
        data = patched(data, at + 14, truth[1])

    assert refusal(data) is Reason.ARCHIVE_TRUNCATED


def test_two_entries_that_share_their_bytes_refuse_the_archive():
    data = zipped({"IM1": NOISE})
    start, end = central(data), data.index(b"PK\x05\x06")
    entry = data[start:end]
    tail = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, 2 * len(entry), start, 0)
    renamed = data[:start] + entry + entry + tail

    assert refusal(renamed.replace(b"IM1", b"IM2")) is Reason.ARCHIVE_TWICE
    # the second entry has another name, but one local header can bear only one of them
    other = data[:start] + entry + entry.replace(b"IM1", b"IM2") + tail
    assert refusal(other) is Reason.ARCHIVE_TRUNCATED


def test_a_local_file_inside_the_bytes_of_another_refuses_the_archive():
    inner = zipped({"B": NOISE}, zipfile.ZIP_STORED)
    hidden = inner[: central(inner)]
    outer = zipped({"A": b"#" * 7 + hidden}, zipfile.ZIP_STORED)
    start, end = central(outer), outer.index(b"PK\x05\x06", central(outer))
    entry = inner[central(inner) : inner.index(b"PK\x05\x06")]
    entry = patched(entry, 42, struct.pack("<I", outer.index(hidden)))
    both = outer[start:end] + entry
    data = outer[:start] + both + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 2, 2, len(both), start, 0)

    assert refusal(data) is Reason.ARCHIVE_OVERLAP


@pytest.mark.parametrize("cut", [1, 10, 22, 60, 1000])
def test_a_truncated_archive_is_refused(cut: int):
    assert refusal(zipped({"IM1": NOISE})[:-cut]) is Reason.ARCHIVE_TRUNCATED


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x03\x04" + b"\0" * 100, b"PK\x05\x06" * 30])
def test_what_is_no_archive_at_all_is_refused_as_damaged(data: bytes):
    assert refusal(data) is Reason.ARCHIVE_TRUNCATED


def test_a_mutated_archive_is_read_or_refused_and_nothing_else():
    seed = zipped({"DICOM/IM1": NOISE[:300], "DICOM/IM2": TEXT[:900], "README": b"hello"})
    chance, refusals = random.Random(20261123), 0
    for _ in range(3000):
        changed = bytearray(seed)
        at = chance.randrange(len(seed))
        if chance.random() < 0.7:
            changed[at] = chance.randrange(256)
        else:
            changed[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"PK\5\6", b""])
        try:
            archive = Archive(bytes(changed))
        except RefusedError:
            refusals += 1
            continue
        assert [len(archive.read(index)) for index in range(len(archive.members))] == [n for _, n in archive.members]

    assert 1500 < refusals < 3000


def test_generated_archives_end_as_their_manifest_says(bad_inputs: Path):
    with (bad_inputs / "manifest.csv").open(newline="", encoding="utf-8") as manifest:
        rows = [row for row in csv.DictReader(manifest) if row["class"] == "archive"]
    wrong = []
    for row in rows:
        data = (bad_inputs / row["path"]).read_bytes()
        try:
            outcome, text = "scored", "".join(str(len(Archive(data).members)))
        except RefusedError as error:
            outcome, text = error.finding.outcome.value, str(error.finding)
        if outcome != row["expected"] or not re.search(row["reason"], text, re.IGNORECASE):
            wrong.append((row["case"], row["expected"], outcome, text))

    assert len(rows) > 20
    assert wrong == []
