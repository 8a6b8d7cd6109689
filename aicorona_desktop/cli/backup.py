"""`backup list`, `backup make`, `backup restore COPY`: whole copies of the history."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aicorona_desktop.cli.options import WrongUseError, add_history, existing_history, site_settings, tell
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.history import backup
from aicorona_desktop.history.store import History, HistoryError, utc_now


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("backup", help="list, make or put back copies of the history", description=__doc__)
    parser.add_argument("what", choices=("list", "make", "restore"))
    parser.add_argument(
        "copy", nargs="?", metavar="COPY", help="for restore: the number of a backup in the list, or its file"
    )
    parser.add_argument("--also-to", type=Path, metavar="DIR", help="for make: put the backup into this folder as well")
    add_history(parser, "the history (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked for."""
    place: Path = arguments.history or data_dir() / "history.sqlite"
    if arguments.what == "restore":
        return _restore(place, arguments.copy)
    if arguments.copy is not None:
        raise WrongUseError("Only restore takes a COPY.")
    return _list(place) if arguments.what == "list" else _make(existing_history(arguments), arguments.also_to)


def _list(place: Path) -> int:
    made = backup.copies(place)
    if not made:
        print("There is no backup of this history yet.")
    for copy in reversed(made):
        state = "" if backup.is_good(copy.path) else "  can't be read"
        print(f"{copy.number:6}  {copy.made_at:%Y-%m-%d %H:%M} UTC  {copy.path.stat().st_size:>12,} B{state}")
    return 0


def _make(place: Path, also_to: Path | None) -> int:
    with History.open(place) as history:
        for notice in history.notices:
            tell(notice)
        copy = history.backup()
    print(f"The backup {copy.name} was made and read back.")
    folder = also_to or site_settings().backup_also_to
    if folder is not None:
        backup.copy_to(copy, folder, place.stem)
        print(f"It is in {folder} as well, and was read back there.")
    return 0


def _restore(place: Path, wanted: str | None) -> int:
    copy = _chosen(place, wanted)
    lost = backup.affected(place, copy)
    aside = backup.restore(place, copy, utc_now())
    print(f"The backup {copy.name} is in place.")
    if aside.exists():
        print(f"The history before it is kept as {aside.name}.")
    if lost is not None:
        print(
            f"Affected: {lost.since:%Y-%m-%d %H:%M} to {lost.until:%Y-%m-%d %H:%M} UTC, "
            f"{lost.studies} study(ies) and {lost.verdicts} answer(s) of people. "
            "Studies whose files are kept are read again at the next start of the window."
        )
    return 0


def _chosen(place: Path, wanted: str | None) -> Path:
    if wanted is None:
        raise WrongUseError("Name the backup: its number in `backup list`, or its file.")
    if wanted.isdecimal():
        found = [one.path for one in backup.copies(place) if one.number == int(wanted)]
        if not found:
            raise WrongUseError(f"There is no backup number {int(wanted)} of this history.")
        return found[0]
    if not Path(wanted).is_file():
        raise HistoryError(backup.UNREADABLE)
    return Path(wanted)
