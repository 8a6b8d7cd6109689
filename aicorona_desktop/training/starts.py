"""Where the weights of a run come from: a file that the user names, EfficientNet-Lite2 grown, or chance.

Files are recognised by their names and shapes: PyTorch (torchvision), timm, Keras (HDF5), and our own. A published
file is also known by the digits of its SHA-256 in its name, or by Keras' list; a damaged one is refused.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load

from aicorona_desktop.training.checkpoint import UNREADABLE, TrainingError
from aicorona_desktop.training.config import Config
from aicorona_desktop.training.growing import grown
from aicorona_desktop.training.measuring import normalised
from aicorona_desktop.training.network import CLASS_COUNT, STAGES, EfficientNetB3, untrained
from aicorona_desktop.training.store import Store

CALIBRATION_SLICES: Final = 64
CALIBRATION_PX: Final = 160
TORCHVISION_DIGITS: Final = "b3899882"
"""Of torchvision's file, which some releases hand out under an older name with other digits."""
KERAS_MD5: Final = ("ffd1fdc53d0ce67064dc6a9c7960ede0", "af6d107764bb5b1abb91932881670226")
"""Of Keras' efficientnetb3.h5 and efficientnetb3_notop.h5."""

State = dict[str, torch.Tensor]


def started(config: Config, store: Store, base: Path) -> EfficientNetB3:
    """Return the network that a run begins with, as its training file says.

    Raises:
        TrainingError: the file can't be read or is no EfficientNet-B3, or the package to grow from is missing.
    """
    torch.manual_seed(config.seed)
    if config.start.kind == "grown":
        return grown(_calibration(config, store), config.seed)
    if config.start.kind == "random":
        return untrained(config.seed, _calibration(config, store))
    network = EfficientNetB3()
    network.load_state_dict(read_start(base / config.start.file, network.state_dict()))
    return network


def _calibration(config: Config, store: Store) -> torch.Tensor:
    places = [place for unit in store.units("train", config.data.slice_rule) for place in unit.slices]
    chosen = places[:: max(1, len(places) // CALIBRATION_SLICES)][:CALIBRATION_SLICES]
    slices = [store.prepared(place, config.data.preparation, CALIBRATION_PX) for place in chosen]
    return normalised(torch.from_numpy(np.stack(slices)), config.data.normalisation)


def read_weights(path: Path) -> State:
    """Return the weights of one of our safetensors files, in 32 bits.

    Raises:
        TrainingError: it can't be read.
    """
    try:
        return {name: values.float() for name, values in load(path.read_bytes()).items()}
    except (OSError, SafetensorError) as error:
        raise TrainingError("The file of weights can't be read.") from error


def read_start(path: Path, fresh: State) -> State:
    """Return the weights of any recognised file with our names; a classifier of other classes is left out.

    Args:
        path: safetensors, PyTorch (.pth, .pt, .bin) or Keras (.h5).
        fresh: the weights of a new network: the names and shapes that are wanted, and the classifier where needed.

    Raises:
        TrainingError: the file can't be read, is damaged, or holds another network.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TrainingError("The file of weights to start from can't be read.") from error
    _check_hash(path.name, content)
    stored = _with_our_names(_tensors(path, content))
    classifier = ("classifier.weight", "classifier.bias")
    if stored.get(classifier[0], fresh[classifier[0]]).shape[0] != CLASS_COUNT or classifier[0] not in stored:
        stored |= {name: fresh[name] for name in classifier}
    for name, values in fresh.items():
        if name.endswith("num_batches_tracked"):
            stored[name] = values
        elif name not in stored or stored[name].shape != values.shape:
            raise TrainingError(
                f"The file to start from is not an EfficientNet-B3: {name} is missing or of another shape."
            )
    return {name: stored[name].to(values.dtype) for name, values in fresh.items()}


def _check_hash(name: str, content: bytes) -> None:
    """Published PyTorch files carry the first digits of their SHA-256 in their names."""
    digits = re.search(r"-([0-9a-f]{8})\.(?:pth|pt|bin)$", name)
    if digits and not hashlib.sha256(content).hexdigest().startswith((digits[1], TORCHVISION_DIGITS)):
        raise TrainingError("The file of weights to start from is damaged: its name and its content don't agree.")
    if name in {"efficientnetb3.h5", "efficientnetb3_notop.h5"}:
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if md5 not in KERAS_MD5:
            raise TrainingError("The file of weights to start from is damaged: it is not the one that Keras publishes.")


def _tensors(path: Path, content: bytes) -> State:
    try:
        if path.suffix == ".safetensors":
            return dict(load(content))
        if path.suffix in {".h5", ".hdf5"}:
            return dict(_from_keras(path))
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except ImportError as error:
        raise TrainingError("Keras files need the package h5py, of the extra `train`; or name another file.") from error
    except (*UNREADABLE, KeyError, SafetensorError) as error:
        raise TrainingError("The file of weights to start from can't be read.") from error
    inner = stored.get("state_dict", stored) if isinstance(stored, Mapping) else {}
    return {str(name).removeprefix("module."): values for name, values in inner.items() if torch.is_tensor(values)}


# --- names -------------------------------------------------------------------------------------------------------


def _with_our_names(stored: State) -> State:
    """Timm's names are ours; torchvision's start with `features`."""
    if any(name.startswith("features.") for name in stored):
        return dict(_from_torchvision(stored))
    return stored


def _from_torchvision(stored: State) -> Iterator[tuple[str, torch.Tensor]]:
    for name, values in stored.items():
        parts = name.split(".")
        if parts[0] == "classifier":
            yield f"classifier.{parts[-1]}", values
        elif parts[1] == "0":
            yield f"{'conv_stem' if parts[2] == '0' else 'bn1'}.{parts[-1]}", values
        elif parts[1] == str(len(STAGES) + 1):
            yield f"{'conv_head' if parts[2] == '0' else 'bn2'}.{parts[-1]}", values
        else:
            stage = int(parts[1]) - 1
            place = _torchvision_part(parts[4:-1], expands=STAGES[stage].expansion != 1)
            yield f"blocks.{stage}.{parts[2]}.{place}.{parts[-1]}", values


def _torchvision_part(parts: list[str], *, expands: bool) -> str:
    """Return our name of `block.N...` within a block: convolutions with their batch-norms, then the gates between."""
    step = int(parts[0]) + (0 if expands else 1)  # blocks without expansion lack the first
    if step == 2:
        return {"fc1": "se.conv_reduce", "fc2": "se.conv_expand"}[parts[1]]
    convolution = {0: "conv_pw", 1: "conv_dw", 3: "conv_pwl" if expands else "conv_pw"}[step]
    norm = {0: "bn1", 1: "bn2", 3: "bn3"}[step] if expands else {1: "bn1", 3: "bn2"}[step]
    return convolution if parts[1] == "0" else norm


def _from_keras(path: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Read Keras' layers, named `block2a_expand_conv` and the like; kernels there are [h, w, in, out]."""
    h5py = importlib.import_module("h5py")
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        arrays: dict[str, Any] = {}
        root.visititems(lambda name, item: arrays.__setitem__(name, item[()]) if hasattr(item, "shape") else None)
    for name, values in arrays.items():
        layer, kind = name.split("/")[0], name.split("/")[-1].split(":")[0]
        if layer.endswith("dwconv") and kind == "kernel":
            kind = "depthwise_kernel"  # the name before Keras 3
        if (place := _keras_place(layer)) is not None and kind in _KERAS_KINDS:
            yield f"{place}.{_KERAS_KINDS[kind]}", _keras_tensor(values, kind)


_KERAS_KINDS: Final = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_KERAS_TOPS: Final = {
    "stem_conv": "conv_stem",
    "stem_bn": "bn1",
    "top_conv": "conv_head",
    "top_bn": "bn2",
    "predictions": "classifier",
}


def _keras_place(layer: str) -> str | None:
    if layer in _KERAS_TOPS:
        return _KERAS_TOPS[layer]
    found = re.fullmatch(r"block(\d)([a-z])_(\w+)", layer)
    if found is None:
        return None
    stage, block = int(found[1]) - 1, ord(found[2]) - ord("a")
    expands = STAGES[stage].expansion != 1
    parts = {
        "expand_conv": "conv_pw",
        "expand_bn": "bn1",
        "dwconv": "conv_dw",
        "bn": "bn2" if expands else "bn1",
        "se_reduce": "se.conv_reduce",
        "se_expand": "se.conv_expand",
        "project_conv": "conv_pwl" if expands else "conv_pw",
        "project_bn": "bn3" if expands else "bn2",
    }
    return f"blocks.{stage}.{block}.{parts[found[3]]}" if found[3] in parts else None


def _keras_tensor(values: Any, kind: str) -> torch.Tensor:
    tensor = torch.from_numpy(np.asarray(values, np.float32))
    if kind == "depthwise_kernel":
        return tensor.permute(2, 3, 0, 1).contiguous()
    if kind == "kernel":
        return (tensor.permute(3, 2, 0, 1) if tensor.ndim == 4 else tensor.T).contiguous()
    return tensor
