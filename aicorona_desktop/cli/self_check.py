"""`self-check`: what this machine can do, each part tried for real."""

from __future__ import annotations

import argparse
import platform
from typing import Any

from rich.console import Console

from aicorona_desktop import __version__
from aicorona_desktop.app.self_check import Check, self_check
from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import PRINTED, add_json_or_print, add_model
from aicorona_desktop.cli.report import NOTICE, give_json

NOT_ALL_WORKS = 3


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "self-check", help="try every part of the program on this machine", description=__doc__
    )
    add_json_or_print(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Try every part; exit code 3 when one does not work."""
    console = Console(stderr=arguments.json == PRINTED)

    def tell(check: Check) -> None:
        mark = "[green]ok  [/]" if check.ok else "[red]FAIL[/]"
        console.print(f"{mark} {check.name}: ", end="")
        console.print(check.detail, markup=False, highlight=False)

    pack = chosen_pack(arguments.pack)
    result = self_check(pack, arguments.provider, tell)
    console.print(f"{NOTICE} {pack.title}: {pack.status_text}.")
    if arguments.json is not None:
        answer = {
            "ok": result.ok,
            "version": __version__,
            "system": platform.platform(),
            "pack": pack.title,
            "pack_sha256": pack.sha256,
            "pack_status": pack.status,
            "pack_status_text": pack.status_text,
            "notice": NOTICE,
            "provider": result.provider,
            "slices_per_s": result.slices_per_s,
            "seconds_study40": result.seconds_study,
            "checks": [{"name": check.name, "ok": check.ok, "detail": check.detail} for check in result.checks],
        }
        give_json(arguments.json, answer)
    return 0 if result.ok else NOT_ALL_WORKS
