"""`rescore STUDY`: score a study of the history again; with --verify compare with the stored score.

Without --verify the files are scored with the present pack, and the old result is kept as superseded. With
--verify nothing is written: every slice is computed again on the CPU and compared. Exit code 1: it differs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import WrongUseError, add_history, add_json, add_model, existing_history, wishes_of
from aicorona_desktop.cli.report import NOTICE, write_json
from aicorona_desktop.cli.triage import triage
from aicorona_desktop.core.places import packs_dir
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import STATUSES, find_packs, load_pack
from aicorona_desktop.triage.rescore import Agreement, RescoreError, verify

DIFFERENT = 1


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "rescore", help="score a study of the history again, or verify its score", description=__doc__
    )
    parser.add_argument("study", metavar="STUDY", help="the Study Instance UID, as the worklist's JSON gives it")
    parser.add_argument("--verify", action="store_true", help="compare with the stored score; nothing is written")
    add_json(parser)
    add_model(parser)
    add_history(parser, "the history that holds the study (default: the program's own)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score again, or verify."""
    with History.open(existing_history(arguments), read_only=True) as history:
        files = [file.path for file in history.files(arguments.study)]
        gone = sum(not path.is_file() for path in files)
        if gone and not arguments.verify:
            raise RescoreError(f"{gone} of the study's files are gone; without them it would be another study.")
        if not files:
            raise WrongUseError("This study is not in the history.")
        if arguments.verify:
            return _verify(arguments, history)
    triage(files, wishes_of(arguments, kept=True), arguments.json)
    return 0


def _verify(arguments: argparse.Namespace, history: History) -> int:
    with Reader() as reader, Scorer(chosen_pack(_pack(arguments, history)), "cpu") as scorer:
        comparison = verify(arguments.study, history, reader, scorer)
    console = Console()
    console.print(f"{comparison.agreement.value}: {comparison.explanation}", style="bold", markup=False)
    status, slices = STATUSES[comparison.now.pack_status], len(comparison.now.slice_indices)
    console.print(f"{comparison.now.pack} ({status}), {slices} slices. {NOTICE}")
    if arguments.json is not None:
        answer = {
            "study_uid": arguments.study,
            "verdict": comparison.agreement.value,
            "identical": comparison.agreement is Agreement.IDENTICAL,
            "explanation": comparison.explanation,
            "largest_difference": comparison.largest_difference,
            "logits_stored": list(comparison.stored.logits),
            "logits_now": list(comparison.now.logits),
            "pack": comparison.now.pack,
            "pack_sha256": comparison.now.pack_sha256,
            "pack_status": comparison.now.pack_status,
            "pack_status_text": status,
            "notice": NOTICE,
        }
        write_json(arguments.json, answer)
    return DIFFERENT if comparison.agreement is Agreement.DIFFERENT else 0


def _pack(arguments: argparse.Namespace, history: History) -> Path | None:
    """Return the pack that the user named, else the shipped one that made the score, else the default."""
    stored = history.result(arguments.study)
    named: Path | None = arguments.pack
    if named is not None or stored is None:
        return named
    return next(
        (folder for folder in find_packs(packs_dir()) if load_pack(folder).sha256 == stored.score.pack_sha256), None
    )
