"""`score-images`: score PNG, JPEG or WebP slices, or folders of them as scans.

A CSV manifest needs a column `file` (paths relative to it): a picture is scored as one slice, a folder as one
scan (file-name order, the pack's slice rule, mean of the features). For a FOLDER each picture in it is scored
as a slice, and each folder that holds pictures, itself included, as a scan.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from aicorona_desktop.app.services import chosen_pack
from aicorona_desktop.cli.options import WrongUseError, add_json, add_model, existing, tell_notes
from aicorona_desktop.cli.report import NOTICE, write_json
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.intake.opening import open_regular
from aicorona_desktop.intake.walking import natural_key, shown_text
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.score import ScoredSlice, score_of
from aicorona_desktop.model.selection import selected

Picture = NDArray[np.uint8] | NDArray[np.uint16]
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of the answer: a picture, or a folder of pictures as a scan."""

    name: str
    pictures: tuple[Path, ...]
    kind: str  # "slice" or "scan"


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser(
        "score-images", help="score pictures, or folders of pictures as scans", description=__doc__
    )
    parser.add_argument("source", type=Path, metavar="MANIFEST.csv|FOLDER")
    parser.add_argument("--features", action="store_true", help="put the 1536 mean features into the JSON")
    add_json(parser)
    add_model(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Score the pictures and print or write the answers."""
    existing([arguments.source])
    wanted = list(_from_manifest(arguments.source) if arguments.source.is_file() else _from_folder(arguments.source))
    if not wanted:
        raise WrongUseError("There are no PNG, JPEG or WebP pictures there.")
    pack = chosen_pack(arguments.pack)
    with Reader() as reader, Scorer(pack, arguments.provider) as scorer:
        scored = _score_all(wanted, reader, scorer)
        answers = [_answer(one, scored, scorer, features=arguments.features) for one in wanted]
        tell_notes(scorer)
    if arguments.json is not None:
        write_json(arguments.json, answers)
    _print(answers, f"{NOTICE} {pack.title}: {pack.status_text}.")
    return 0


def _from_manifest(path: Path) -> Iterator[Wanted]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = csv.DictReader(stream)
            if "file" not in (rows.fieldnames or ()):
                raise WrongUseError("The manifest has no column named 'file'.")
            names = [row["file"] or "" for row in rows]
    except (UnicodeError, csv.Error) as error:
        raise WrongUseError("The manifest is not a CSV file in UTF-8.") from error
    for name in names:
        place = path.parent / name
        if not name or "\0" in name:
            yield Wanted(shown_text(name), (), "slice")
        elif os.path.isdir(place):  # noqa: PTH112 - it takes any name, where Path.is_dir raises for a too long one
            yield Wanted(name, _pictures(place), "scan")
        else:
            yield Wanted(name, (place,), "slice")


def _from_folder(folder: Path) -> Iterator[Wanted]:
    for picture in _pictures(folder):
        yield Wanted(picture.name, (picture,), "slice")
    for place in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())):
        if pictures := _pictures(place):
            yield Wanted(str(place.relative_to(folder)) if place != folder else ".", pictures, "scan")


def _pictures(folder: Path) -> tuple[Path, ...]:
    found = (path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and not path.is_symlink())
    return tuple(sorted(found, key=lambda path: natural_key(path.name)))


def _used(wanted: Wanted, scorer: Scorer) -> tuple[int, ...]:
    """A single picture is used as it is; a scan by the pack's slice rule."""
    count = len(wanted.pictures)
    return selected(count, scorer.pack.slice_rule) if count > 1 else tuple(range(count))


def _score_all(wanted: list[Wanted], reader: Reader, scorer: Scorer) -> dict[Path, ScoredSlice | Finding]:
    """Score each picture that is needed once, reading ahead of the scorer, with a progress bar."""
    paths = list(dict.fromkeys(one.pictures[index] for one in wanted for index in _used(one, scorer)))
    answers: dict[Path, ScoredSlice | Finding] = {}
    digests: dict[int, str] = {}

    def collect(*, until_room: bool) -> None:
        while (answer := scorer.next(0 if until_room and scorer.room else None)) is not None:
            path = paths[answer[0]]
            answers[path] = ScoredSlice(path.name, digests.pop(answer[0]), answer[1])

    console = Console(file=sys.stderr)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for ticket, path in enumerate(progress.track(paths, description="Scoring pictures")):
            picture = _read(path, reader)
            if isinstance(picture, Finding):
                answers[path] = picture
                continue
            collect(until_room=True)
            digests[ticket], pixels = picture
            scorer.submit_picture(ticket, pixels)
        collect(until_room=False)
    return answers


def _read(path: Path, reader: Reader) -> tuple[str, Picture] | Finding:
    opened = open_regular(path, path.name)
    if isinstance(opened, Finding):
        return opened
    data, file = opened
    picture = reader.picture(data, file.sha256)
    return picture if isinstance(picture, Finding) else (file.sha256, picture)


def _answer(
    wanted: Wanted, answers: dict[Path, ScoredSlice | Finding], scorer: Scorer, *, features: bool
) -> dict[str, Any]:
    """Return the line of one picture or scan; an unreadable picture makes it an error, never a guess."""
    pack = scorer.pack
    line: dict[str, Any] = {"file": wanted.name, "kind": wanted.kind, "p_normal": None, "p_cp": None, "p_covid": None}
    line |= {"pack": pack.title, "pack_sha256": pack.sha256, "pack_status": pack.status}
    line |= {"pack_status_text": pack.status_text, "notice": NOTICE}
    scored: dict[int, ScoredSlice] = {}
    for index in _used(wanted, scorer):
        answer = answers[wanted.pictures[index]]
        if isinstance(answer, Finding):
            return line | {"error": f"{shown_text(wanted.pictures[index].name)}: {answer}"}
        scored[index] = answer
    if not scored:
        return line | {"error": "There is no picture here."}
    score = score_of(
        scorer.pack,
        scored,
        slices_total=len(wanted.pictures),
        preliminary=False,
        provider=scorer.provider,
        seconds_read=0.0,
        seconds_infer=0.0,
    )
    line |= dict(zip(("p_normal", "p_cp", "p_covid"), score.probabilities, strict=True))
    line |= {"logits": list(score.logits), "slices_total": score.slices_total, "slices_used": len(score.slice_indices)}
    line |= {"provider": score.provider}
    if features:
        line["features"] = np.mean([one.score.features for one in scored.values()], axis=0, dtype=np.float64).tolist()
    return line


def _print(answers: list[dict[str, Any]], caption: str) -> None:
    table = Table(caption=caption)
    for heading in ("File", "Kind", "Normal", "Other", "COVID-19"):
        table.add_column(heading, overflow="fold")
    for answer in answers:
        values = [answer["p_normal"], answer["p_cp"], answer["p_covid"]]
        shown = [answer["error"], "", ""] if values[0] is None else [f"{value:.3f}" for value in values]
        table.add_row(*map(escape, (shown_text(answer["file"]), answer["kind"], *shown)))
    Console().print(table)
