"""Which drive a folder lies on, as Linux tells it."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

import pytest

from aicorona_desktop.core import drives
from aicorona_desktop.core.drives import NETWORK_TYPES, file_system, is_on_network
from aicorona_desktop.history.store import History, HistoryError

MOUNTS = r"""
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw
23 22 0:21 / /proc rw - proc proc rw
30 22 0:40 / /srv/clinic rw,relatime shared:5 - nfs4 server:/export rw,vers=4.2
31 30 259:3 / /srv/clinic/local rw - xfs /dev/sdb1 rw
32 22 0:50 / /mnt/team\040drive rw - cifs //server/share rw
33 22 0:51 / /auto rw shared:9 - autofs systemd-1 rw
34 33 0:52 / /auto rw - nfs server:/auto rw
35 22 0:53 / /media/ssh rw,nosuid master:3 propagate_from:2 - fuse.sshfs me@host: rw
a line of a later kernel
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/var/lib", "ext4"),
        ("/srv/clinic", "nfs4"),
        ("/srv/clinic/a/b", "nfs4"),
        ("/srv/clinic/local/a", "xfs"),
        ("/srv/clinic2", "ext4"),
        ("/mnt/team drive/a", "cifs"),
        ("/auto/a", "nfs"),
        ("/media/ssh", "fuse.sshfs"),
    ],
)
def test_the_deepest_and_latest_mount_holds_a_folder(folder: str, kind: str) -> None:
    assert file_system(PurePosixPath(folder), MOUNTS.encode()) == kind


def test_without_mounts_nothing_is_claimed() -> None:
    assert file_system(PurePosixPath("/a"), b"") == ""
    assert {"nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs"} <= NETWORK_TYPES
    assert "" not in NETWORK_TYPES


def mounts_file(folder: Path, kind: str) -> Path:
    mounts = folder / "mountinfo"
    mounts.write_text(f"22 1 259:2 / / rw shared:1 - {kind} somewhere rw\n")
    return mounts


@pytest.mark.skipif(sys.platform == "win32", reason="Windows asks the drive itself")
def test_a_history_on_a_network_drive_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    monkeypatch.setattr(drives, "MOUNTS", mounts_file(tmp_path, "nfs4"))

    with pytest.raises(HistoryError, match="network drive"):
        History.open(folder / "history.sqlite3")

    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows asks the drive itself")
def test_a_history_on_a_disk_of_this_computer_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "MOUNTS", mounts_file(tmp_path, "ext4"))

    with History.open(tmp_path / "history.sqlite3") as history:
        assert history.read_only_because == ""


def test_where_the_system_tells_nothing_nothing_is_claimed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drives, "MOUNTS", tmp_path / "missing")

    assert not is_on_network(tmp_path)
