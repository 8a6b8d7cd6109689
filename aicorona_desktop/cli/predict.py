"""`predict MANIFEST.csv --out DIR`: score every scan of a manifest into predictions.csv.

DICOM folders, folders of PNG or JPEG slices, NIfTI volumes. A run that was stopped or killed goes on where it was:
give the same command again. Scans that can't be scored stand in failures.csv with the reason.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, ClassVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import DEVICES, WrongUseError, existing, new_folder, pack_folder, slice_rule, tell
from aicorona_desktop.cli.report import NOTICE
from aicorona_desktop.evaluation.manifest import FEWEST_SLICES, ManifestError, Split, read_manifest
from aicorona_desktop.evaluation.predicting import PAPER_SECONDS, PredictingRun, Summary, predict

SPLITS = tuple(split.value for split in Split)
STOPPED = 130


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "predict", help="score every scan of a manifest into predictions.csv", description=__doc__
    )
    parser.add_argument("manifest", type=Path, metavar="MANIFEST.csv")
    parser.add_argument("--out", type=new_folder, required=True, metavar="DIR", help="the folder of the results")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where its paths begin (default: beside the manifest)")
    parser.add_argument(
        "--slice-rule", type=slice_rule, metavar="RULE", help="all, middle(F), top_half, bottom_half (default: pack's)"
    )
    parser.add_argument("--all-rules", action="store_true", help="score all slices once and compare the slice rules")
    parser.add_argument(
        "--splits", nargs="+", choices=SPLITS, metavar="SPLIT", help="only these splits (default: all but excluded)"
    )
    parser.add_argument(
        "--fewest-slices",
        type=int,
        default=FEWEST_SLICES,
        metavar="N",
        help=f"fewest slices of an ok scan (default: {FEWEST_SLICES})",
    )
    parser.add_argument("--anyway", action="store_true", help="score DICOM series that the gate finds unsuitable too")
    parser.add_argument("--pack", type=pack_folder, metavar="DIR", help="the model pack (default: the one that ships)")
    parser.add_argument(
        "--provider", "--device", dest="provider", choices=DEVICES, default="auto", help="the device to score on"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score the manifest; say how it went."""
    existing([arguments.manifest])
    wanted = _run_of(arguments)
    bar = ScanBar()
    try:
        with bar:
            summary = predict(wanted, arguments.out, bar.told)
    except KeyboardInterrupt:
        tell("aicorona-desktop: Stopped. What was scored is kept; the same command goes on with the rest.")
        return STOPPED
    print_summary(summary, arguments.out)
    print(f"{NOTICE} {wanted.pack.title}: {wanted.pack.status_text}.")
    return 0


def _run_of(arguments: argparse.Namespace) -> PredictingRun:
    try:
        manifest = read_manifest(arguments.manifest, arguments.fewest_slices)
    except ManifestError as error:
        raise WrongUseError(str(error)) from error
    given = {"splits": tuple(map(Split, arguments.splits))} if arguments.splits else {}
    return PredictingRun(
        manifest=manifest,
        root=arguments.root or arguments.manifest.resolve().parent,
        pack=chosen_pack(arguments.pack),
        provider=arguments.provider,
        slice_rule=arguments.slice_rule,
        all_rules=arguments.all_rules,
        anyway=arguments.anyway,
        **given,
    )


class ScanBar:
    """One bar on standard error; nothing where that is no terminal."""

    TITLES: ClassVar = {"list": "Listing files", "score": "Scoring"}

    def __init__(self) -> None:
        console = Console(file=sys.stderr)
        text = TextColumn("{task.description}")
        columns = (text, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._task = self._progress.add_task(self.TITLES["score"], total=None)

    def __enter__(self) -> ScanBar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def told(self, done: int, total: int | None) -> None:
        """Show how many scans are done."""
        self.step("score", done, total)

    def step(self, step: str, done: int, total: int | None) -> None:
        """Show how far a step is: `list` or `score`."""
        self._progress.update(self._task, description=self.TITLES[step], completed=done, total=total)


def print_summary(summary: Summary, out: Path) -> None:
    """Say how many were scored and how long one took."""
    print(f"Scans: {summary.scans}; scored: {summary.ok}; failed: {summary.failed} (failures.csv says why).")
    if summary.seconds is not None:
        median, mean, low, high = summary.seconds
        print(
            f"Seconds a scan on {', '.join(summary.devices)}: median {median:.2f}, mean {mean:.2f}, "
            f"5th to 95th percentile {low:.2f} to {high:.2f}; together {summary.seconds_total:.0f}. "
            f"The paper's model: {PAPER_SECONDS:.2f} on hardware that it doesn't name."
        )
    print(f"Results: {out}")
