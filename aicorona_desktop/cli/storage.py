"""`storage`: what the program keeps on the disk, and which images go by the rule of the site. Changes nothing."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from aicorona_desktop.app.storage import Storage, cache_beside, originals_beside, storage_of
from aicorona_desktop.cli.options import add_history, existing_history, site_settings
from aicorona_desktop.core.logs import internal_id
from aicorona_desktop.core.retention import CopiedStudy, Named, Rule, named
from aicorona_desktop.history.store import History, utc_now

MB = 1_000_000


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("storage", help="say what is kept on the disk, and what would go", description=__doc__)
    parser.add_argument("--days", type=int, metavar="N", help="as if images went N days after a study was read")
    parser.add_argument("--gb", type=int, metavar="N", help="as if all images might take N GB")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    add_history(parser, "the history (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Count, and print."""
    place = existing_history(arguments)
    settings = site_settings()
    chosen = arguments.days is not None or arguments.gb is not None
    rule = Rule(arguments.days or 0, arguments.gb or 0) if chosen else settings.retention
    storage = storage_of(place, cache_beside(place, settings.cache_gb))
    with History.open(place, read_only=True) as history:
        copied = history.copied_studies(originals_beside(place))
    goes = named(copied, rule, utc_now())
    print(json.dumps(_plain(storage, rule, copied, goes)) if arguments.json else _text(storage, rule, copied, goes))
    return 0


def _plain(storage: Storage, rule: Rule, copied: tuple[CopiedStudy, ...], goes: tuple[Named, ...]) -> dict[str, object]:
    kept = [one for one in copied if one.kept_because is not None]
    return {
        **asdict(storage),
        "rule": {**asdict(rule), "on": rule.is_on},
        "studies": len(copied),
        "kept": [{"study_uid": one.study_instance_uid, "because": str(one.kept_because)} for one in kept],
        "goes": [
            {
                "study_uid": one.study.study_instance_uid,
                "rule": one.rule,
                "at": one.goes_at.isoformat(),
                "files": one.study.files,
                "size_bytes": one.study.size_bytes,
            }
            for one in goes
        ],
    }


def _text(storage: Storage, rule: Rule, copied: tuple[CopiedStudy, ...], goes: tuple[Named, ...]) -> str:
    lines = [f"{name:32}{value / MB:14,.1f} MB" for name, value in _amounts(storage)]
    if not rule.is_on:
        lines.append("No rule is switched on: no image is ever removed.")
        return "\n".join(lines)
    lines.append(f"Images of {len(goes)} of {len(copied)} study(ies) go by the rule:")
    lines += [
        f"  {internal_id(one.study.study_instance_uid)}  {one.goes_at:%Y-%m-%d %H:%M} UTC"
        f"  {one.study.size_bytes / MB:10,.1f} MB  {one.rule}"
        for one in goes
    ]
    return "\n".join(lines)


def _amounts(storage: Storage) -> tuple[tuple[str, int], ...]:
    return (
        ("The disk", storage.disk_bytes),
        ("Free", storage.free_bytes),
        ("Copies of images", storage.originals_bytes),
        ("Decoded slices (made again)", storage.cache_bytes),
        ("Maps (made again)", storage.maps_bytes),
        ("History and audit", storage.history_bytes),
        ("Backups of the history", storage.backups_bytes),
    )
