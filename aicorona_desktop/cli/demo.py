"""`demo`: write synthetic chest studies as real DICOM files, triage them, print the ranked table."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from aicorona_desktop.app.demo import write_demo
from aicorona_desktop.cli.options import add_history, add_json, add_model, wishes_of
from aicorona_desktop.cli.triage import triage
from aicorona_desktop.core.scratch import scratch_folder


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("demo", help="triage the embedded synthetic studies", description=__doc__)
    parser.add_argument(
        "--keep", type=Path, metavar="DIR", help="write the DICOM files of the demo to DIR and leave them there"
    )
    add_json(parser)
    add_model(parser)
    add_history(parser, "keep the results in this history (default: nothing is kept)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the main job on the embedded demo."""
    wishes = wishes_of(arguments, kept=False)
    with scratch_folder() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        write_demo(folder)
        print("Synthetic studies, made by code; no person is shown. Scores of a phantom say nothing.")
        triage([folder], wishes, arguments.json)
    return 0
