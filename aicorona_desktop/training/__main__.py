"""Train a network on slices or scans of your own, measure it, and make a model pack of it.

The steps, in their order: prepare (read a manifest's scans once), train, evaluate, export. See docs/training.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.model.pack import PREPARATIONS

if TYPE_CHECKING:
    from aicorona_desktop.training.config import Config
    from aicorona_desktop.training.evaluating import Subject
    from aicorona_desktop.training.export import Recipe, Slices
    from aicorona_desktop.training.finishing import LastLayer
    from aicorona_desktop.training.store import Store

LISTS = ("training_data", "measured", "licences", "notes")
ABOUT_KEYS = (*LISTS, "sections", "started_from")
NORMALISATIONS = ("grey", "imagenet")
FAILED = 2
STOPPED = 3


class WishError(AicoronaError):
    """What was asked for on the command line does not go together."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 2 with a sentence when it could not be, 3 when a run was told to stop on its way."""
    wish = _parser().parse_args(arguments)
    try:
        return cast("int", wish.run(wish))
    except AicoronaError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED
    except ModuleNotFoundError as error:
        sys.stderr.write(f"Training needs the package {error.name}: install the extra `train`.\n")
        return FAILED
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What was saved last is kept.\n")
        return STOPPED


# --- prepare, grow, train ----------------------------------------------------------------------------------------


def _prepare(wish: argparse.Namespace) -> int:
    from aicorona_desktop.evaluation.manifest import Split, read_manifest
    from aicorona_desktop.training.store import prepare

    manifest = read_manifest(wish.manifest)
    splits = tuple(Split(name) for name in wish.splits.split(","))
    with _counted("reading") as told:
        count = prepare(manifest, wish.data, wish.out, storage_px=wish.storage_px, splits=splits, told=told)
    sys.stdout.write(f"{count} slices in {wish.out}\nmanifest SHA-256 {manifest.sha256}\n")
    return 0


def _grow(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.growing import grow

    sys.stdout.write(f"{grow(wish.out, wish.seed)}\n")
    return 0


def _average(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.averaging import write_averaged

    sys.stdout.write(f"{write_averaged(wish.out, wish.files, wish.shares or (), half=wish.half)}\n")
    return 0


def _train(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.loop import train
    from aicorona_desktop.training.progress import progress_bar
    from aicorona_desktop.training.store import Store

    config = _config(wish)
    store = Store(wish.store, config.data.without)
    with progress_bar() as told:
        run = train(config, store, wish.out, resume=wish.resume, device=wish.device, told=told, base=wish.config.parent)
    if not run.finished:
        sys.stderr.write(f"Stopped after {run.steps} steps; go on with --resume.\n")
        return STOPPED
    sys.stdout.write(f"{run.weights}\n{run.steps} steps; best on tune {run.best:.4f}\n")
    return 0


def _config(wish: argparse.Namespace) -> Config:
    from dataclasses import replace

    from aicorona_desktop.training.config import read_config

    config = read_config(wish.config)
    without = tuple(dict.fromkeys((*config.data.without, *wish.without)))
    return replace(config, data=replace(config.data, without=without))


# --- evaluate ----------------------------------------------------------------------------------------------------


def _evaluate(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.evaluating import evaluate, table, write_evaluation

    subject = _subject(wish)
    with _opened_store(wish) as store:
        found = evaluate(subject, store, split=wish.split, rounds=wish.rounds, seed=wish.seed, told=_say)
    if wish.out is not None:
        write_evaluation(wish.out, found)
    sys.stdout.write(table(found))
    return 0


def _subject(wish: argparse.Namespace) -> Subject:
    from aicorona_desktop.model.pack import load_pack
    from aicorona_desktop.training.checkpoint import BEST
    from aicorona_desktop.training.config import read_config
    from aicorona_desktop.training.evaluating import checkpoint_subject, pack_subject, read_run

    if wish.pack is not None:
        if wish.weights is not None or wish.size:
            raise WishError("A pack has its own weights and size; leave --weights and --size out.")
        return pack_subject(load_pack(wish.pack))
    if wish.run_folder is not None:
        config, _ = read_run(wish.run_folder)
        return checkpoint_subject(wish.weights or wish.run_folder / BEST, config, wish.size)
    if wish.weights is None:
        raise WishError("Name the file of weights with --weights.")
    return checkpoint_subject(wish.weights, read_config(wish.config), wish.size)


@contextmanager
def _opened_store(wish: argparse.Namespace) -> Iterator[Store]:
    """Yield the prepared slices that were named, or those of a manifest, prepared for as long as they are needed."""
    from aicorona_desktop.evaluation.manifest import Split, read_manifest
    from aicorona_desktop.training.store import Store, prepare

    if wish.store is not None:
        yield Store(wish.store, tuple(wish.without))
        return
    if wish.data is None:
        raise WishError("Name the folder that the manifest's paths are relative to with --data.")
    with tempfile.TemporaryDirectory(prefix="aicorona-store-") as folder:
        with _counted("reading") as told:
            prepare(read_manifest(wish.manifest), wish.data, Path(folder), splits=tuple(Split), told=told)
        yield Store(Path(folder), tuple(wish.without))


# --- compare -----------------------------------------------------------------------------------------------------


def _compare(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.compare import compare, table_text
    from aicorona_desktop.training.progress import progress_bar
    from aicorona_desktop.training.store import Store

    config = _config(wish)
    with progress_bar() as told:
        rows = compare(
            config,
            Store(wish.store, config.data.without),
            wish.out,
            wish.backbones.split(","),
            rules=wish.rules.split(",") if wish.rules else (),
            weights=dict(_named_file(text) for text in wish.weights),
            base=wish.config.parent,
            device=wish.device,
            told=told,
            beginning=_say,
        )
    sys.stdout.write(table_text(rows))
    return 0


def _named_file(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator or not path:
        raise WishError("Files to start from are given as BACKBONE=FILE.")
    return name, Path(path)


# --- export ------------------------------------------------------------------------------------------------------


def _export(wish: argparse.Namespace) -> int:
    return _export_run(wish) if wish.run_folder is not None else _export_weights(wish)


def _export_run(wish: argparse.Namespace) -> int:
    from aicorona_desktop.core.durable import write_file
    from aicorona_desktop.evaluation.manifest import read_manifest
    from aicorona_desktop.training.evaluating import read_run
    from aicorona_desktop.training.release import Wish, release
    from aicorona_desktop.training.store import Store

    if wish.store is None or wish.manifest is None:
        raise WishError("To export a run, name its prepared slices (--store) and their manifest (--manifest).")
    if wish.preparation or wish.normalisation or wish.slice_rule or wish.untrained:
        raise WishError("A run knows its preparation, normalisation and slice rule; leave them out.")
    config, _ = read_run(wish.run_folder)
    details = Wish(
        name=wish.name,
        version=wish.version,
        made=wish.made or datetime.now(UTC).date(),
        input_size=wish.input_size or 0,
        half=not wish.single,
        layer=_layer(wish),
        about=_about(wish.about),
        earlier=tuple(wish.earlier),
        rounds=wish.rounds,
        seed=wish.seed,
    )
    made = release(
        wish.out,
        wish.run_folder,
        Store(wish.store, config.data.without),
        read_manifest(wish.manifest),
        details,
        judge=Store(wish.store),
        weights=wish.weights,
        told=_say,
    )
    sheet = wish.sheet or wish.run_folder / "maps.png"
    try:
        write_file(sheet, made.sheet)
    except OSError as error:
        raise WishError("The pack is made, but the sheet of maps could not be written.") from error
    pack = made.pack
    sys.stdout.write(f"{pack.folder}\n{pack.title}: {pack.status_text}\nSHA-256 {pack.sha256}\n")
    sys.stdout.write(f"Maps over the slices themselves, not to be handed on: {sheet}\n")
    return 0


def _layer(wish: argparse.Namespace) -> LastLayer | None:
    """Return what was decided by hand about the last layer, None where nothing was."""
    from aicorona_desktop.training.finishing import UNSHIFTED, LastLayer

    if wish.temperature is None and wish.bias_shift is None:
        return None
    if not wish.last_layer_from:
        raise WishError("Say in a sentence what --temperature and --bias-shift were set on: --last-layer-from.")
    return LastLayer(
        1.0 if wish.temperature is None else wish.temperature, wish.bias_shift or UNSHIFTED, wish.last_layer_from
    )


def _export_weights(wish: argparse.Namespace) -> int:
    from aicorona_desktop.training.export import export_pack, load_network, untrained_network
    from aicorona_desktop.training.graph import NORMALISATIONS as CONSTANTS

    if bool(wish.weights) == wish.untrained:
        raise WishError("Name a run with --run, a file with --weights, or ask for --untrained.")
    if not (wish.preparation and wish.normalisation and wish.input_size):
        raise WishError("Without a run, name --preparation, --normalisation and --input-size.")
    recipe = _recipe(wish)
    normalisation = CONSTANTS[recipe.normalisation]
    network = untrained_network(wish.seed, normalisation) if wish.untrained else load_network(wish.weights)
    pack = export_pack(wish.out, recipe, network, _statistics_slices(wish.statistics))
    sys.stdout.write(f"{pack.folder}\n{pack.title}: {pack.status_text}\nSHA-256 {pack.sha256}\n")
    return 0


def _recipe(wish: argparse.Namespace) -> Recipe:
    from aicorona_desktop.training.export import Recipe

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
        slice_rule=wish.slice_rule or "middle(0.5)",
        temperature=1.0 if wish.temperature is None else wish.temperature,
        half=not wish.single,
        training_data=training_data,
        measured=measured,
        licences=licences,
        notes=notes,
        sections=sections,
    )


def _about(path: Path | None) -> dict[str, Any]:
    from aicorona_desktop.training.graph import ExportError

    if path is None:
        return {}
    try:
        about = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ExportError("The file given with --about can't be read as TOML.") from error
    unknown = sorted(set(about) - set(ABOUT_KEYS))
    parts = about.get("sections", [])
    lists_are_right = all(isinstance(about.get(key, []), list) for key in LISTS)
    if (
        unknown
        or not lists_are_right
        or not all(isinstance(one, dict) and {"heading", "text"} <= set(one) for one in parts)
    ):
        raise ExportError(f"The file given with --about holds something else than {', '.join(ABOUT_KEYS)}.")
    return about


def _statistics_slices(path: Path | None) -> tuple[Slices, Slices, str] | None:
    """Read slices of uint8 or float32 [n, 1, s, s] in 0...255."""
    import numpy as np

    from aicorona_desktop.training.graph import ExportError

    if path is None:
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["train"], arrays["tune"], str(arrays["origin"])
    except (OSError, KeyError, ValueError) as error:
        raise ExportError("The file given with --statistics lacks train, tune or origin.") from error


# --- what is told on the way -------------------------------------------------------------------------------------


def _say(what: str) -> None:
    sys.stderr.write(f"{what} ...\n")


@contextmanager
def _counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what hears how many are done and of how many; it shows a bar on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(what)

        def told(done: int, count: int) -> None:
            progress.update(task, completed=done, total=count)

        yield told


# --- the parser --------------------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m aicorona_desktop.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (_add_prepare, _add_grow, _add_train, _add_average, _add_evaluate, _add_compare, _add_export):
        add(commands)
    return parser


def _add_prepare(commands: Any) -> None:
    prepare = commands.add_parser("prepare", help="read every slice of a manifest once, into a folder for training")
    prepare.set_defaults(run=_prepare)
    prepare.add_argument("--manifest", type=Path, required=True, metavar="FILE", help="CSV; columns: docs/training.md")
    prepare.add_argument("--data", type=Path, required=True, metavar="DIR", help="the manifest's paths start here")
    prepare.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of prepared slices")
    prepare.add_argument("--splits", default="train,tune", help="which splits are read (%(default)s)")
    prepare.add_argument("--storage-px", type=int, default=512, metavar="PIXELS", help="longest side (%(default)s)")


def _add_grow(commands: Any) -> None:
    grow = commands.add_parser("grow", help="write EfficientNet-B3 weights grown from EfficientNet-Lite2's")
    grow.set_defaults(run=_grow)
    grow.add_argument("--out", type=Path, required=True, metavar="FILE", help="a .safetensors file, or a folder for it")
    grow.add_argument("--seed", type=int, default=0, help="of the new channels (%(default)s)")


def _add_train(commands: Any) -> None:
    train = commands.add_parser("train", help="run a training file")
    train.set_defaults(run=_train)
    _add_training(train)
    train.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE", help="the training file, TOML")
    parser.add_argument("--store", type=Path, required=True, metavar="DIR", help="what `prepare` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of the run")
    parser.add_argument(
        "--without", action="append", default=[], metavar="SOURCE", help="leave a source out; repeatable"
    )
    parser.add_argument("--device", default="", help="cpu, cuda, cuda:1; what is there unless told")


def _add_average(commands: Any) -> None:
    average = commands.add_parser("average", help="write the mean of the weights of several runs from one start")
    average.set_defaults(run=_average)
    average.add_argument("files", type=Path, nargs="+", metavar="FILE", help="safetensors files of one network")
    average.add_argument("--out", type=Path, required=True, metavar="FILE")
    average.add_argument("--shares", type=float, nargs="+", metavar="SHARE", help="one a file; even unless told")
    average.add_argument("--half", action="store_true", help="round to 16 bits, as packs store kernels")


def _add_evaluate(commands: Any) -> None:
    evaluate = commands.add_parser("evaluate", help="measure a run, a checkpoint or a pack on labelled slices or scans")
    evaluate.set_defaults(run=_evaluate)
    what = evaluate.add_mutually_exclusive_group(required=True)
    what.add_argument("--run", dest="run_folder", type=Path, metavar="DIR", help="a finished run: its best weights")
    what.add_argument("--pack", type=Path, metavar="DIR", help="a model pack, run as the program runs it")
    what.add_argument("--config", type=Path, metavar="FILE", help="with --weights: the training file they belong to")
    evaluate.add_argument("--weights", type=Path, metavar="FILE", help="other weights than the run's best")
    on = evaluate.add_mutually_exclusive_group(required=True)
    on.add_argument("--store", type=Path, metavar="DIR", help="what `prepare` wrote")
    on.add_argument("--manifest", type=Path, metavar="FILE", help="a manifest, read for this once")
    evaluate.add_argument("--data", type=Path, metavar="DIR", help="with --manifest: its paths start here")
    evaluate.add_argument("--split", default="tune", help="%(default)s unless told")
    evaluate.add_argument("--without", action="append", default=[], metavar="SOURCE", help="leave a source out")
    evaluate.add_argument("--size", type=int, default=0, metavar="PIXELS", help="that of the run unless told")
    evaluate.add_argument("--out", type=Path, metavar="DIR", help="for evaluation.json and evaluation.txt")
    _add_statistics(evaluate)


def _add_statistics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=2000, help="of the bootstrap (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of whatever is drawn (%(default)s)")


def _add_compare(commands: Any) -> None:
    compare = commands.add_parser("compare", help="train the paper's backbones and slice rules on one training file")
    compare.set_defaults(run=_compare)
    _add_training(compare)
    compare.add_argument("--backbones", default="efficientnet-b3", metavar="NAMES", help="with commas; %(default)s")
    compare.add_argument("--rules", default="", metavar="RULES", help="slice rules with commas; the file's unless told")
    compare.add_argument(
        "--weights", action="append", default=[], metavar="NAME=FILE", help="weights that a backbone starts from"
    )


def _add_export(commands: Any) -> None:
    export = commands.add_parser("export", help="write a model pack with its card")
    export.set_defaults(run=_export)
    export.add_argument("--run", dest="run_folder", type=Path, metavar="DIR", help="a finished run; needs the next two")
    export.add_argument("--store", type=Path, metavar="DIR", help="the prepared slices of the run")
    export.add_argument("--manifest", type=Path, metavar="FILE", help="the manifest they were prepared from")
    export.add_argument("--weights", type=Path, metavar="FILE", help="safetensors with timm's names; the best of --run")
    export.add_argument("--untrained", action="store_true", help="random weights, for tests of the program")
    export.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of packs")
    export.add_argument("--name", required=True, help="small letters and hyphens")
    export.add_argument("--version", required=True, help="numbers with dots; a pack never changes")
    export.add_argument("--input-size", type=int, metavar="PIXELS", help="that of the run unless told")
    export.add_argument("--single", action="store_true", help="store the weights in 32 bits instead of 16")
    export.add_argument("--made", type=date.fromisoformat, metavar="DATE", help="year-month-day; today unless told")
    export.add_argument("--about", type=Path, metavar="FILE", help="TOML: what the card is to say beyond the measured")
    export.add_argument("--temperature", type=float, metavar="T", help="decided by hand; set on scans, never on slices")
    export.add_argument("--bias-shift", type=_triple, metavar="N,P,C", help="added to the logits, decided by hand")
    export.add_argument("--last-layer-from", default="", metavar="TEXT", help="what the last two were set on")
    export.add_argument(
        "--earlier", type=Path, action="append", default=[], metavar="DIR", help="a run before this one"
    )
    export.add_argument("--sheet", type=Path, metavar="FILE", help="maps over the slices; maps.png in the run's folder")
    _add_statistics(export)
    without_run = export.add_argument_group("without a run")
    without_run.add_argument("--preparation", choices=PREPARATIONS)
    without_run.add_argument("--normalisation", choices=NORMALISATIONS)
    without_run.add_argument("--slice-rule", help="middle(0.5) unless told")
    without_run.add_argument(
        "--statistics", type=Path, metavar="FILE", help="npz with slices `train`, `tune`, and `origin`"
    )


def _triple(text: str) -> tuple[float, float, float]:
    normal, pneumonia, covid = (float(part) for part in text.split(","))
    return normal, pneumonia, covid


if __name__ == "__main__":
    raise SystemExit(main())
