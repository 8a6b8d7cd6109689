"""Whether a folder lies on a network drive, where the locks that SQLite lives by don't hold."""

from __future__ import annotations

import re
import sys
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


def is_on_network(folder: Path) -> bool:
    """Whether the system says that a folder lies on another computer; False where it can't be known."""
    where = folder.resolve()
    if sys.platform == "win32":
        import ctypes

        root = ctypes.c_wchar_p(where.anchor)
        return bool(ctypes.windll.kernel32.GetDriveTypeW(root) == DRIVE_REMOTE)
    try:
        mounts = MOUNTS.read_text("utf-8", "surrogateescape")
    except OSError:  # not Linux
        return False
    return file_system(PurePosixPath(where), mounts) in NETWORK_TYPES


def file_system(folder: PurePosixPath, mounts: str) -> str:
    """Return the type of the file system that holds an absolute folder, "" when no mount does.

    Args:
        folder: without links in it.
        mounts: what /proc/self/mountinfo says: "... ... ... ... <mount point> ... - <type> ...", see proc(5).
    """
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(" "), after.split(" ")[0]
        if len(fields) < 5 or not kind:
            continue
        point = PurePosixPath(_unescaped(fields[4]))
        # The deepest mount holds the folder; of two on the same point, the later one hides the earlier.
        if folder.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind, len(point.parts)
    return found


def _unescaped(text: str) -> str:
    """Return a mount point with its blanks: mountinfo writes them as backslash and three octal digits."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
