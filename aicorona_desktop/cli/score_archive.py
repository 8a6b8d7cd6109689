"""`score-archive FOLDER --out DIR`: score every study below a folder by several workers, each exactly once.

The results are studies.jsonl, studies.parquet and predictions.csv. A run that was stopped or killed goes on where
it was: give the same command again. `--engine ray` needs the extra `cluster`; Ray opens sockets on 127.0.0.1.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import WrongUseError, add_model, existing, new_folder, positive, some_path, tell
from aicorona_desktop.cli.predict import STOPPED, ScanBar, print_summary
from aicorona_desktop.cli.report import NOTICE
from aicorona_desktop.evaluation.archive.scoring import ArchiveRun, score_archive
from aicorona_desktop.model.providers import worker_count


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score-archive", help="score every study of an archive by several workers", description=__doc__
    )
    parser.add_argument("folder", type=some_path, metavar="FOLDER", help="the archive; nothing in it is changed")
    parser.add_argument("--out", type=new_folder, required=True, metavar="DIR", help="the folder of the results")
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="processes, or actors of Ray")
    parser.add_argument("--workers", type=positive, metavar="N", help="studies at once (default: one a physical core)")
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="a running Ray cluster (default: one of this machine, for this run)"
    )
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score the archive; say how it went."""
    (folder,) = existing([arguments.folder])
    if not folder.is_dir():
        raise WrongUseError("The archive must be a folder.")
    if arguments.out.is_relative_to(folder.resolve()):
        raise WrongUseError("The results must lie outside the archive: it would find itself in there.")
    if arguments.address is not None and arguments.engine != "ray":
        raise WrongUseError("--address is for --engine ray.")
    wanted = _run_of(arguments, folder)
    bar = ScanBar()
    try:
        with bar:
            summary = score_archive(wanted, arguments.out, bar.step)
    except KeyboardInterrupt:
        tell("aicorona-desktop: Stopped. What was scored is kept; the same command goes on with the rest.")
        return STOPPED
    for note in summary.notes:
        tell(note)
    counts = summary.counts
    print(f"Files: {counts.files}; studies: {counts.studies}; files without a study: {counts.left_out}.")
    print_summary(summary.scans, arguments.out)
    print(f"{NOTICE} {wanted.pack.title}: {wanted.pack.status_text}.")
    return 0


def _run_of(arguments: argparse.Namespace, folder: Path) -> ArchiveRun:
    return ArchiveRun(
        root=folder,
        pack=chosen_pack(arguments.pack),
        provider=arguments.provider,
        engine=arguments.engine,
        workers=arguments.workers or worker_count(arguments.provider),
        address=arguments.address,
    )
