"""Discs and sticks: told from other mounts, told apart, and looked at without starting anything."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from aicorona_desktop.core.drives import mounts
from aicorona_desktop.intake import media
from aicorona_desktop.intake.media import MediaWatch, Medium, MediumKind, Whereabouts
from aicorona_desktop.intake.media_asked import Asked

MOUNTINFO = rb"""22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
41 27 259:1 / /boot/efi rw,relatime shared:2 - vfat /dev/nvme0n1p1 rw
60 27 11:0 / /media/ana/CHEST\040CD ro,nosuid,nodev,relatime shared:3 - iso9660 /dev/sr0 ro
61 27 8:17 / /run/media/ana/Kingston\134A rw,nosuid shared:4 - vfat /dev/sdb1 rw
62 27 8:33 / /srv/backup rw shared:5 - ext4 /dev/sdc1 rw
63 27 8:49 / /data/ana/stick rw shared:6 - exfat /dev/sdd1 rw
64 27 0:50 / /media/share rw shared:7 - cifs //nas/share rw
65 27 8:81 /folder /data/ana/bound rw shared:4 - vfat /dev/sdf1 rw
66 27 11:1 / /mnt/udf ro shared:8 master:1 - udf /dev/sr1 ro
a line of a later kernel
67 27 7:0 / /snap/core ro shared:9 - squashfs /dev/loop0 ro
"""


def found(text: bytes = MOUNTINFO, removable: frozenset[str] = frozenset({"8:49", "8:81"})) -> dict[str, Medium]:
    names = {"/dev/sr0": "CHEST CD"}
    return {
        str(one.root): one
        for one in media.media_of(
            mounts(text), removable.__contains__, lambda source: names.get(source, ""), lambda _: "1A2B"
        )
    }


def test_discs_and_sticks_are_told_from_the_mounts_of_the_system() -> None:
    kinds = {root: one.kind for root, one in found().items()}

    assert kinds == {
        "/media/ana/CHEST CD": MediumKind.DISC,
        "/run/media/ana/Kingston\\A": MediumKind.STICK,
        "/data/ana/stick": MediumKind.STICK,
        "/mnt/udf": MediumKind.DISC,
    }


def test_a_medium_is_called_by_its_volume_or_by_where_it_is() -> None:
    assert found()["/media/ana/CHEST CD"].shown == "CHEST CD"
    assert found()["/run/media/ana/Kingston\\A"].shown == "Kingston\\A"


def test_a_device_that_can_be_taken_out_is_told_by_itself_or_by_the_disk_it_is_a_part_of(tmp_path: Path) -> None:
    for name, removable, size in (("sdb", "1", "100"), ("sda", "0", "100"), ("sr0", "1", "0")):
        (tmp_path / name / "part").mkdir(parents=True)
        (tmp_path / name / "removable").write_text(f"{removable}\n")
        (tmp_path / name / "size").write_text(f"{size}\n")
        (tmp_path / name / "part" / "size").write_text(f"{size}\n")

    assert media.is_removable("sdb", tmp_path)
    assert media.is_removable("sdb/part", tmp_path)
    assert not media.is_removable("sda/part", tmp_path)
    assert not media.is_removable("gone", tmp_path)
    assert media.is_present("sdb/part", tmp_path)
    assert not media.is_present("sr0", tmp_path)  # the tray is empty
    assert not media.is_present("8:99", tmp_path)  # pulled out, and still mounted
    assert media.is_present("0:50", tmp_path)  # no block device at all


def test_the_name_of_a_volume_is_read_from_its_link(tmp_path: Path) -> None:
    (tmp_path / "sr0").write_bytes(b"")
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "CHEST\\x20CD").symlink_to("../sr0")

    assert media.volume_name(str(tmp_path / "sr0"), tmp_path / "names") == "CHEST CD"
    assert media.volume_name(str(tmp_path / "sr1"), tmp_path / "names") == ""
    assert media.volume_name(str(tmp_path / "sr0"), tmp_path / "none") == ""


def test_drive_letters_of_windows_are_discs_and_sticks_where_a_medium_is_in_them() -> None:
    types = {"C:\\": 3, "D:\\": 5, "E:\\": 2, "F:\\": 5, "Z:\\": 4}
    volumes = {"D:\\": ("CHEST CD", 0x1A2B3C4D, "CDFS"), "E:\\": ("", 7, "FAT32"), "C:\\": ("System", 1, "NTFS")}
    mask = sum(1 << ord(letter[0]) - ord("A") for letter in types)

    drives = list(media.drives_of(mask, types.__getitem__, volumes.get))

    assert [(one.root, one.kind, one.label, one.serial) for one in drives] == [
        (Path("D:\\"), MediumKind.DISC, "CHEST CD", "1a2b3c4d"),
        (Path("E:\\"), MediumKind.STICK, "", "00000007"),
    ]


def test_what_has_come_and_what_has_gone_is_told_once() -> None:
    disc, stick = Medium(Path("/a"), MediumKind.DISC), Medium(Path("/b"), MediumKind.STICK)
    looks = iter([(disc,), (disc, stick), (disc, stick), (stick,)])
    watch = MediaWatch(lambda: next(looks))

    assert [watch.changes() for _ in range(4)] == [((disc,), ()), ((stick,), ()), ((), ()), ((), (disc,))]


def test_another_disc_in_the_same_drive_is_another_disc() -> None:
    looks = iter([(Medium(Path("/a"), MediumKind.DISC, "ONE"),), (Medium(Path("/a"), MediumKind.DISC, "TWO"),)])
    watch = MediaWatch(lambda: next(looks))
    watch.changes()

    come, gone = watch.changes()

    assert [one.label for one in come] == ["TWO"]
    assert [one.label for one in gone] == ["ONE"]


@pytest.mark.parametrize("name", ["DICOMDIR", "dicomdir", "Dicomdir;1", "DICOMDIR.;1", "DICOMDIR."])
def test_a_disc_directory_is_known_in_any_spelling(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"anything")
    (tmp_path / "autorun.inf").write_text("[autorun]\nopen=virus.exe\n")

    assert media.look_at(tmp_path).has_dicom
    assert not media.is_disc_directory("DICOMDIR.txt")


def test_dicom_is_known_by_the_first_bytes_of_files_and_other_media_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for number in range(5):
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(b"\xff\xd8" + bytes(300))
    before = media.look_at(tmp_path)
    (tmp_path / "photos" / "IM3").write_bytes(bytes(128) + b"DICM" + bytes(10))

    assert not before.has_dicom
    assert (before.files, before.size_bytes, before.whole) == (5, 5 * 302, True)
    assert media.look_at(tmp_path).has_dicom


def test_a_medium_that_takes_for_ever_is_counted_in_part(tmp_path: Path) -> None:
    for number in range(10):
        (tmp_path / f"{number}").write_bytes(b"x")
    ticks = iter(range(0, 1000, 3))

    look = media.look_at(tmp_path, now=lambda: float(next(ticks)))

    assert 0 < look.files < 10
    assert not look.whole


def test_a_medium_has_one_fingerprint_wherever_it_is_mounted(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "DICOMDIR").write_bytes(b"x" * 100)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first = Medium(tmp_path / "one", MediumKind.DISC, "CD", "iso9660", "7")
    again = Medium(tmp_path / "two", MediumKind.DISC, "CD", "iso9660", "7")

    assert media.fingerprint(first) == media.fingerprint(again)
    (tmp_path / "two" / "more").write_bytes(b"y")
    assert media.fingerprint(first) != media.fingerprint(again)


def test_a_medium_that_comes_back_in_another_place_is_found(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "DICOMDIR").write_bytes(b"x" * 100)
    medium = Medium(tmp_path / "one", MediumKind.DISC, "CD")
    there: list[Medium] = []
    where = Whereabouts(medium, lambda: tuple(there))

    assert where() == tmp_path / "one"
    (tmp_path / "one").rename(tmp_path / "other")
    assert where() is None
    (tmp_path / "strange").mkdir()
    there.append(Medium(tmp_path / "strange", MediumKind.DISC, "CD"))
    assert where() is None
    there.append(Medium(tmp_path / "other", MediumKind.DISC, "CD"))
    assert where() == tmp_path / "other"


def test_a_medium_is_asked_about_once_also_after_a_restart(tmp_path: Path) -> None:
    asked = Asked(tmp_path)
    assert not asked.was("a")

    asked.note("a")

    assert asked.was("a")
    assert Asked(tmp_path).was("a")
    assert not Asked(tmp_path).was("b")
    (tmp_path / "media.json").write_text("broken")
    assert not Asked(tmp_path).was("a")
