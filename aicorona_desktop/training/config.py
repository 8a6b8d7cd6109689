"""What a training run is: one frozen tree of typed values, read from TOML, with a hash that every checkpoint carries.

The defaults are the paper's training: 512 pixels, `paper-1`, cross-entropy, the middle half of a scan in one bag,
60 epochs (paper-spec 3). Everything else is said in a file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.model.preprocess import NAMES as PREPARATIONS
from aicorona_desktop.model.selection import selected

NORMALISATIONS = ("imagenet", "grey")


class ConfigError(AicoronaError):
    """A training file can't be read, or asks for something that does not exist."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where the weights come from: `random`, `grown` (EfficientNet-Lite2 from its package) or `file`."""

    kind: Literal["random", "grown", "file"] = "random"
    file: str = ""  # beside the training file, or a whole path


@dataclass(frozen=True, slots=True)
class Data:
    """What becomes of a slice before the network, and which sources are left out."""

    preparation: str = "paper-1"
    normalisation: str = "imagenet"
    slice_rule: str = "middle(0.5)"  # of a scan; single slices are used as they are
    without: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """How often a subject is drawn.

    `plain` goes through all units once an epoch; `balanced` draws a source with weight sqrt(subjects), then a class,
    then a subject with weight sqrt(slices). `bag_slices` is how many slices of a scan are taken together (0: all that
    the slice rule keeps).
    """

    rule: Literal["plain", "balanced"] = "plain"
    one_class_weight: float = 0.35  # of sources with one class: they teach "source = class"
    ambiguous_weight: float = 1.0  # of the class "known only as not covid" against the others of its source
    scan_share: float = 1.0  # of the draws that may be whole scans, where there are scans and single slices
    bag_slices: int = 0
    class_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)  # normal, cp, covid, in the loss


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to training pictures at random; `enabled = false` gives the product's preparation and nothing else.

    `zoom` is the part of the picture that is seen. `tight_sources` are cropped to the lungs already.
    """

    enabled: bool = False
    flip: float = 0.5
    turn_degrees: float = 14.0
    aspect: float = 0.1
    shift: float = 0.07
    zoom: tuple[float, float] = (0.55, 1.1)
    tight_zoom: tuple[float, float] = (0.72, 1.35)
    tight_sources: tuple[str, ...] = ()
    frame_cut: float = 0.65
    window_low_hu: tuple[float, float] = (-1400.0, -950.0)
    window_high_hu: tuple[float, float] = (0.0, 600.0)
    window_none: float = 0.15  # share of slices in Hounsfield units left without a window
    dark_target: tuple[float, float] = (0.08, 0.5)
    bright_target: tuple[float, float] = (0.6, 0.95)
    mild: float = 0.3  # share with a small change of grey only
    slope: tuple[float, float] = (0.5, 2.4)
    source_median: float = 0.6  # share that is mapped by its source's quartiles instead of its own
    own_grey_sources: tuple[str, ...] = ()
    lift: float = 0.5  # highest lift of the brightest
    gamma: float = 0.35
    kernel: float = 0.5
    noise: float = 0.05
    coarse: float = 0.2
    frames: float = 0.25
    round_field: float = 0.12
    table_arc: float = 0.1
    cut_out: float = 0.25
    jpeg: float = 0.3


@dataclass(frozen=True, slots=True)
class Optimiser:
    """AdamW; weight decay on convolutions and the classifier's weights only."""

    beta_1: float = 0.9
    beta_2: float = 0.98
    weight_decay: float = 0.02
    clip: float = 5.0


@dataclass(frozen=True, slots=True)
class Stage:
    """A stretch of training with settings of its own; it starts from the averaged weights of the one before.

    Either `steps` or `epochs`; the other is 0. `rate` is the backbone's, times `rate_decay` per stage of blocks
    towards the stem.
    """

    name: str = "paper"
    steps: int = 0
    epochs: int = 60
    size: int = 512
    batch: int = 8  # units: bags and single slices
    rate: float = 1e-4
    head_rate: float = 1e-3
    rate_decay: float = 1.0
    warm_up: int = 0
    final_rate: float = 0.02  # part of the rate at the end of the cosine
    batch_norm: Literal["frozen", "train"] = "train"
    smoothing: float = 0.0
    dropout: float = 0.3
    drop_path: float = 0.0
    average: float = 0.0  # decay of the running mean of the weights; 0: none
    consistency: float = 0.0
    consistency_ramp: int = 60
    teacher: float = 0.0  # weight of the grown network's own teacher at the first step
    teacher_until: int = 0  # the step at which that weight is 0
    slide: tuple[int, int] = (0, 0)  # steps between which the activation slides to SiLU
    soft_labels: float = 0.0  # weight of the soft-label teachers' answers against the label
    ranking: float = 0.0  # weight of the order of classes within each source
    source_pressure: float = 0.0  # weight of leaving a guess of the source undecided


@dataclass(frozen=True, slots=True)
class Selection:
    """Which checkpoint is the best one: by `macro-auc` or `within-source` on the tuning split."""

    by: Literal["macro-auc", "within-source"] = "macro-auc"
    every: int = 0  # steps between measurements; 0: at the end of each epoch, or of the stage
    size: int = 0  # side of the pictures measured on; 0: that of the stage


@dataclass(frozen=True, slots=True)
class Config:
    """All of a training run but the data themselves."""

    name: str = "paper"
    seed: int = 0
    start: Start = Start()
    data: Data = Data()
    sampling: Sampling = Sampling()
    augmentation: Augmentation = Augmentation()
    optimiser: Optimiser = Optimiser()
    selection: Selection = Selection()
    soft_label_teachers: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = (Stage(),)

    @property
    def sha256(self) -> str:
        """Changes with any field."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True).encode()).hexdigest()


def read_config(path: Path) -> Config:
    """Return the run that a TOML file describes.

    Raises:
        ConfigError: the file can't be read, or a setting is unknown, of the wrong kind or out of its range.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError("The training file can't be read as TOML.") from error
    return config_of(values)


def config_of(values: object) -> Config:
    """Return the run that a table of settings describes, such as the one in a run's `run.json`.

    Raises:
        ConfigError: a setting is unknown, of the wrong kind or out of its range.
    """
    config: Config = _built(Config, values, "")
    check(config)
    return config


def check(config: Config) -> None:
    """Refuse settings that can't be run.

    Raises:
        ConfigError: names the setting.
    """
    if config.data.preparation not in PREPARATIONS:
        raise ConfigError(f"There is no preparation {config.data.preparation!r}.")
    if config.data.normalisation not in NORMALISATIONS:
        raise ConfigError(f"There is no normalisation {config.data.normalisation!r}.")
    try:
        selected(10, config.data.slice_rule)
    except ValueError as error:
        raise ConfigError(f"There is no slice rule {config.data.slice_rule!r}.") from error
    if config.start.kind == "file" and not config.start.file:
        raise ConfigError("The training file says to start from a file and does not name it.")
    if not config.stages:
        raise ConfigError("The training file has no stage.")
    for stage in config.stages:
        _check_stage(stage)


def _check_stage(stage: Stage) -> None:
    if (stage.steps > 0) == (stage.epochs > 0):
        raise ConfigError(f"Stage {stage.name!r} needs either steps or epochs.")
    wrong = (
        (stage.size < 32, "size"),
        (stage.batch < 1, "batch"),
        (stage.rate < 0, "rate"),
        (not 0 <= stage.average < 1, "average"),
        (not 0 <= stage.smoothing < 1, "smoothing"),
        (not 0 <= stage.dropout < 1, "dropout"),
        (not 0 <= stage.drop_path < 1, "drop_path"),
        (not 0 <= stage.soft_labels <= 1, "soft_labels"),
        (stage.ranking < 0, "ranking"),
        (stage.source_pressure < 0, "source_pressure"),
    )
    for is_wrong, name in wrong:
        if is_wrong:
            raise ConfigError(f"Stage {stage.name!r} can't have this value of {name}.")


def _built(kind: type[Any], values: object, place: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{place or 'The training file'} must be a table.")
    kinds = typing.get_type_hints(kind)
    for name in values:
        if name not in kinds:
            raise ConfigError(f"The training file has an unknown setting {place}{name}.")
    return kind(**{name: _value(kinds[name], value, f"{place}{name}") for name, value in values.items()})


def _value(kind: Any, value: object, place: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _built(typing.cast("type[Any]", kind), value, f"{place}.")
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple and isinstance(value, list):
        return _tuple(arguments, value, place)
    if origin is Literal and value in arguments:
        return value
    if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if type(value) is kind:
        return value
    raise ConfigError(f"The setting {place} has a value of the wrong kind.")


def _tuple(kinds: tuple[Any, ...], values: list[object], place: str) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], value, place) for value in values)
    if len(kinds) != len(values):
        raise ConfigError(f"The setting {place} needs {len(kinds)} values.")
    return tuple(_value(kind, value, place) for kind, value in zip(kinds, values, strict=True))
