"""The loaded model: a prepared slice in, class activation maps and features out; on one of several providers."""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from aicorona_desktop.core.errors import AicoronaError

EXECUTION_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "dml": "DmlExecutionProvider",
}
OUTPUTS = ["cam", "features"]
CUDA_MEMORY_BYTES = 2 * 1024**3

Answer = tuple[NDArray[np.float32], NDArray[np.float32]]


class NetworkError(AicoronaError):
    """The model could not be loaded or run on the provider that was asked for."""


class Network(Protocol):
    """A loaded model; `run` may be called from as many threads as `parallel` says."""

    provider: str
    parallel: int

    def run(self, prepared: NDArray[np.float32]) -> Answer:
        """Return cam [3, h, w] and features [f] of a prepared slice [1, s, s]."""


def load(model: bytes, provider: str, input_size: int, workers: int) -> Network:
    """Load a model on a provider; what it really runs on stands in `provider` of the answer.

    Raises:
        NetworkError: the provider isn't there, or does not take the model.
    """
    try:
        if provider.startswith("openvino"):
            return OpenVinoNetwork(model, provider, input_size, workers)
        return OnnxNetwork(model, provider, input_size, workers)
    except (RuntimeError, ImportError, ValueError, KeyError, OSError) as error:
        raise NetworkError(f"The model could not be loaded on {provider}: {error}") from error


class OnnxNetwork:
    """One ONNX Runtime session shared by all worker threads; each run uses the thread that asks for it.

    One thread a run and a run a core costs least, leaves nothing spinning beside the window, and makes the answer
    independent of the number of workers.
    """

    def __init__(self, model: bytes, provider: str, input_size: int, workers: int) -> None:
        if provider == "cuda" and hasattr(onnxruntime, "preload_dlls"):
            onnxruntime.preload_dlls()  # CUDA's own libraries may lie in wheels beside us
        self._session = onnxruntime.InferenceSession(
            model,
            session_options(provider, input_size),
            providers=[(EXECUTION_PROVIDERS[provider], _provider_options(provider))],
            disabled_optimizers=_disabled_optimizers(provider),
        )
        # A provider that fails shall say so; the client decides what follows, not the runtime.
        self._session.disable_fallback()
        self.provider = _really_used(self._session)
        self.parallel = workers if self.provider == "cpu" else 1
        self._input = self._session.get_inputs()[0].name

    def run(self, prepared: NDArray[np.float32]) -> Answer:
        """Return cam [3, h, w] and features [f] of a prepared slice [1, s, s]."""
        cam, features = self._session.run(OUTPUTS, {self._input: prepared[None]})
        return cam[0], features[0]


class OpenVinoNetwork:
    """The model on plain OpenVINO (an extra): fp32, or bf16 where somebody asked for it by name.

    bf16 is 1.7 times as fast on CPUs that have it and gives slightly other maps: never the default.
    """

    def __init__(self, model: bytes, provider: str, input_size: int, workers: int) -> None:
        import openvino  # an extra: not there on every machine

        core = openvino.Core()
        network = core.read_model(model)
        network.reshape([1, 1, input_size, input_size])
        precision = "bf16" if provider == "openvino-bf16" else "f32"
        self._compiled = core.compile_model(
            network,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": precision,
                "INFERENCE_NUM_THREADS": workers,
                "NUM_STREAMS": workers,
            },
        )
        self.provider, self.parallel = provider, workers
        self._own = threading.local()

    def run(self, prepared: NDArray[np.float32]) -> Answer:
        """Return cam [3, h, w] and features [f] of a prepared slice [1, s, s]."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        answers = request.infer({0: prepared[None]})
        cam, features = (np.array(answers[name][0]) for name in OUTPUTS)
        return cam, features


def available_providers() -> tuple[str, ...]:
    """Return our names of the ONNX Runtime providers that this installation holds."""
    there = onnxruntime.get_available_providers()
    return tuple(name for name, theirs in EXECUTION_PROVIDERS.items() if theirs in there)


def runtime_version(provider: str) -> str:
    """Return the version of the runtime behind a provider."""
    if provider.startswith("openvino"):
        import openvino  # an extra: not there on every machine

        return f"openvino {openvino.__version__}"
    return f"onnxruntime {onnxruntime.__version__}"


def device_text() -> str:
    """Return the devices and drivers as one text: where it changes, a provider is proven anew."""
    parts: list[str] = []
    if hasattr(onnxruntime, "get_ep_devices"):
        with contextlib.suppress(RuntimeError):
            parts.extend(
                f"{found.ep_name} {found.device.vendor} {sorted(found.device.metadata.items())}"
                for found in onnxruntime.get_ep_devices()
            )
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/driver/nvidia/version").read_text("utf-8"))
    parts += _windows_drivers()
    return " | ".join(" ".join(part.split()) for part in parts)[:1000]


def session_options(provider: str, input_size: int) -> Any:
    """Return the options that were measured to be the fastest for a program that shares the machine."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.enable_cpu_mem_arena = True
    options.enable_mem_pattern = provider != "dml"  # DirectML's documentation asks for it
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # A graph of fixed size is compiled once on a GPU; a name that the graph lacks is ignored.
    for name, size in (("n", 1), ("h", input_size), ("w", input_size)):
        options.add_free_dimension_override_by_name(name, size)
    return options


def _provider_options(provider: str) -> dict[str, str]:
    if provider == "cuda":
        return {
            "gpu_mem_limit": str(CUDA_MEMORY_BYTES),
            "arena_extend_strategy": "kSameAsRequested",
            "use_tf32": "0",  # the answer shall be the CPU's
        }
    return {}


def _disabled_optimizers(provider: str) -> list[str] | None:
    # Before 1.25 this fusion left the blocked layout and cost 17 % on the CPU; since then it gains more than that.
    major, minor = (int(part) for part in onnxruntime.__version__.split(".")[:2])
    return ["QuickGeluFusion"] if provider == "cpu" and (major, minor) < (1, 25) else None


def _really_used(session: Any) -> str:
    first = session.get_providers()[0]
    return next((name for name, theirs in EXECUTION_PROVIDERS.items() if theirs == first), str(first))


def _windows_drivers() -> list[str]:
    found: list[str] = []
    if sys.platform == "win32":
        import winreg

        adapters = r"SYSTEM\CurrentControlSet\Control\Class\{4d36e968-e325-11ce-bfc1-08002be10318}"
        for number in range(8):
            with (
                contextlib.suppress(OSError),
                winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, rf"{adapters}\{number:04d}") as key,
            ):
                name, version = (winreg.QueryValueEx(key, value)[0] for value in ("DriverDesc", "DriverVersion"))
                found.append(f"{name} {version}")
    return found
