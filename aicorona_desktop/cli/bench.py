"""`bench`: how fast this machine scores, as ratios to references measured in the same run.

Times differ between machines and between minutes, ratios travel: candidates take turns on one thread, each round gives
one ratio of process CPU time, and the figure is the median of these with its quartiles (docs/performance.md). PyTorch
and we have a process each in that comparison, for in one the heap of one spares the other its page faults. What isn't
installed is left out.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.cli.options import new_file, positive
from aicorona_desktop.core.child_process import program
from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.frames import Frame, read_frame, write_frame
from aicorona_desktop.imaging.phantom import Thorax
from aicorona_desktop.model.preprocess import prepare
from aicorona_desktop.model.protocol import Kind
from aicorona_desktop.model.score import contribution_of

SIDE_PX = 512
PREPARATION = "paper-1"
MODULE_OF_STREET = "aicorona_desktop.cli.bench_street"
OPERATIONS = 2 * 5.014e9  # of EfficientNet-B3 on one slice of 512 x 512 (performance.md 1)
GEMM = (2048, 1536, 1536)
FEWEST_ROUNDS = 15
WARM_UP = 2
SERVE, READY = "serve", "ready"
TIMEOUT_S = 3600

KEYS = {
    "vs_torch_eager": "times faster than PyTorch eager, the allocator as it comes",
    "vs_torch_eager_tuned": "times faster than PyTorch eager with large blocks kept by malloc",
    "vs_openvino_fp32": "times faster than OpenVINO in fp32",
    "vs_plain_export": "times faster than torch.onnx.export's graph in ONNX Runtime",
    "vs_bare_loop": "times the bare ONNX Runtime loop: preparation, frames and reduction included",
    "vs_gemm_bound": "times the bound: all multiplications at the best rate of a matrix product",
    "study40_vs_inference": "times the inference alone, for a study of 40 slices, files to recorded score",
    "study40_seconds": "seconds for that study",
    "preprocess_ms": "ms of CPU to prepare a 512 x 512 slice",
    "preliminary400_slice_times": "times one slice, for the preliminary score of a checked study of 400 slices",
    "reader_back_s": "seconds until a killed reader answers again",
    "headers_per_s": "headers read a second, from files of 512 x 512 slices",
    "peak_mb_main": "MB at the peak, main process, 400 slices of 512 x 512",
    "peak_mb_scorer": "MB at the peak, scorer process, the same",
    "peak_mb_reader": "MB at the peak, reader process, the same",
}
"""Every figure of the report and what its number means; a figure that wasn't measured is null."""

# glibc gives every large activation back to the kernel and takes it anew; these two keep them.
TUNED_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": str(2**30), "MALLOC_TRIM_THRESHOLD_": str(2**32)}

Seconds = Mapping[str, list[float]]
Candidate = Callable[[], object]


class BenchError(AicoronaError):
    """The measuring process stopped."""


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of the rounds, with quartiles."""

    median: float
    lower_quartile: float
    upper_quartile: float
    rounds: int


def add(commands: Any) -> None:
    """Add the command to the parser."""
    parser = commands.add_parser("bench", help="measure how fast this machine scores", description=__doc__)
    parser.add_argument("--json", type=new_file, metavar="FILE", help="write the figures as JSON to FILE")
    parser.add_argument(
        "--rounds", type=positive, default=FEWEST_ROUNDS, metavar="N", help="at least 15 for a fair figure"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print one line a figure, and write the JSON."""
    rounds = arguments.rounds
    load_before = _load_average()
    figures: dict[str, Figure] = {}
    for part in PARTS:
        for key, figure in part(rounds).items():
            figures[key] = figure
            print(_line(key, figure), flush=True)
    report = {
        **{key: None if key not in figures else figures[key].median for key in KEYS},
        "peak_mb": max((figure.median for key, figure in figures.items() if key.startswith("peak_mb_")), default=None),
        "details": {key: asdict(figure) for key, figure in figures.items()},
        "machine": _machine() | {"load_average": [load_before, _load_average()]},
    }
    for key in KEYS.keys() - figures.keys():
        print(f"{key}: not measured")
    if arguments.json is not None:
        write_file(arguments.json, (json.dumps(report, indent=1) + "\n").encode())
    return 0


# --- the parts of the report: each returns the figures that this machine can give --------------------------------


def scoring(rounds: int) -> dict[str, Figure]:
    """Compare scoring with its references, one thread, 512 x 512; by process CPU time."""
    stock = _apart(("torch", "ours"), rounds, {})
    tuned = _apart(("torch", "ours"), rounds, TUNED_ALLOCATOR)
    runtimes = _measured("runtimes", rounds, {})
    ours = runtimes["ours"]
    bound = OPERATIONS * min(runtimes["gemm"]) / (2 * np.prod(GEMM, dtype=float))
    figures = {
        "vs_torch_eager": _ratios(stock.get("torch"), stock["ours"]),
        "vs_torch_eager_tuned": _ratios(tuned.get("torch"), tuned["ours"]),
        "vs_openvino_fp32": _ratios(runtimes.get("openvino"), ours),
        "vs_plain_export": _ratios(runtimes.get("export"), ours),
        "vs_bare_loop": _ratios(runtimes["path"], ours),
        "vs_gemm_bound": _figure([seconds / bound for seconds in ours]),
        "preprocess_ms": _figure([1000 * seconds for seconds in runtimes["prepare"]]),
    }
    return {key: figure for key, figure in figures.items() if figure is not None}


def street(rounds: int) -> dict[str, Figure]:
    """Measure whole studies, from files to a recorded score, in a process of its own; by wall time."""
    print("The paper: 2.02 s a scan, on an RTX 2080 Ti (357 scans in 12 minutes).")
    return {key: _figure(values) for key, values in _measured("street", rounds, {}, MODULE_OF_STREET).items()}


PARTS: tuple[Callable[[int], dict[str, Figure]], ...] = (street, scoring)


def _measured(
    against: str, rounds: int, environment: Mapping[str, str], module: str = "aicorona_desktop.cli.bench"
) -> Seconds:
    """Run a group of candidates in a process of its own: its allocator and libraries are set before it starts."""
    try:
        ended = subprocess.run(
            [*program(module), against, str(rounds)],
            env=_one_thread(environment),
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return cast("dict[str, list[float]]", json.loads(ended.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        words = getattr(error, "stderr", None) or b""
        raise BenchError(f"The measurement stopped: {words.decode('utf-8', 'replace')[-500:]}") from error


def _one_thread(environment: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS_", "MALLOC_"))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {**kept, **threads, **environment}


def _apart(names: tuple[str, ...], rounds: int, environment: Mapping[str, str]) -> dict[str, list[float]]:
    """Let candidates take turns that live in processes of their own, as a user of each would run it.

    In one process they share the heap: what one keeps spares the other its page faults. A candidate that isn't
    installed is left out.
    """
    command = [*program("aicorona_desktop.cli.bench"), SERVE]
    with ExitStack() as stack:
        running = {}
        for name in names:
            process = subprocess.Popen(
                [*command, name], env=_one_thread(environment), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, text=True
            )
            stack.callback(process.kill)
            if process.stdout is not None and process.stdout.readline().strip() == READY:
                running[name] = process
        seconds: dict[str, list[float]] = {name: [] for name in running}
        for turn in range(rounds):
            for place in range(len(running)):
                name = list(running)[(turn + place) % len(running)]
                seconds[name].append(_one_run(running[name]))
    return seconds


def _one_run(process: subprocess.Popen[str]) -> float:
    if process.stdin is None or process.stdout is None:
        raise BenchError("The measurement stopped.")
    process.stdin.write("\n")
    process.stdin.flush()
    try:
        return float(process.stdout.readline())
    except ValueError as error:
        raise BenchError("The measurement stopped.") from error


def _ratios(theirs: list[float] | None, ours: list[float]) -> Figure | None:
    return None if theirs is None else _figure([one / other for one, other in zip(theirs, ours, strict=True)])


def _figure(values: list[float]) -> Figure:
    lower, median, upper = np.percentile(values, [25, 50, 75]).tolist()
    return Figure(median, lower, upper, len(values))


def _line(key: str, figure: Figure) -> str:
    spread = f"[{figure.lower_quartile:.3f} to {figure.upper_quartile:.3f}], {figure.rounds} rounds"
    return f"{key}: {figure.median:.3f} {KEYS[key]} {spread}"


def _load_average() -> float | None:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _machine() -> dict[str, object]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "size_px": SIDE_PX,
        "padding": "asymmetric (TensorFlow's SAME)",
        "clock": "process CPU time, one thread, batch 1",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


# --- in the measuring process --------------------------------------------------------------------------------------


def measure(rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of each candidate in each round; all take their turn in every round."""
    candidates = dict(_candidates())
    for candidate in candidates.values():
        for _ in range(WARM_UP):
            candidate()
    names = list(candidates)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    gc.disable()
    for turn in range(rounds):
        for place in range(len(names)):
            name = names[(turn + place) % len(names)]
            started = time.process_time()
            candidates[name]()
            seconds[name].append(time.process_time() - started)
        gc.collect()
    return seconds


def _slice() -> NDArray[np.int16]:
    return Thorax(slices=24, matrix=SIDE_PX, ground_glass=0.4, noise_hu=4.0).slice(12)


def serve(name: str) -> None:
    """Run one candidate each time a line comes in; answer each with the CPU seconds of the run."""
    prepared = prepare(
        Thorax(slices=24, matrix=SIDE_PX, ground_glass=0.4, noise_hu=4.0).slice(12), PREPARATION, SIDE_PX
    )
    candidate = _torch_eager(prepared) if name == "torch" else _ours_alone(prepared)
    for _ in range(WARM_UP):
        candidate()
    print(READY, flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        candidate()
        print(time.process_time() - started, flush=True)


def _torch_eager(prepared: NDArray[np.float32]) -> Candidate:
    import torch

    from aicorona_desktop.training.export import untrained_network
    from aicorona_desktop.training.graph import NORMALISATIONS

    torch.set_num_threads(1)
    network = untrained_network(0, NORMALISATIONS["imagenet"]).eval()
    picture = torch.from_numpy(np.repeat(prepared[None] / 255, 3, axis=1).astype(np.float32))

    def run_network() -> object:
        with torch.inference_mode():
            return network(picture)

    return run_network


def _ours_alone(prepared: NDArray[np.float32]) -> Candidate:
    """The shipped graph; the time of a run doesn't depend on the weights."""
    from aicorona_desktop.model.pack import default_pack
    from aicorona_desktop.model.scorer.network import OnnxNetwork

    network = OnnxNetwork(default_pack().model_bytes(), "cpu", SIDE_PX, 1)
    return lambda: network.run(prepared)


def _candidates() -> Iterator[tuple[str, Candidate]]:
    hounsfield = _slice()
    prepared = prepare(hounsfield, PREPARATION, SIDE_PX)
    model, of_torch = _network(prepared)
    yield from _our_candidates(model, hounsfield, prepared)
    yield from of_torch
    yield from _openvino(model, prepared)
    yield "gemm", _matrix_product()


def _network(prepared: NDArray[np.float32]) -> tuple[bytes, tuple[tuple[str, Candidate], ...]]:
    """Return the network's ONNX file as we make it, and PyTorch's own export of the same weights."""
    try:
        import torch

        from aicorona_desktop.training.export import model_bytes, untrained_network
        from aicorona_desktop.training.graph import NORMALISATIONS
    except ImportError:
        from aicorona_desktop.model.pack import default_pack

        return default_pack().model_bytes(), ()  # its padding is right for 512 pixels as well
    torch.set_num_threads(1)
    network = untrained_network(0, NORMALISATIONS["imagenet"])
    network.eval()
    weights = {name: values.numpy() for name, values in network.state_dict().items()}
    picture = torch.from_numpy(np.repeat(prepared[None] / 255, 3, axis=1).astype(np.float32))
    return model_bytes(weights, NORMALISATIONS["imagenet"], SIDE_PX), tuple(_plain_export(network, picture))


def _our_candidates(
    model: bytes, hounsfield: NDArray[np.int16], prepared: NDArray[np.float32]
) -> Iterator[tuple[str, Candidate]]:
    from aicorona_desktop.model.scorer.network import OnnxNetwork

    network = OnnxNetwork(model, "cpu", SIDE_PX, 1)
    yield "ours", lambda: network.run(prepared)

    def path() -> object:
        """Do everything that a slice costs on either side of the pipe."""
        (values,) = _through_a_pipe(Frame(Kind.SLICE, 1, (hounsfield,))).fields
        cam, features = network.run(prepare(cast("NDArray[np.int16]", values), PREPARATION, SIDE_PX))
        answer = _through_a_pipe(Frame(Kind.SCORE, 1, (cam, features))).fields[0]
        return contribution_of(cast("NDArray[np.float32]", answer))

    yield "path", path
    yield "prepare", lambda: prepare(hounsfield, PREPARATION, SIDE_PX)


def _through_a_pipe(frame: Frame) -> Frame:
    pipe = BytesIO()
    write_frame(pipe, frame)
    pipe.seek(0)
    return cast("Frame", read_frame(pipe))


def _openvino(model: bytes, prepared: NDArray[np.float32]) -> Iterator[tuple[str, Candidate]]:
    from aicorona_desktop.model.scorer.network import NetworkError, load

    try:
        network = load(model, "openvino", SIDE_PX, 1)
    except NetworkError:
        return
    yield "openvino", lambda: network.run(prepared)


def _plain_export(network: Any, picture: Any) -> Iterator[tuple[str, Candidate]]:
    import onnxruntime
    import torch

    exported = BytesIO()
    torch.onnx.export(network, (picture,), exported, opset_version=17, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(exported.getvalue(), options, providers=["CPUExecutionProvider"])
    values = picture.numpy()
    yield "export", lambda: session.run(None, {"x": values})


def _matrix_product() -> Candidate:
    rng = np.random.default_rng(0)
    rows, inner, columns = GEMM
    one = rng.normal(size=(rows, inner)).astype(np.float32)
    other = rng.normal(size=(inner, columns)).astype(np.float32)
    answer = np.empty((rows, columns), np.float32)
    return lambda: np.matmul(one, other, out=answer)


if __name__ == "__main__":
    if sys.argv[1] == SERVE:
        serve(sys.argv[2])
    else:
        print(json.dumps(measure(int(sys.argv[2]))))
