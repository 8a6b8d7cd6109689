"""A model pack: `model.onnx`, its description `model.json` and its `card.md`, in a folder NAME-VERSION.

Everything in a pack is checked before it is used, and the weights are checked again each time they are read.
The description's own SHA-256 is the pack's: scores are stored with it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import stat
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.places import packs_dir
from aicorona_desktop.core.score import CLASSES, Triple
from aicorona_desktop.model import preprocess
from aicorona_desktop.model.description import DESCRIPTION_FILE, Fields, parsed
from aicorona_desktop.model.onnx_check import FEATURE_LENGTH, LARGEST_MODEL_BYTES, PackError, check_model, printable
from aicorona_desktop.model.selection import selected

__all__ = [
    "PREPARATIONS",
    "STATUSES",
    "FeatureStatistics",
    "KnownAnswer",
    "OperatingPoint",
    "Pack",
    "PackError",
    "Tolerance",
    "default_pack",
    "find_packs",
    "load_pack",
]

SCHEMA: Final = 1
MODEL_FILE, CARD_FILE, STATISTICS_FILE = "model.onnx", "card.md", "statistics.f32"
PREPARATIONS: Final = preprocess.NAMES
STATUSES: Final = {
    "research": "research weights: not validated, not a diagnosis",
    "untrained": "untrained weights: the answers have no meaning, for tests of the program only",
}
LARGEST_INPUT_PX: Final = 1024
LARGEST_KNOWN_SLICE_PX: Final = 512
MOST_COMPONENTS: Final = 256
_LARGEST_BYTES: Final = {
    MODEL_FILE: LARGEST_MODEL_BYTES,
    DESCRIPTION_FILE: 2**20,
    CARD_FILE: 2**20,
    STATISTICS_FILE: 4 * (MOST_COMPONENTS + 1) * FEATURE_LENGTH,
}
_OUR_NAMES: Final = {"directml": "dml"}  # what packs of this schema call a provider, and what the program does
NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
VERSION: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6}){0,3}")


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The p(covid) from which a study counts as positive: at the threshold or above (paper-spec 10)."""

    threshold: float  # on the probability after the pack's temperature, in (0, 1)
    method: str  # the letter of the rule in paper-spec 10
    origin: str  # the data it was chosen on


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far a provider may be from the known answer (design D7)."""

    features_cosine: float  # at least
    logit_difference: float  # at most, of the largest class


@dataclass(frozen=True, slots=True, eq=False)
class KnownAnswer:
    """What the CPU gave for the known slice when the pack was made."""

    contribution: Triple
    cam: NDArray[np.float32]  # [3, h, w]
    features: NDArray[np.float32]  # [1536]


@dataclass(frozen=True, slots=True, eq=False)
class FeatureStatistics:
    """The training data's features: mean, main directions with their variances, one variance for all the rest.

    Squared distance of x: sum over i of (components[i] . (x - mean))^2 / variances[i], plus what is left of
    |x - mean|^2 outside the components, over `residual_variance`. `limit` is on the mean of the distances of a
    study's slices (design D9). Rows of `components` are orthonormal.
    """

    mean: NDArray[np.float32]  # [1536]
    components: NDArray[np.float32]  # [k, 1536]
    variances: NDArray[np.float32]  # [k]
    residual_variance: float
    limit: float
    origin: str  # which data they and the limit were taken from
    unit_length: bool = False  # whether x is a slice's features divided by their length, or the features themselves


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A checked model pack, without its weights in memory; see `load_pack`."""

    folder: Path
    name: str
    version: str
    made: date
    sha256: str  # of model.json, in lower-case hex: the pack's identity
    status: str  # a key of STATUSES
    architecture: str
    input_size: int  # pixels
    map_size: int  # positions of a class-activation map along one side
    classes: tuple[str, ...]
    bias: Triple
    slice_rule: str
    preparation: str
    temperature: float
    operating_point: OperatingPoint | None  # None: not set
    tolerances: Mapping[str, Tolerance]  # by provider, and "default"
    known_slice: NDArray[np.int16]  # [h, w], Hounsfield units
    known_answer: KnownAnswer
    statistics: FeatureStatistics | None
    training_data: tuple[str, ...]
    measured: tuple[str, ...]
    licences: tuple[str, ...]
    notes: tuple[str, ...]
    model_sha256: str
    model_size_bytes: int

    @property
    def title(self) -> str:
        """Name and version, as a person reads them."""
        return f"{self.name} {self.version}"

    @property
    def status_text(self) -> str:
        """The status in plain words, shown wherever a score is shown."""
        return STATUSES[self.status]

    def tolerance(self, provider: str) -> Tolerance:
        """Return what a provider of `protocol.PROVIDERS` may differ by; one that isn't named gets the default."""
        return self.tolerances.get(provider, self.tolerances["default"])

    def model_bytes(self) -> bytes:
        """Return the weights as ONNX, read and checked anew: the runtime gets these bytes, never a path.

        Raises:
            PackError: the file is gone or no longer what it was.
        """
        return _verified(self.folder, MODEL_FILE, self.model_sha256, self.model_size_bytes)

    def card(self) -> str:
        """Return the model card, in Markdown.

        Raises:
            PackError: the file is gone or damaged.
        """
        return _read(self.folder, CARD_FILE).decode("utf-8", "replace")


def load_pack(folder: Path) -> Pack:
    """Check everything in a pack's folder and return it.

    Raises:
        PackError: a file is missing, changed, too large or not what its description says, or the description asks
            for something that this version of the program doesn't know.

    Source: reliability.md 7; design D5, D7, D9, D14.
    """
    description = _read(folder, DESCRIPTION_FILE)
    pack = _described(folder, description)
    check_model(pack.model_bytes())
    return pack


def find_packs(folder: Path) -> tuple[Path, ...]:
    """Return the folders of the packs in a folder, by name; whether each is sound is for `load_pack` to say."""
    if not folder.is_dir():
        return ()
    return tuple(sorted(child for child in folder.iterdir() if (child / DESCRIPTION_FILE).is_file()))


def default_pack(folder: Path | None = None) -> Pack:
    """Return the newest research pack of the program's packs folder, or of another one.

    The newest is the one made last; on the same day the higher version, number by number; then the later name.
    Untrained packs are never the default.

    Raises:
        PackError: there is none, it is damaged, or another's description, card or statistics are: then the
            installation is damaged, and no pack may quietly stand in for another one.
    """
    packs = [
        _described(child, _read(child, DESCRIPTION_FILE))
        for child in find_packs(packs_dir() if folder is None else folder)
    ]
    research = [pack for pack in packs if pack.status == "research"]
    if not research:
        raise PackError("There is no model pack in the program's packs folder. Install the program again.")
    return load_pack(max(research, key=_age).folder)


def _age(pack: Pack) -> tuple[date, tuple[int, ...], str]:
    return pack.made, tuple(int(number) for number in pack.version.split(".")), pack.name


# --- files -------------------------------------------------------------------------------------------------------


def _read(folder: Path, name: str) -> bytes:
    path, largest = folder / name, _LARGEST_BYTES[name]
    try:
        entry = path.lstat()
        if not stat.S_ISREG(entry.st_mode):
            raise PackError(f"The model pack's {name} is not a regular file.")
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except OSError as error:
        raise PackError(f"The model pack's {name} is missing or can't be read.") from error
    if len(content) > largest:
        raise PackError(f"The model pack's {name} is too large.")
    return content


def _verified(folder: Path, name: str, sha256: str, size_bytes: int) -> bytes:
    content = _read(folder, name)
    if len(content) != size_bytes or hashlib.sha256(content).hexdigest() != sha256:
        raise PackError(f"The model pack's {name} was changed or damaged. Install the pack again.")
    return content


# --- the description ---------------------------------------------------------------------------------------------


def _described(folder: Path, content: bytes) -> Pack:
    """Return what model.json says, with everything checked but the weights."""
    description = parsed(content)
    schema = description.integer("schema", 1, 10**6)
    if schema != SCHEMA:
        raise PackError(
            f"The model pack has a description of version {schema}; this program knows {SCHEMA}. "
            "Use a newer version of the program."
        )
    hashes, sizes = description.part("sha256"), description.part("size_bytes")
    for name in (CARD_FILE, STATISTICS_FILE):
        if name == CARD_FILE or name in hashes.fields:
            _verified(folder, name, hashes.text(name), sizes.integer(name, 0, _LARGEST_BYTES[name]))
    name, version = description.matching("name", NAME), description.matching("version", VERSION)
    input_size = description.integer("input_size", 32, LARGEST_INPUT_PX)
    map_size = (input_size + 31) // 32  # five halvings, each rounded up
    _check_same(description, "architecture", ("efficientnet-b3",))
    _check_same(description, "preparation", PREPARATIONS)
    _check_same(description, "status", tuple(STATUSES))
    _check_form(description)
    return Pack(
        folder=folder,
        name=name,
        version=version,
        made=_date(description.text("made")),
        sha256=hashlib.sha256(content).hexdigest(),
        status=description.text("status"),
        architecture=description.text("architecture"),
        input_size=input_size,
        map_size=map_size,
        classes=CLASSES,
        bias=description.triple("bias"),
        slice_rule=_slice_rule(description.text("slice_rule")),
        preparation=description.text("preparation"),
        temperature=description.positive("temperature"),
        operating_point=_operating_point(description),
        tolerances=_tolerances(description.part("tolerances")),
        known_slice=_known_slice(description.part("known_slice")),
        known_answer=_known_answer(description.part("known_answer"), map_size),
        statistics=_statistics(folder, description),
        training_data=description.texts("training_data"),
        measured=description.texts("measured"),
        licences=description.texts("licences"),
        notes=description.texts("notes"),
        model_sha256=hashes.text(MODEL_FILE),
        model_size_bytes=sizes.integer(MODEL_FILE, 1, LARGEST_MODEL_BYTES),
    )


def _check_same(description: Fields, key: str, known: tuple[str, ...]) -> None:
    value = description.text(key)
    if value not in known:
        raise PackError(f"The model pack's {key} ({printable(value)}) is not known to this version of the program.")


def _check_form(description: Fields) -> None:
    """Check what the program has fixed: the order of the classes, the length of the features, the input's range."""
    if description.texts("classes") != CLASSES:
        raise PackError(f"The model pack's classes are not {', '.join(CLASSES)} in this order.")
    if description.integer("feature_length", 0, 10**6) != FEATURE_LENGTH:
        raise PackError(f"The model pack's features are not {FEATURE_LENGTH} numbers.")
    if description.get("input_range", list) != [0, 255]:
        raise PackError("The model pack's input is not grey from 0 to 255.")


def _slice_rule(rule: str) -> str:
    try:
        selected(1, rule)
    except ValueError as error:
        raise PackError(f"The model pack's slice rule ({printable(rule)}) is not known to this program.") from error
    return rule


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise PackError("The model pack's date is not a date.") from error


def _operating_point(description: Fields) -> OperatingPoint | None:
    """Return the first operating point, by which the program goes; an empty list means: not set."""
    points = [
        OperatingPoint(point.number("threshold"), point.text("method"), point.text("origin"))
        for point in description.parts("operating_points")
    ]
    if not all(0 < point.threshold < 1 for point in points):
        raise PackError("The model pack has an operating point that is not between 0 and 1.")
    return points[0] if points else None


def _tolerances(description: Fields) -> dict[str, Tolerance]:
    limits = {provider: description.part(provider) for provider in description.fields}
    tolerances = {
        _OUR_NAMES.get(provider, provider): Tolerance(
            limit.number("features_cosine"), limit.positive("logit_difference")
        )
        for provider, limit in limits.items()
    }
    if "default" not in tolerances or not all(0 < limit.features_cosine < 1 for limit in tolerances.values()):
        raise PackError("The model pack's tolerances are incomplete or not between 0 and 1.")
    return tolerances


def _known_slice(description: Fields) -> NDArray[np.int16]:
    rows = description.integer("rows", 32, LARGEST_KNOWN_SLICE_PX)
    columns = description.integer("columns", 32, LARGEST_KNOWN_SLICE_PX)
    values = _unpacked(description, "int16_zlib_base64", np.dtype("<i2"), rows * columns)
    return _frozen(values.astype(np.int16).reshape(rows, columns))


def _known_answer(description: Fields, map_size: int) -> KnownAnswer:
    cam = _unpacked(description, "cam_float32_zlib_base64", np.dtype("<f4"), len(CLASSES) * map_size**2)
    features = _unpacked(description, "features_float32_zlib_base64", np.dtype("<f4"), FEATURE_LENGTH)
    if not (np.isfinite(cam).all() and np.isfinite(features).all()):
        raise PackError("The model pack's known answer is not finite.")
    return KnownAnswer(
        description.triple("contribution"),
        _frozen(cam.astype(np.float32).reshape(len(CLASSES), map_size, map_size)),
        _frozen(features.astype(np.float32)),
    )


def _statistics(folder: Path, description: Fields) -> FeatureStatistics | None:
    if description.get("feature_statistics", dict | None) is None:
        return None
    part, hashes = description.part("feature_statistics"), description.part("sha256")
    variances = np.asarray(part.numbers("variances"), np.float32)
    count = len(variances)
    size = description.part("size_bytes").integer(STATISTICS_FILE, 0, _LARGEST_BYTES[STATISTICS_FILE])
    content = _verified(folder, STATISTICS_FILE, hashes.text(STATISTICS_FILE), size)
    if not 1 <= count <= MOST_COMPONENTS or len(content) != 4 * (count + 1) * FEATURE_LENGTH:
        raise PackError("The model pack's feature statistics have another size than their description says.")
    rows = np.frombuffer(content, "<f4").astype(np.float32).reshape(count + 1, FEATURE_LENGTH)
    if not np.isfinite(rows).all() or not (variances > 0).all():
        raise PackError("The model pack's feature statistics are not finite or not positive.")
    return FeatureStatistics(
        _frozen(rows[0]),
        _frozen(rows[1:]),
        _frozen(variances),
        part.positive("residual_variance"),
        part.positive("limit"),
        part.text("origin"),
        part.flag("unit_length"),
    )


def _unpacked(description: Fields, key: str, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """Return `count` numbers stored as base64 of a zlib stream, which may not expand to more than them."""
    expected = count * dtype.itemsize
    try:
        packed = base64.b64decode(description.text(key), validate=True)
        content = zlib.decompressobj().decompress(packed, expected + 1)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise PackError(f"The model pack's {key} is damaged.") from error
    if len(content) != expected:
        raise PackError(f"The model pack's {key} has another size than its description says.")
    return np.frombuffer(content, dtype)


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
