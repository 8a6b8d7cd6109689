"""The command line of training: `python -m aicorona_desktop.training export ...`."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.model.pack import PREPARATIONS
from aicorona_desktop.training.export import Recipe, Slices, export_pack, load_network, untrained_network
from aicorona_desktop.training.graph import NORMALISATIONS, ExportError

LISTS = ("training_data", "measured", "licences", "notes")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it did what it was asked, 1 with a sentence when it could not."""
    wish = _parser().parse_args(arguments)
    try:
        sys.stdout.write(_export(wish))
    except AicoronaError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aicorona_desktop.training", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    export = commands.add_parser("export", help="write a model pack from a checkpoint")
    source = export.add_mutually_exclusive_group(required=True)
    source.add_argument("--weights", type=Path, metavar="FILE", help="safetensors file with timm's names")
    source.add_argument("--untrained", action="store_true", help="random weights, for tests of the program")
    export.add_argument("--seed", type=int, default=0, help="of the random weights (%(default)s)")
    export.add_argument("--out", type=Path, required=True, help="the folder of packs")
    export.add_argument("--name", required=True)
    export.add_argument("--version", required=True, help="numbers with dots; a pack never changes")
    export.add_argument("--preparation", choices=PREPARATIONS, required=True)
    export.add_argument("--normalisation", choices=sorted(NORMALISATIONS), required=True)
    export.add_argument("--input-size", type=int, required=True, metavar="PIXELS")
    export.add_argument("--slice-rule", default="middle(0.5)", help="%(default)s unless told")
    export.add_argument("--temperature", type=float, default=1.0, help="set on scans, never on slices (%(default)s)")
    export.add_argument("--single", action="store_true", help="store the weights in 32 bits instead of 16")
    export.add_argument("--made", type=date.fromisoformat, help="year-month-day; today unless told")
    export.add_argument("--about", type=Path, metavar="FILE", help="TOML: what the card and model.json say")
    export.add_argument(
        "--statistics", type=Path, metavar="FILE", help="npz with prepared slices `train` and `tune`, and text `origin`"
    )
    return parser


def _export(wish: argparse.Namespace) -> str:
    recipe = _recipe(wish)
    normalisation = NORMALISATIONS[recipe.normalisation]
    network = untrained_network(wish.seed, normalisation) if wish.untrained else load_network(wish.weights)
    pack = export_pack(wish.out, recipe, network, _statistics_slices(wish.statistics))
    return f"{pack.folder}\n{pack.title}: {pack.status_text}\nSHA-256 {pack.sha256}\n"


def _recipe(wish: argparse.Namespace) -> Recipe:
    about = _about(wish.about)
    training_data, measured, licences, notes = (tuple(cast("list[str]", about.get(key, []))) for key in LISTS)
    sections = tuple((str(part["heading"]), str(part["text"])) for part in about.get("sections", []))
    return Recipe(
        name=wish.name,
        version=wish.version,
        made=wish.made or datetime.now(UTC).date(),
        preparation=wish.preparation,
        input_size=wish.input_size,
        normalisation=wish.normalisation,
        status="untrained" if wish.untrained else "research",
        slice_rule=wish.slice_rule,
        temperature=wish.temperature,
        half=not wish.single,
        training_data=training_data,
        measured=measured,
        licences=licences,
        notes=notes,
        sections=sections,
    )


def _about(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError("The file given with --about can't be read as TOML.") from error


def _statistics_slices(path: Path | None) -> tuple[Slices, Slices, str] | None:
    """Read slices of uint8 or float32 [n, 1, s, s] in 0...255."""
    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["train"], arrays["tune"], str(arrays["origin"])
    except (OSError, KeyError, ValueError) as error:
        raise ExportError("The file given with --statistics lacks train, tune or origin.") from error


if __name__ == "__main__":
    raise SystemExit(main())
