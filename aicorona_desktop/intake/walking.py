"""What lies below a path: every file once, in an order that does not depend on the file system.

Links are never followed, folders are opened from the handle of the folder above (so that nothing can be
exchanged for a link between look and open, and no path is too long), and what is not to be read is named
with the reason.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from aicorona_desktop.core.findings import Finding, Outcome, Reason

DEEPEST_FOLDER = 128
"""Folders nested deeper are refused: each level holds a handle."""

JUNK_NAMES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "autorun.inf", "icon\r"})
JUNK_FOLDERS = frozenset(
    {"$recycle.bin", "system volume information", "lost+found", "@eadir", "#recycle", "#snapshot", "__macosx"}
)
JUNK_PREFIXES = (".", "~$")
JUNK_SUFFIXES = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".temp", ".swp", "~")
"""Hidden files and what other programs still write: not read until renamed (reliability rules, section 3)."""

_KEPT_FORMAT_CHARACTERS = "\u200c\u200d"  # Persian, Indic scripts and emoji need the joiners
_REPLACED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_NUMBERS = re.compile("([0-9]+)")


@dataclass(frozen=True, slots=True)
class Found:
    """One file, or something that is not to be read and why.

    `path` keeps the name's own bytes (surrogate escapes where they are not UTF-8); `shown` is the path below
    `root` for people: NFC, with control and direction characters replaced. A name is never proof of content.
    """

    path: Path
    shown: str
    finding: Finding | None = None
    root: Path | None = None


def walk(paths: Iterable[Path]) -> Iterator[Found]:
    """Yield every file below the paths, in natural order of names (IM2 before IM10), each once.

    A path that is itself a link is resolved, once; links below it are not followed: a link to a folder is
    ignored, any other refused. Hidden and half-written files are ignored. An empty folder yields nothing.
    """
    for given, root in _without_overlap(paths):
        yield from _walk_root(given, root)


def walk_folder(root: Path) -> Iterator[Found]:
    """Yield every file below one folder, as `walk` does, without resolving the folder itself.

    Where it cannot be listed, the first and only thing found is the folder with the reason.
    """
    tops = [_Level(root, "", root)]
    try:
        finding = tops[0].open(None)
        if finding is not None:
            yield Found(root, shown_text(root.name), finding, root)
            return
        while tops:
            top = tops[-1]
            entry = next(top.entries, None)
            if entry is None:
                tops.pop().close()
                continue
            yield from _step(tops, top, entry)
    finally:
        for level in tops:
            level.close()


def is_junk(name: str) -> bool:
    """Whether a file's name, or the last one of a path in an archive, says that it is not for us to read."""
    lowered = name.rpartition("/")[2].lower()
    return lowered in JUNK_NAMES or lowered.startswith(JUNK_PREFIXES) or lowered.endswith(JUNK_SUFFIXES)


def shown_text(name: str) -> str:
    """Return a file's name for people: NFC, with what could hide or move text replaced by U+FFFD."""
    composed = unicodedata.normalize("NFC", name)
    if composed.isascii() and composed.isprintable():
        return composed
    return "".join("\ufffd" if _must_be_replaced(character) else character for character in composed)


def long_name(path: Path) -> str:
    """Return the path as the system takes it at any length: Windows needs a prefix for long ones."""
    text = str(path)
    if os.name != "nt" or len(text) < 240 or text.startswith("\\\\?\\"):
        return text
    return "\\\\?\\UNC\\" + text[2:] if text.startswith("\\\\") else "\\\\?\\" + text


def natural_key(name: str) -> tuple[tuple[str | int, ...], str]:
    """Return a sorting key in which numbers count as numbers; the name itself settles a tie."""
    parts = _NUMBERS.split(name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts)), name


class _Kind(Enum):
    FILE = auto()
    FOLDER = auto()
    LINK = auto()
    OTHER = auto()
    BROKEN = auto()


@dataclass(slots=True)
class _Level:
    """One open folder of the walk."""

    path: Path
    shown: str
    root: Path
    descriptor: int | None = None
    entries: Iterator[tuple[str, _Kind]] = field(default_factory=lambda: iter(()))
    failure: Finding | None = None

    def open(self, above: int | None) -> Finding | None:
        """Open and list the folder, from the handle of the one above; None when that went well."""
        try:
            if sys.platform != "win32":
                name = str(self.path) if above is None else self.path.name
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                self.descriptor = os.open(name, flags, dir_fd=above)
            listed, failure = _listed(self.path, self.descriptor)
        except OSError as error:
            self.close()
            return folder_finding(error)
        if failure is not None:
            listed.append(("", _Kind.BROKEN))
            self.failure = failure
        self.entries = iter(listed)
        return None

    def close(self) -> None:
        """Give the handle back."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def found(self, name: str, finding: Finding | None = None) -> Found:
        """Something in this folder."""
        return Found(self.path / name, self.shown + shown_text(name), finding, self.root)


def _walk_root(given: Path, root: Path) -> Iterator[Found]:
    shown = shown_text(given.name or str(given))
    try:
        status = os.lstat(long_name(root))
    except OSError as error:
        finding = Finding(Outcome.REFUSED, Reason.LINK) if given.is_symlink() else folder_finding(error)
        yield Found(root, shown, finding, root.parent)
        return
    if stat.S_ISDIR(status.st_mode):
        yield from walk_folder(root)
    elif is_junk(given.name):
        yield Found(root, shown, Finding(Outcome.IGNORED, Reason.JUNK), root.parent)
    elif stat.S_ISLNK(status.st_mode):  # a loop: nothing to resolve to
        yield Found(root, shown, Finding(Outcome.REFUSED, Reason.LINK), root.parent)
    elif stat.S_ISREG(status.st_mode):
        yield Found(root, shown, None, root.parent)
    else:
        yield Found(root, shown, Finding(Outcome.REFUSED, Reason.NOT_A_FILE), root.parent)


def _step(tops: list[_Level], top: _Level, entry: tuple[str, _Kind]) -> Iterator[Found]:
    """Tell of one entry, or go down into it."""
    name, kind = entry
    if kind is _Kind.BROKEN:
        yield Found(top.path, top.shown.rstrip("/") or shown_text(top.path.name), top.failure, top.root)
    elif is_junk(name) or (kind is _Kind.FOLDER and name.lower() in JUNK_FOLDERS):
        yield top.found(name, Finding(Outcome.IGNORED, Reason.JUNK))
    elif kind is _Kind.FILE:
        yield top.found(name)
    elif kind is _Kind.LINK:
        yield top.found(name, _link_finding(top, name))
    elif kind is _Kind.OTHER:
        yield top.found(name, Finding(Outcome.REFUSED, Reason.NOT_A_FILE))
    elif len(tops) >= DEEPEST_FOLDER:
        yield top.found(name, Finding(Outcome.REFUSED, Reason.FOLDER_TOO_DEEP))
    else:
        below = _Level(top.path / name, f"{top.shown}{shown_text(name)}/", top.root)
        finding = below.open(top.descriptor)
        if finding is None:
            tops.append(below)
        elif finding.reason is not Reason.NOT_FOUND:  # what has gone meanwhile is not worth a word
            yield top.found(name, finding)


def _listed(path: Path, descriptor: int | None) -> tuple[list[tuple[str, _Kind]], Finding | None]:
    """List one folder in natural order; what could be listed before an error stays, with the reason beside it."""
    listed: list[tuple[str, _Kind]] = []
    failure = None
    with os.scandir(long_name(path) if descriptor is None else descriptor) as entries:
        try:
            listed.extend((entry.name, _kind(entry)) for entry in entries)
        except OSError as error:
            failure = folder_finding(error)
    listed.sort(key=lambda entry: natural_key(entry[0]))
    return listed, failure


def _kind(entry: os.DirEntry[str]) -> _Kind:
    if _is_link(entry):
        return _Kind.LINK
    if entry.is_file(follow_symlinks=False):
        return _Kind.FILE
    return _Kind.FOLDER if entry.is_dir(follow_symlinks=False) else _Kind.OTHER


def _is_link(entry: os.DirEntry[str]) -> bool:
    if sys.platform == "win32":  # junctions, mount points and placeholders of cloud drives are links as well
        return bool(entry.stat(follow_symlinks=False).st_file_attributes & stat.FILE_ATTRIBUTE_REPARSE_POINT)
    else:  # noqa: RET505 - the type checker reads one branch on each system
        return entry.is_symlink()


def _link_finding(level: _Level, name: str) -> Finding:
    """A link to a folder is part of a tree that is walked elsewhere, or is not ours to walk; a file is missed."""
    try:
        target = long_name(level.path / name) if level.descriptor is None else name
        leads_to_folder = stat.S_ISDIR(os.stat(target, dir_fd=level.descriptor).st_mode)
    except OSError:
        leads_to_folder = False
    return Finding(Outcome.IGNORED if leads_to_folder else Outcome.REFUSED, Reason.LINK)


def folder_finding(error: OSError) -> Finding:
    """Return why a folder could not be listed."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return Finding(Outcome.REFUSED, Reason.NOT_LISTED)
    if error.errno in (errno.ELOOP, errno.ENOTDIR):  # it was a folder and is a link or file by now
        return Finding(Outcome.REFUSED, Reason.LINK)
    if error.errno == errno.ENOENT:
        return Finding(Outcome.REFUSED, Reason.NOT_FOUND)
    if error.errno == errno.ENAMETOOLONG:
        return Finding(Outcome.REFUSED, Reason.FOLDER_TOO_DEEP)
    return Finding(Outcome.REFUSED, Reason.UNREADABLE)


def _must_be_replaced(character: str) -> bool:
    return character not in _KEPT_FORMAT_CHARACTERS and unicodedata.category(character) in _REPLACED_CATEGORIES


def _without_overlap(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Resolve what the user gave; a path given twice, or below another one, is walked once."""
    roots = {Path(os.path.realpath(path)): path for path in reversed(tuple(paths))}
    for root, given in reversed(roots.items()):
        if not any(parent in roots for parent in root.parents):
            yield given, root
