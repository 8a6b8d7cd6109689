"""What Linux tells of its mounts, and whether a folder lies on a network drive, where SQLite's locks don't hold."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NETWORK_TYPES = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "fuse.ceph",
        "fuse.cifs",
        "fuse.davfs2",
        "fuse.glusterfs",
        "fuse.gvfsd-fuse",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "smb2",
        "smb3",
        "smbfs",
    }
)
"""File systems of Linux that live on another computer, by their name in mountinfo."""

MOUNTS = Path("/proc/self/mountinfo")
DRIVE_REMOTE = 4  # winbase.h
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo: device number ("8:17"), the folder that it shows of its file system, type and source."""

    device: str
    top: str
    folder: Path
    file_system: str
    source: str


def is_on_network(folder: Path) -> bool:
    """Whether the system says that a folder lies on another computer; False where it can't be known."""
    where = folder.resolve()
    if sys.platform == "win32":
        import ctypes

        root = ctypes.c_wchar_p(where.anchor)
        return bool(ctypes.windll.kernel32.GetDriveTypeW(root) == DRIVE_REMOTE)
    try:
        text = MOUNTS.read_bytes()
    except OSError:  # not Linux
        return False
    return file_system(PurePosixPath(where), text) in NETWORK_TYPES


def file_system(folder: PurePosixPath, text: bytes) -> str:
    """Return the type of the file system that holds an absolute folder, "" when no mount does.

    Args:
        folder: without links in it.
        text: what mountinfo says.
    """
    found, depth = "", -1
    for one in mounts(text):
        point = PurePosixPath(one.folder)
        # The deepest mount holds the folder; of two on the same point, the later one hides the earlier.
        if folder.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = one.file_system, len(point.parts)
    return found


def mounts(text: bytes) -> tuple[Mount, ...]:
    """Return what mountinfo tells; a line that isn't understood is left out.

    Source: proc(5), `/proc/pid/mountinfo`: fields 3 to 5, and behind " - " type and source; space, tab, newline and
    backslash are octal escapes.
    """
    found = []
    for line in text.splitlines():
        fields, separator, rest = line.partition(b" - ")
        parts, ends = fields.split(), rest.split()
        if not separator or len(parts) < 5 or len(ends) < 2:
            continue
        device, top, folder, kind, source = (
            os.fsdecode(_OCTAL.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), part))
            for part in (*parts[2:5], *ends[:2])
        )
        found.append(Mount(device, top, Path(folder), kind, source))
    return tuple(found)
