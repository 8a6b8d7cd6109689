"""Our own generator of bad inputs: what scanners, discs, archives, file systems and attackers give.

`write(folder)` makes one folder a case and returns the cases; each is tried alone. Nothing here repeats a case of the
shared generator on purpose: these are the classes that it leaves out. `outcome` is that of the gravest thing in the
case (tests/street), `reason` a pattern that what is said must match. Deterministic; about 60 MB.

A case is sound or not by the rules (reliability.md 1.4 and 2), never by what the program happens to do.
"""

from __future__ import annotations

import base64
import gzip
import io
import os
import re
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from pydicom.uid import JPEG2000Lossless, RLELossless

from tests import phantom
from tests.dicom.ct_files import compressed, ct_data_set, enhanced_file, with_element, written

Files = Mapping[str | bytes, bytes]
SLICES = 20


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its folder, the class of trouble, and what must come of it.

    `outcome` is scored, warned, ignored, unsuitable or refused; `reason` a pattern found, without regard to case, in
    what is said; `files` how many files must be accounted for, None where an archive or a link makes that another
    question; `studies` how many studies must come of it, None for any number.
    """

    name: str
    group: str
    outcome: str
    reason: str = ""
    studies: int | None = None
    every_file_named: bool = True


Build = Callable[[Path], None]


class Book:
    """Collects cases and how each is made."""

    def __init__(self) -> None:
        self.cases: dict[Case, Build] = {}

    def add(
        self, name: str, group: str, outcome: str, reason: str, files: Files | Build, *,
        studies: int | None = None, every_file_named: bool = True,
    ) -> None:  # fmt: skip
        case = Case(name, group, outcome, reason, studies, every_file_named)
        assert name not in {one.name for one in self.cases}
        self.cases[case] = files if callable(files) else lambda folder: put(folder, files)


def write(folder: Path, only: str = "") -> list[Case]:
    """Make all cases whose name or group matches, each in a folder of its name."""
    made = []
    for case, build in book().cases.items():
        if re.search(only, f"{case.group}/{case.name}"):
            place = folder / case.name
            place.mkdir(parents=True)
            build(place)
            made.append(case)
    return made


def put(folder: Path, files: Files) -> None:
    """Write files by their path below the folder; a name of bytes is written as it is."""
    for name, content in files.items():
        path = os.path.join(os.fsencode(folder), name if isinstance(name, bytes) else os.fsencode(name))  # noqa: PTH118
        os.makedirs(os.path.dirname(path), exist_ok=True)  # noqa: PTH103, PTH120
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(content)


@cache
def book() -> Book:
    """All cases."""
    collected = Book()
    for chapter in (
        _scanners,
        _headers,
        _texts,
        _enhanced,
        _discs,
        _names,
        _archives,
        _file_system,
        _polyglots,
        _costly,
        _pixels,
    ):
        chapter(collected)
    return collected


# --- small helpers --------------------------------------------------------------------------------------------------


def chest(name: str) -> phantom.Chest:
    return phantom.chest(f"own {name}").with_slices(SLICES)


def each(name: str, change: Callable[[int, bytes], bytes | None]) -> Files:
    """The slices of a chest, each changed; None leaves one out."""
    changed = {f"IM{index:04d}.dcm": change(index, chest(name).file(index)) for index in range(SLICES)}
    return {file: content for file, content in changed.items() if content is not None}


def with_raw(content: bytes, tag: int, vr: str, value: bytes) -> bytes:
    return with_element(content, tag, vr, value)


def repacked(index: int, name: str, syntax: str, **elements: object) -> bytes:
    """A slice of a chest encoded anew by pydicom."""
    one = chest(name)
    stored = np.array(one.hounsfield(index) + 1024, np.int16)
    x, y, z = one.thorax.positions_mm[index]
    values = {
        "SOPInstanceUID": phantom.uid_of(one.name, "slice", index), "StudyInstanceUID": one.study_instance_uid,
        "SeriesInstanceUID": one.series_instance_uid, "FrameOfReferenceUID": phantom.uid_of(one.name, "frame"),
        "ImagePositionPatient": [x, y, z], "PixelSpacing": [one.thorax.pixel_spacing_mm] * 2,
        "RescaleIntercept": -1024, "RescaleType": "HU", "SliceThickness": one.thorax.slice_spacing_mm,
        "BodyPartExamined": "CHEST", "PatientAge": "056Y", "InstanceNumber": index + 1, "PatientPosition": "HFS",
        "PatientBirthDate": "19700101", "PatientID": f"PHANTOM-{one.name}", "ConvolutionKernel": "B50f", "KVP": 120,
        **elements,
    }  # fmt: skip
    return (
        written(compressed(stored, syntax, **values), syntax)
        if syntax in {RLELossless, JPEG2000Lossless}
        else written(ct_data_set(stored, **values), syntax)
    )


def zipped(files: Files, method: int = zipfile.ZIP_DEFLATED, comment: bytes = b"") -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.comment = comment
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(str(name), (2026, 1, 5, 10, 0, 0)), content, method)
    return stream.getvalue()


# --- scanners -------------------------------------------------------------------------------------------------------


def _scanners(book: Book) -> None:
    def study(name: str, outcome: str, reason: str, files: Files | phantom.Chest) -> None:
        made = files.files() if isinstance(files, phantom.Chest) else files
        book.add(f"scanner-{name}", "scanner", outcome, reason, made)

    mixed = {
        i: (RLELossless, JPEG2000Lossless, "1.2.840.10008.1.2.1", "1.2.840.10008.1.2")[i % 4] for i in range(SLICES)
    }
    study(
        "four-transfer-syntaxes-in-one-series",
        "scored",
        "",
        {f"{i}": repacked(i, "mixed", mixed[i]) for i in range(SLICES)},
    )
    whole = chest("order")
    study(
        "instance-numbers-all-one",
        "scored",
        "",
        whole.named("own one").with_tags(InstanceNumber=1, AcquisitionNumber=1),
    )
    study("no-instance-numbers", "scored", "", whole.named("own none").with_tags(InstanceNumber=None))
    backwards = whole.named("own backwards")
    for i in range(SLICES):
        backwards = backwards.with_slice_tags(i, InstanceNumber=SLICES - i)
    study("numbers-against-positions", "scored", "", backwards)
    study("feet-first", "scored", "", chest("feet").with_tags(PatientPosition="FFS"))
    study("modality-in-small-letters", "scored", "", chest("small").with_tags(Modality="ct"))
    study("date-of-the-old-form", "scored", "", chest("old date").with_tags(StudyDate="2026.01.05"))
    study("same-instance-compressed-and-not", "unsuitable", "conflict|other (bytes|pixels)|two versions|differ", {
        **chest("twice").files(), "copy/IM0003.dcm": repacked(3, "twice", RLELossless),
    })  # fmt: skip
    study("one-slice-with-other-padding-bytes", "scored", "", {
        **chest("padded").files(), "again/IM0003.dcm": chest("padded").file(3) + b"\0\0",
    })  # fmt: skip
    study("all-slices-twice-the-same", "scored", "", {
        **chest("again").files(), **{f"copy/{name}": content for name, content in chest("again").files().items()},
    })  # fmt: skip
    study("overlay-in-the-high-bits", "scored", "", each("overlay", lambda i, content: _with_overlay_bits(content)))
    study(
        "a-modality-table-instead-of-slope",
        "unsuitable",
        "rescale",
        chest("table").with_tags(RescaleSlope=None, RescaleIntercept=None),
    )
    study("slope-of-each-slice-its-own", "scored", "", _with_own_slopes())
    study(
        "one-slice-of-a-neighbour",
        "unsuitable",
        "patient|identit",
        chest("swap").with_slice_tags(9, PatientID="SOMEBODY-ELSE"),
    )
    study("one-slice-of-another-study-in-the-folder", "unsuitable", "few|slice", {
        **chest("host").files(), "IM9999.dcm": chest("guest").file(3),
    })  # fmt: skip
    study("two-kernels-under-two-series", "scored", "", {
        **{f"lung/{n}": c for n, c in chest("kernels").files().items()},
        **{f"soft/{n}": _other_instance(c) for n, c in chest("kernels").with_tags(
            SeriesInstanceUID=phantom.uid_of("own kernels", "soft"), ConvolutionKernel="B20f").files().items()},
    })  # fmt: skip
    study("respiratory-phases-at-one-position", "unsuitable", "position|phase|same place|duplicate", _with_two_phases())
    study("gap-where-a-slice-was-deleted", "unsuitable", "missing|gap", chest("hole").without_slice(9, 10, 11))
    study("uid-with-leading-zeros", "scored", "", chest("zeros").with_tags(StudyInstanceUID="1.2.0040.007.1"))
    study(
        "uid-padded-with-spaces", "scored", "", each("spaces", lambda i, c: with_raw(c, 0x0020000D, "UI", b"2.25.99 "))
    )
    study(
        "scanner-clock-of-1970",
        "scored",
        "",
        chest("clock").with_tags(StudyDate="19700101", PatientBirthDate="19300101", PatientAge="040Y"),
    )
    study(
        "scanner-clock-of-2099",
        "scored",
        "",
        chest("future").with_tags(StudyDate="20990101", PatientBirthDate="20400101", PatientAge="059Y"),
    )
    study(
        "age-without-unit",
        "warned",
        "age|PatientAge|odd",
        chest("age").with_tags(PatientAge="56", PatientBirthDate=None),
    )
    study("four-hundred-localizers", "ignored|unsuitable", "locali|scout", _with_localizers(40))


def _with_overlay_bits(content: bytes) -> bytes:
    """Twelve stored bits in sixteen, an old overlay in the highest one; values as before."""
    at = content.rindex(b"\xe0\x7f\x10\x00OW") + 12
    stored = np.frombuffer(content[at:], "<i2").astype(np.int32)
    unsigned = np.clip(stored, 0, 4095).astype(np.uint16)
    unsigned[::7] |= 0x8000
    changed = content[:at] + unsigned.astype("<u2").tobytes()
    for tag, value in ((0x00280101, 12), (0x00280102, 11), (0x00280103, 0)):
        changed = with_raw(changed, tag, "US", struct.pack("<H", value))
    return changed


def _with_own_slopes() -> Files:
    """Every slice is scaled by its own slope and intercept, as PET/CT scanners do; the HU are the same."""
    files = {}
    for index in range(SLICES):
        content = chest("slopes").file(index)
        at = content.rindex(b"\xe0\x7f\x10\x00OW") + 12
        stored = np.frombuffer(content[at:], "<i2").astype(np.int32)
        slope = 1 + index % 3
        changed = content[:at] + np.rint(stored / slope).astype("<i2").tobytes()
        files[f"{index}"] = with_raw(changed, 0x00281053, "DS", f"{slope} ".encode())
    return files


def _other_instance(content: bytes) -> bytes:
    number = zlib.crc32(content)
    return with_meta_uid(with_raw(content, 0x00080018, "UI", f"2.25.7{number}".encode()), f"2.25.7{number}")


def with_meta_uid(content: bytes, uid: str) -> bytes:
    """The file with another instance UID in its meta header, the group length with it."""
    value = uid.encode() + b"\0" * (len(uid) % 2)
    at = content.index(b"\x02\x00\x03\x00UI")
    size = struct.unpack_from("<H", content, at + 6)[0]
    length = struct.unpack_from("<I", content, 140)[0] + len(value) - size
    changed = content[: at + 6] + struct.pack("<H", len(value)) + value + content[at + 8 + size :]
    return changed[:140] + struct.pack("<I", length) + changed[144:]


def _with_two_phases() -> Files:
    files = dict(chest("phases").files())
    for name, content in chest("phases").files().items():
        files[f"second-{name}"] = _other_instance(content)
    return files


def _with_localizers(count: int) -> Files:
    localizer = chest("localizers").localizer()
    return {
        f"L{number}.dcm": _other_instance(with_raw(localizer, 0x00200013, "IS", f"{number} ".encode()))
        for number in range(count)
    }


# --- headers --------------------------------------------------------------------------------------------------------


def _headers(book: Book) -> None:
    def one(name: str, reason: str, change: Callable[[bytes], bytes], outcome: str = "refused") -> None:
        book.add(f"header-{name}", "header", outcome, reason, {"IM0003.dcm": change(chest("header").file(3))})

    def study(name: str, outcome: str, reason: str, change: Callable[[int, bytes], bytes | None]) -> None:
        book.add(f"header-{name}", "header", outcome, reason, each(name, change))

    one("thirty-thousand-positions", "position|number", lambda c: with_raw(c, 0x00200032, "DS", b"1\\" * 30000))
    one("number-of-4000-digits", "number|rescale|length", lambda c: with_raw(c, 0x00281053, "DS", b"1" * 4000))
    one("number-in-arabic-digits", "number|rescale", lambda c: with_raw(c, 0x00281053, "DS", "\u0661".encode()))
    one("number-with-a-tab", "number|rescale", lambda c: with_raw(c, 0x00281052, "DS", b"-10\t24"))
    one("number-in-hexadecimal", "number|rescale", lambda c: with_raw(c, 0x00281052, "DS", b"0x10"))
    one("negative-zero-spacing", "spacing", lambda c: with_raw(c, 0x00280030, "DS", b"-0.0\\-0.0"))
    one("subnormal-spacing", "spacing", lambda c: with_raw(c, 0x00280030, "DS", b"1e-320\\1e-320"))
    one("frames-zero", "frame", lambda c: with_raw(c, 0x00280008, "IS", b"0 "))
    one("frames-negative", "frame", lambda c: with_raw(c, 0x00280008, "IS", b"-1"))
    one("character-set-as-number", "SpecificCharacterSet|VR|form", lambda c: with_raw(c, 0x00080005, "US", b"\1\0"))
    one(
        "sop-class-of-two-values",
        "not CT|UID|class",
        lambda c: with_raw(c, 0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2\\1.2"),
        "ignored|refused",
    )
    one("study-uid-of-spaces", "missing|UID", lambda c: with_raw(c, 0x0020000D, "UI", b"    "))
    one("study-uid-of-dots", "UID", lambda c: with_raw(c, 0x0020000D, "UI", b"......"))
    one(
        "a-command-group",
        "group|wrong place|order|tag",
        lambda c: with_raw(c, 0x00080001, "UL", b"\0\0\0\0").replace(b"\x08\0\x01\0", b"\0\0\0\0", 1),
    )
    one(
        "meta-header-twice",
        "order|group|meta|wrong place|VR|transfer",
        lambda c: c[: 144 + struct.unpack_from("<I", c, 140)[0]] + c[132:],
    )
    one("two-files-in-one", "", lambda c: c + c, "unsuitable")
    one("preamble-behind", "not DICOM|header", lambda c: c[128:])
    one("shifted-by-one", "not DICOM|header", lambda c: b"\0" + c)
    one("as-base64", "not DICOM|header", base64.encodebytes)
    one(
        "line-ends-converted",
        "trunc|length|order|VR|tag|group|meta|short|transfer",
        lambda c: c.replace(b"\n", b"\r\n"),
    )
    one(
        "high-bits-lost",
        "not DICOM|header|VR|UID|group|tag|order|wrong place|trunc",
        lambda c: bytes(byte & 0x7F for byte in c),
    )
    one("zero-block-inside-the-header", "VR|tag|order|group|meta|transfer", lambda c: c[:300] + b"\0" * 512 + c[812:])
    one(
        "zeros-from-the-middle-of-the-header", "VR|tag|order|group|transfer", lambda c: c[:600] + b"\0" * (len(c) - 600)
    )
    one("cut-at-a-block-of-512", "trunc|end of file", lambda c: c[: len(c) // 1024 * 512])
    study(
        "zero-blocks-in-the-pixels",
        "scored|warned|unsuitable",
        "",
        lambda i, c: c[: len(c) - 4096] + b"\0" * 4096 if i == 4 else c,
    )
    study(
        "private-sequence-left-in-the-other-vr",
        "scored",
        "",
        lambda i, c: with_raw(with_raw(c, 0x00090010, "LO", b"MAKER 1 "), 0x00091001, "SQ", _implicit_item()),
    )
    study("private-un-of-open-length", "scored", "", lambda i, c: _with_open_un(c))
    study("five-thousand-private-elements", "scored", "", lambda i, c: _with_many(c, 5000) if i < 3 else c)
    study("no-private-creator", "scored", "", lambda i, c: with_raw(c, 0x00091001, "LO", b"orphan"))
    study(
        "every-text-empty",
        "warned",
        "",
        lambda i, c: with_raw(
            with_raw(with_raw(c, 0x00100010, "PN", b""), 0x00100020, "LO", b""), 0x00080020, "DA", b""
        ),
    )
    study(
        "group-lengths-as-in-acr-nema",
        "scored",
        "",
        lambda i, c: with_raw(with_raw(c, 0x00280000, "UL", b"\xff\0\0\0"), 0x00080000, "UL", b"\1\0\0\0"),
    )
    study(
        "meta-version-of-the-future",
        "scored",
        "",
        lambda i, c: c.replace(b"OB\0\0\2\0\0\0\0\1", b"OB\0\0\2\0\0\0\xff\xff", 1),
    )
    study(
        "meta-with-a-private-element",
        "scored",
        "",
        lambda i, c: _with_meta(c, b"\2\0\0\1UI\x0a\x001.2.3.4.5\0\2\0\2\1OB\0\0\4\0\0\0abcd"),
    )
    study("instance-uid-empty-in-one", "unsuitable", "missing|gap", lambda i, c: _without_instance(c) if i == 3 else c)


def _implicit_item() -> bytes:
    inner = struct.pack("<HHI", 0x0009, 0x1002, 4) + b"abcd"
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(inner)) + inner


def _with_open_un(content: bytes) -> bytes:
    """A private element of VR UN and open length: a sequence in implicit VR (PS3.5 6.2.2)."""
    changed = with_raw(content, 0x00090010, "LO", b"MAKER 1 ")
    changed = with_raw(changed, 0x00091001, "LO", b"hold")
    value = _implicit_item() + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return changed.replace(b"\x09\x00\x01\x10LO\x04\x00hold", b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + value, 1)


def _with_many(content: bytes, count: int) -> bytes:
    changed = with_raw(content, 0x00090010, "LO", b"MAKER 1 ")
    many = b"".join(struct.pack("<HH", 9, 0x1000 + number) + b"LO\4\0abcd" for number in range(count))
    at = changed.index(b"\x09\x00\x10\x00LO\x08\x00MAKER 1 ") + 16
    return changed[:at] + many + changed[at:]


def _with_meta(content: bytes, extra: bytes) -> bytes:
    length = struct.unpack_from("<I", content, 140)[0]
    return (
        content[:140]
        + struct.pack("<I", length + len(extra))
        + content[144 : 144 + length]
        + extra
        + content[144 + length :]
    )


def _without_instance(content: bytes) -> bytes:
    return with_raw(content, 0x00080018, "UI", b"")


# --- texts ----------------------------------------------------------------------------------------------------------


def _texts(book: Book) -> None:
    def study(name: str, outcome: str, reason: str, raw: Mapping[int, tuple[str, bytes]]) -> None:
        def change(index: int, content: bytes) -> bytes:
            for tag, (vr, value) in raw.items():
                content = with_raw(content, tag, vr, value)
            return content

        book.add(f"text-{name}", "text", outcome, reason, each(f"text {name}", change))

    pn, charset, description = 0x00100010, 0x00080005, 0x00081030
    study("terminal-colours", "warned", "control|character", {description: ("LO", b"\x1b[31mCHEST\x1b[0m")})
    study("terminal-title", "warned", "control|character", {pn: ("PN", b"A^B\x1b]0;owned\x07")})
    study(
        "markdown-and-rich-markup",
        "scored",
        "",
        {description: ("LO", b"[bold red]CHEST[/] [link=file:///etc]x[/link]")},
    )
    study("percent-and-braces", "scored", "", {description: ("LO", b"%s%n%x {0.__class__} {}")})
    study("qt-rich-text", "scored", "", {description: ("LO", b"<b>CHEST</b><img src=file:///etc/passwd>")})
    study("sql", "scored", "", {pn: ("PN", b"x'); DROP TABLE study;--"), 0x00100020: ("LO", b"' OR 1=1 --")})
    study(
        "full-text-operators", "scored", "", {pn: ("PN", b'" NEAR( * OR NOT'), description: ("LO", b"AND OR NOT * ^")}
    )
    study(
        "overlong-utf-8",
        "warned",
        "character|decode",
        {charset: ("CS", b"ISO_IR 192"), pn: ("PN", b"\xc0\xaf\xe0\x80\xaf")},
    )
    study(
        "half-of-a-surrogate-pair",
        "warned",
        "character|decode",
        {charset: ("CS", b"ISO_IR 192"), pn: ("PN", b"A^\xed\xa0\x80")},
    )
    study("nul-inside-a-name", "warned", "control|character", {pn: ("PN", b"A\0B^C")})
    study(
        "joiners-and-marks-stacked",
        "scored|warned",
        "",
        {charset: ("CS", b"ISO_IR 192"), pn: ("PN", ("Z" + "\u0300" * 60).encode()[:120])},
    )
    study(
        "gb18030-name", "scored", "", {charset: ("CS", b"GB18030"), pn: ("PN", "\u738b^\u5c0f\u4e1c".encode("gb18030"))}
    )
    study(
        "korean-name",
        "scored",
        "",
        {charset: ("CS", b"\\ISO 2022 IR 149"), pn: ("PN", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7")},
    )
    study(
        "cyrillic-read-as-latin",
        "scored",
        "",
        {charset: ("CS", b"ISO_IR 144"), pn: ("PN", "\u041b\u044e\u043ac^A".encode("iso8859_5"))},
    )
    study("undeclared-latin", "warned", "character", {charset: ("CS", b""), pn: ("PN", b"M\xfcller^J")})
    study("six-name-groups", "scored|warned", "", {pn: ("PN", b"A^B=C^D=E^F=G^H=I=J")})
    study("only-carets", "warned|scored", "", {pn: ("PN", b"^^^^")})
    study(
        "numbers-of-a-person-in-the-uid-text",
        "scored",
        "",
        {0x00080050: ("SH", b"=1+1"), 0x00200010: ("SH", b"@SUM(A1)")},
    )
    study(
        "utf-16-with-mark",
        "warned",
        "character|decode|control",
        {charset: ("CS", b"ISO_IR 192"), pn: ("PN", "A^B".encode("utf-16"))},
    )


# --- enhanced -------------------------------------------------------------------------------------------------------


def _enhanced(book: Book) -> None:
    flat = np.zeros((3, 32, 32), np.int16)
    whole = enhanced_file(flat, (1.0, 1.0, 1.0))

    def one(name: str, outcome: str, reason: str, content: bytes) -> None:
        book.add(f"enhanced-{name}", "enhanced", outcome, reason, {"E0001.dcm": content})

    one("three-flat-frames", "unsuitable", "few|slice|constant|HU|cover", whole)
    one("more-frames-than-pixels", "refused", "frame|pixel|short|length", with_raw(whole, 0x00280008, "IS", b"4 "))
    one("fewer-frames-than-pixels", "refused", "frame|pixel|long|length", with_raw(whole, 0x00280008, "IS", b"2 "))
    one(
        "four-thousand-frames-said",
        "refused",
        "frame|pixel|short|length|large",
        with_raw(whole, 0x00280008, "IS", b"4000"),
    )
    one("frames-of-five-digits", "refused", "frame", with_raw(whole, 0x00280008, "IS", b"99999 "))
    one(
        "no-position",
        "unsuitable",
        "functional|frame|position",
        enhanced_file(flat, (1.0, 1.0, 1.0), PlanePositionSequence=None),
    )
    one("slope-zero", "unsuitable", "rescale|few|slope", enhanced_file(flat, (1.0, 0.0, 1.0)))
    one("groups-emptied", "unsuitable|refused", "functional|frame", with_raw(whole, 0x52009230, "SQ", b""))
    one(
        "groups-shared-only",
        "unsuitable|refused",
        "functional|frame",
        with_raw(with_raw(whole, 0x52009230, "SQ", b""), 0x00280008, "IS", b"3 "),
    )
    one(
        "groups-as-text",
        "unsuitable|refused",
        "functional|frame|VR|form",
        with_raw(whole, 0x52009230, "OB", b"abcd" * 40),
    )


# --- discs ----------------------------------------------------------------------------------------------------------


def _discs(book: Book) -> None:
    from tests.fuzz.seeds import directories  # it brings GDCM along

    sound = next(iter(directories()))
    slices = {f"IM{i:06d}": content for i, content in enumerate(chest("disc").files().values())}

    def disc(name: str, outcome: str, reason: str, files: Files) -> None:
        book.add(f"disc-{name}", "disc", outcome, reason, files)

    pictures = {f"IMAGES/{name}": content for name, content in slices.items()}
    disc("directory-names-other-files", "scored|warned", "", {"DICOMDIR": sound, **pictures})
    disc("directory-in-small-letters", "scored|warned", "", {"dicomdir": sound, **pictures})
    disc("directory-empty", "scored|warned|refused", "", {"DICOMDIR": b"", **pictures})
    disc("directory-is-a-folder", "scored", "", {"DICOMDIR/IM000001": slices["IM000001"], **pictures})
    disc("directory-of-random-bytes", "scored|warned|refused", "", {"DICOMDIR": bytes(range(256)) * 40, **pictures})
    disc("two-directories", "scored|warned", "", {"DICOMDIR": sound, "IMAGES/DICOMDIR": sound, **pictures})
    disc(
        "a-folder-for-each-slice",
        "scored",
        "",
        {f"D{i}/E/{name}": content for i, (name, content) in enumerate(slices.items())},
    )
    viewer = {
        "VIEWER/start.exe": b"MZ" + b"\x90" * 3000,
        "VIEWER/lib.dll": b"MZ\0",
        "autorun.inf": b"[autorun]\r\nopen=VIEWER\\start.exe\r\n",
    }
    previews = {
        "INDEX.HTM": b"<html>",
        "preview/1.jpg": b"\xff\xd8\xff\xe0" + b"\0" * 500,
        "report.pdf": b"%PDF-1.4",
        "README.TXT": b"read me",
    }
    disc("viewer-and-previews-beside", "scored", "", {**viewer, **previews, **pictures})
    disc("only-a-viewer", "ignored", "", {**viewer, **previews})
    disc("names-as-iso-9660-writes-them", "scored", "", {f"{name};1": content for name, content in slices.items()})
    disc(
        "study-twice-in-two-folders",
        "scored",
        "",
        {**{f"A/{n}": c for n, c in slices.items()}, **{f"B/{n}": c for n, c in slices.items()}},
    )


# --- names ----------------------------------------------------------------------------------------------------------


def _names(book: Book) -> None:
    contents = list(chest("names").files().values())

    def named(name: str, outcome: str, reason: str, awkward: list[str | bytes]) -> None:
        files: dict[str | bytes, bytes] = {
            f"IM{i:04d}.dcm": content for i, content in enumerate(contents[len(awkward) :])
        }
        files |= dict(zip(awkward, contents, strict=False))
        book.add(f"name-{name}", "name", outcome, reason, files)

    named("newlines", "scored", "", ["a\nb.dcm", "c\r.dcm", "d\te.dcm"])
    named("not-utf-8", "scored", "", [b"\xff\xfe\xfd.dcm", b"M\xfcller.dcm"])
    named("both-normal-forms", "scored", "", ["\u00e9.dcm", "e\u0301.dcm"])
    named("right-to-left", "scored", "", ["\u202egpj.dcm", "\u200f1.dcm"])
    named("of-255-bytes", "scored", "", ["x" * 251 + ".dcm"])
    named("like-options", "scored", "", ["-rf", "--help", "-", "*", "?", "$(id)", "`id`", "; ls"])
    named("of-windows-devices", "scored", "", ["CON", "nul.dcm", "COM1", "aux.txt"])
    named("ending-in-dots-and-spaces", "scored", "", ["a.", "b ", "c..", " d"])
    named("that-differ-by-case-alone", "scored", "", ["im1.dcm", "IM1.DCM", "Im1.Dcm"])
    named("like-formats", "scored", "", ["%s%n.dcm", "{0}.dcm", "[red].dcm", "<b>.dcm"])
    deep = "/".join(["folder"] * 60)
    book.add(
        "name-sixty-folders-deep",
        "name",
        "scored",
        "",
        {f"{deep}/{i}.dcm": content for i, content in enumerate(contents)},
    )
    long = "/".join(["d" * 200] * 15)
    book.add(
        "name-path-of-3000-bytes",
        "name",
        "scored",
        "",
        {f"{long}/{i}.dcm": content for i, content in enumerate(contents)},
    )
    book.add(
        "name-suffixes-of-other-programs",
        "name",
        "scored",
        "",
        {f"{i}.{['jpg', 'txt', 'pdf', 'exe'][i % 4]}": content for i, content in enumerate(contents)},
    )


# --- archives -------------------------------------------------------------------------------------------------------


def _archives(book: Book) -> None:
    slices = dict(chest("archive").files())

    def archive(name: str, outcome: str, reason: str, content: bytes, file: str = "study.zip") -> None:
        book.add(f"archive-{name}", "archive", outcome, reason, {file: content}, every_file_named=False)

    archive("stored", "scored", "", zipped(slices, zipfile.ZIP_STORED))
    archive("sizes-behind-the-data", "scored", "", _streamed(slices))
    archive("with-a-long-comment", "scored", "", zipped(slices, comment=b"c" * 60_000))
    archive("with-an-end-mark-in-the-comment", "refused|scored", "", zipped(slices, comment=b"PK\5\6" + b"\0" * 18))
    archive("self-extracting", "refused|scored", "", b"MZ" + b"\x90" * 4094 + zipped(slices))
    archive(
        "two-archives-in-a-row", "refused", "archive", zipped(slices) + zipped({"IM0000.dcm": slices["IM0000.dcm"]})
    )
    archive("of-bzip2", "refused", "archive|compress", zipped(slices, zipfile.ZIP_BZIP2))
    archive("of-lzma", "refused", "archive|compress", zipped(slices, zipfile.ZIP_LZMA))
    archive("other-name-inside", "refused", "archive", zipped(slices).replace(b"IM0001.dcm", b"IM0001.exe", 1))
    archive("of-nothing", "ignored|refused", "", zipped({}))
    archive("of-junk-only", "ignored", "", zipped({"a.txt": b"text", "b.jpg": b"\xff\xd8"}))
    archive("called-as-a-slice", "scored|refused", "", zipped(slices), "IM0001.dcm")
    archive("called-nothing", "scored|refused|ignored", "", zipped(slices), "STUDY")
    archive("of-a-7z", "refused", "archive|pack|ZIP", b"7z\xbc\xaf\x27\x1c" + b"\0" * 200, "study.7z")
    archive("of-a-gzip", "refused", "archive|pack|ZIP", gzip.compress(slices["IM0000.dcm"], mtime=0), "IM0000.dcm.gz")
    archive("of-a-tar", "refused", "archive|pack|ZIP", _tarred(slices), "study.tar")
    archive("second-volume", "refused|ignored", "", zipped(slices)[5000:9000], "study.z01")
    archive(
        "ratio-just-under-the-limit",
        "ignored|refused",
        "",
        zipped({"zeros.bin": b"\0" * (4 << 20)}, zipfile.ZIP_DEFLATED) + b"",
    )
    archive(
        "names-that-only-case-tells-apart",
        "refused",
        "archive|twice",
        zipped({"a/IM1.dcm": slices["IM0000.dcm"], "A/im1.DCM": slices["IM0001.dcm"]}),
    )
    archive(
        "names-that-only-accents-tell-apart",
        "refused",
        "archive|twice",
        zipped({"\u00e9": slices["IM0000.dcm"], "e\u0301": slices["IM0001.dcm"]}),
    )
    archive("folder-with-content", "refused|scored", "", _with_folder_content(slices))
    archive("one-slice-damaged", "refused", "archive|checksum|CRC|trunc", _damaged(zipped(slices, zipfile.ZIP_STORED)))
    archive("one-slice-too-few-to-score", "unsuitable", "few|slice", zipped(dict(list(slices.items())[:5])))
    archive(
        "hidden-files-of-a-mac",
        "scored",
        "",
        zipped({**slices, "__MACOSX/._IM0000.dcm": b"\0\5\x16\7" + b"\0" * 80, ".DS_Store": b"\0\0\0\1Bud1"}),
    )
    book.add(
        "archive-beside-its-own-content",
        "archive",
        "scored",
        "",
        {"study.zip": zipped(slices), **slices},
        every_file_named=False,
    )


def _streamed(files: Files) -> bytes:
    """As a program writes that can't seek: sizes and checksums behind each member (APPNOTE 4.3.9)."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.content = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: bytes) -> int:  # type: ignore[override]
            self.content += data
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(str(name), (2026, 1, 5, 10, 0, 0)), content, zipfile.ZIP_DEFLATED)
    return bytes(pipe.content)


def _tarred(files: Files) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(str(name))
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def _with_folder_content(files: Files) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("A/", (2026, 1, 5, 10, 0, 0)), b"a folder with bytes")
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(f"A/{name}", (2026, 1, 5, 10, 0, 0)), content)
    return stream.getvalue()


def _damaged(content: bytes) -> bytes:
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


# --- the file system ------------------------------------------------------------------------------------------------


def _file_system(book: Book) -> None:
    files = chest("system").files()

    def beside(make: Build) -> Build:
        def build(folder: Path) -> None:
            put(folder, files)
            make(folder)

        return build

    def bound(folder: Path) -> None:
        here = Path.cwd()
        os.chdir(folder)  # the name of a socket is short
        try:
            socket.socket(socket.AF_UNIX).bind("socket.dcm")
        finally:
            os.chdir(here)

    def hard(folder: Path) -> None:
        for name in files:
            os.link(folder / name, folder / f"same-{name}")

    def loops(folder: Path) -> None:
        (folder / "a").symlink_to("b")
        (folder / "b").symlink_to("a")
        (folder / "up").symlink_to("..")
        (folder / "root").symlink_to("/")

    def add(name: str, outcome: str, reason: str, build: Build, *, named: bool = True) -> None:
        book.add(f"system-{name}", "system", outcome, reason, build, every_file_named=named)

    add("folder-called-as-a-slice", "scored", "", beside(lambda folder: (folder / "IM9999.dcm").mkdir()))
    add("slices-linked-hard", "scored", "", beside(hard))
    add("links-in-loops", "warned", "link", beside(loops), named=False)
    add(
        "link-to-a-device",
        "warned",
        "link",
        beside(lambda folder: (folder / "zero.dcm").symlink_to("/dev/zero")),
        named=False,
    )
    add("pipe-among-the-slices", "warned", "file", beside(lambda folder: os.mkfifo(folder / "pipe.dcm")))
    add("socket-among-the-slices", "warned", "file", beside(bound))
    add(
        "three-thousand-empty-folders",
        "scored",
        "",
        beside(lambda folder: [(folder / f"d{n}").mkdir() for n in range(3000)] and None),
    )
    add(
        "hole-of-eight-gigabytes",
        "warned",
        "too large|large",
        beside(lambda folder: os.truncate(_touched(folder / "IM9999.dcm"), 8 << 30)),
    )
    add(
        "file-of-zeros",
        "warned",
        "not DICOM|header",
        beside(lambda folder: os.truncate(_touched(folder / "IM9999.dcm"), 4 << 20)),
    )
    add(
        "still-being-copied",
        "scored",
        "",
        beside(lambda folder: put(folder, {"IM9999.dcm.part": b"x", ".hidden": b"y", "~$lock": b"z"})),
    )
    add(
        "backup-of-an-editor",
        "scored",
        "",
        beside(lambda folder: put(folder, {"IM0001.dcm~": files["IM0001.dcm"], "IM0001.dcm.bak": files["IM0001.dcm"]})),
    )


def _touched(path: Path) -> Path:
    path.write_bytes(b"")
    return path


# --- polyglots ------------------------------------------------------------------------------------------------------


def _polyglots(book: Book) -> None:
    def study(name: str, outcome: str, reason: str, change: Callable[[int, bytes], bytes]) -> None:
        book.add(f"polyglot-{name}", "polyglot", outcome, reason, each(f"poly {name}", change))

    hidden = zipped({"evil.sh": b"#!/bin/sh\nid\n"})
    study("archive-behind-each-slice", "warned", "trailing", lambda i, c: c + hidden)
    study("pdf-in-the-preamble", "scored|warned", "", lambda i, c: b"%PDF-1.4\n".ljust(128, b"\0") + c[128:])
    study("tiff-in-the-preamble", "scored|warned", "", lambda i, c: b"II*\0\x08\0\0\0".ljust(128, b"\0") + c[128:])
    study(
        "script-in-the-preamble", "scored|warned", "", lambda i, c: b"#!/bin/sh\nid\nexit\n".ljust(128, b"\n") + c[128:]
    )
    study("mach-o-in-the-preamble", "scored|warned", "", lambda i, c: b"\xcf\xfa\xed\xfe".ljust(128, b"\0") + c[128:])
    study(
        "archive-in-a-private-element",
        "scored",
        "",
        lambda i, c: with_raw(c, 0x00091001, "OB", hidden + b"\0" * (len(hidden) % 2)),
    )
    study(
        "html-in-a-comment",
        "scored",
        "",
        lambda i, c: with_raw(c, 0x00204000, "LT", b"<script>fetch('http://x')</script>"),
    )
    book.add(
        "polyglot-slice-that-is-an-archive",
        "polyglot",
        "scored|warned|refused",
        "",
        {"IM0003.dcm": chest("poly").file(3)[:128] + b"DICM" + hidden},
    )


# --- what costs -----------------------------------------------------------------------------------------------------


def _costly(book: Book) -> None:
    slice_ = chest("costly").file(3)
    wide = b"".join(
        struct.pack("<HH", 0x11, 0x1000 + n) + b"SQ\0\0\x08\0\0\0\xfe\xff\0\xe0\0\0\0\0" for n in range(9000)
    )
    at = slice_.index(b"\x18\0")
    book.add(
        "cost-nine-thousand-sequences",
        "cost",
        "refused|unsuitable",
        "",
        {"IM.dcm": slice_[:at] + b"\x11\0\x10\0LO\4\0MAKE" + wide + slice_[at:]},
    )
    names = "\\".join(["ISO 2022 IR 87"] * 4000).encode()
    book.add(
        "cost-character-sets-by-the-thousand",
        "cost",
        "refused|unsuitable|warned",
        "",
        {"IM.dcm": with_raw(slice_, 0x00080005, "CS", names)},
    )
    book.add(
        "cost-name-of-escapes",
        "cost",
        "refused|unsuitable|warned",
        "",
        {
            "IM.dcm": with_raw(
                with_raw(slice_, 0x00080005, "CS", b"\\ISO 2022 IR 87"), 0x00100010, "PN", b"\x1b$B\x1b(B" * 9000
            )
        },
    )
    book.add(
        "cost-fifteen-megabytes-of-text", "cost", "unsuitable|refused", "", {"IM.dcm": _with_text(slice_, 15 << 20)}
    )
    book.add(
        "cost-two-thousand-tiny-files",
        "cost",
        "refused",
        "not DICOM|header|trunc",
        {f"{n // 500}/{n}.dcm": struct.pack("<I", n) for n in range(2000)},
    )
    book.add(
        "cost-two-hundred-studies-of-one-slice",
        "cost",
        "unsuitable",
        "few|slice",
        {f"{n}.dcm": _one_slice_study(n) for n in range(200)},
        studies=200,
    )
    book.add("cost-one-series-in-two-hundred-patients", "cost", "unsuitable", "patient|identit|few|slice|series", {
        f"{n}.dcm": _other_instance(with_raw(slice_, 0x00100020, "LO", f"P{n:04d} ".encode())) for n in range(200)
    }, studies=1)  # fmt: skip


def _with_text(content: bytes, size: int) -> bytes:
    at = content.rindex(b"\xe0\x7f\x10\x00OW")
    return content[:at] + struct.pack("<HH2sHI", 0x4000, 0x4000, b"UT", 0, size) + b" " * size + content[at:]


def _one_slice_study(number: int) -> bytes:
    small = phantom.chest("tiny").with_matrix(64).with_slices(SLICES)
    content = with_raw(small.file(3), 0x0020000D, "UI", f"2.25.55{number}".encode())
    return _other_instance(with_raw(content, 0x0020000E, "UI", f"2.25.66{number}".encode()))


# --- pixels ---------------------------------------------------------------------------------------------------------


def _pixels(book: Book) -> None:
    def study(name: str, outcome: str, reason: str, change: Callable[[int, bytes], bytes | None]) -> None:
        book.add(f"pixels-{name}", "pixels", outcome, reason, each(f"pix {name}", change))

    def stored(content: bytes, change: Callable[[np.ndarray], np.ndarray]) -> bytes:
        at = content.rindex(b"\xe0\x7f\x10\x00OW") + 12
        values = np.frombuffer(content[at:], "<i2").reshape(128, 128)
        return content[:at] + np.ascontiguousarray(change(values).astype("<i2")).tobytes()

    study("bytes-swapped", "unsuitable", "HU|value", lambda i, c: stored(c, lambda v: v.byteswap()))
    study("shifted-up-by-four-bits", "unsuitable", "HU|value", lambda i, c: stored(c, lambda v: v << 4))
    study(
        "noise",
        "unsuitable",
        "HU|value|lung|damaged",
        lambda i, c: stored(c, lambda v: np.random.default_rng(i).integers(-32768, 32767, v.shape)),
    )
    study(
        "half-of-each-slice-black",
        "scored|warned|unsuitable",
        "",
        lambda i, c: stored(c, lambda v: np.where(np.arange(128)[:, None] < 64, v, 0)),
    )
    study(
        "rows-shifted-by-a-lost-byte",
        "unsuitable|warned",
        "",
        lambda i, c: c[: len(c) - 20001] + c[len(c) - 20000 :] + b"\0" if i % 2 else c,
    )
    study(
        "the-same-picture-in-all-slices",
        "unsuitable|scored|warned",
        "",
        lambda i, c: _with_pixels_of(c, chest("pix the-same-picture-in-all-slices").file(9)),
    )
    study(
        "slices-in-random-order-of-position",
        "unsuitable|warned|scored",
        "",
        lambda i, c: _with_pixels_of(c, chest("pix slices-in-random-order-of-position").file(i * 7 % SLICES)),
    )
    study(
        "upside-down-every-other",
        "unsuitable|warned|scored",
        "",
        lambda i, c: stored(c, lambda v: v[::-1] if i % 2 else v),
    )
    study(
        "extreme-values", "unsuitable", "HU|value", lambda i, c: stored(c, lambda v: np.where(v > 500, 32767, -32768))
    )


def _with_pixels_of(content: bytes, other: bytes) -> bytes:
    at, other_at = content.rindex(b"\xe0\x7f\x10\x00OW") + 12, other.rindex(b"\xe0\x7f\x10\x00OW") + 12
    return content[:at] + other[other_at:]


def cases() -> Iterator[Case]:
    """All cases, unmade."""
    yield from book().cases
