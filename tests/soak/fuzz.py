"""Fuzzing at full length: 30,000 headers, 2,000 slices a codec, and the other parsers."""

from __future__ import annotations

import time

from aicorona_desktop.dicom.client import Reader
from tests.fuzz import campaign, seeds
from tests.fuzz.campaign import Report
from tests.soak.parts import Soak, real

SEED = 1


def fuzz(soak: Soak) -> None:
    """Mutated headers, archives, disc directories, frames between processes, and slices of every codec."""
    files = real("data/dicom")
    began = time.monotonic()
    for name, parse, made, count in (
        ("headers", campaign.headers, seeds.headers(files), 30_000),
        ("archives", campaign.archives, seeds.archives(), 10_000),
        ("disc directories", campaign.directories, seeds.directories(files), 10_000),
        ("frames between processes", campaign.pipes, iter(seeds.slices().values()), 20_000),
    ):
        _tell(soak, name, parse(list(made), soak.rounds(count), SEED))
    with Reader() as reader:
        for codec, contents in seeds.frames(None if files is None else files / "transfer_syntaxes").items():
            _tell(soak, f"slices, {codec}", campaign.slices(reader, contents, soak.rounds(2000), SEED))
    soak.say(f"  {time.monotonic() - began:.0f} s in all")


def _tell(soak: Soak, name: str, report: Report) -> None:
    first = ", ".join(f"{outcome} {count}" for outcome, count in report.outcomes.most_common(5))
    soak.say(
        f"  {name}: {report.inputs} mutated, {len(report.troubles)} troubles, longest {report.longest_s:.2f} s,"
        f" reader replaced {report.restarts} times; {first}"
    )
    if report.troubles:
        report.keep_troubles(soak.folder / "troubles" / name)
    soak.hold(not report.troubles, f"{name}: {report.troubles[0][0] if report.troubles else ''}")
