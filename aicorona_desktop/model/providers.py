"""Which provider runs the model: CUDA, DirectML or the CPU, each proven on the pack's known slice (design D7)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.model.pack import KnownAnswer, Tolerance
from aicorona_desktop.model.protocol import PROVIDERS

AUTOMATIC = ("cuda", "dml")
PROOF_LASTS = timedelta(days=7)
MOST_WORKERS = 8
WORKER_BYTES = 140 * 1024**2
RUNTIME_FLAVOURS = (
    "onnxruntime",
    "onnxruntime-gpu",
    "onnxruntime-directml",
    "onnxruntime-openvino",
    "onnxruntime-windowsml",
)


@dataclass(frozen=True, slots=True)
class Proof:
    """How a provider did on the known slice, beside what the CPU gave when the pack was made.

    `seconds` is the median wall time of a slice; what is not a number agrees with nothing.
    """

    features_cosine: float
    logit_difference: float
    seconds: float

    def agrees(self, limits: Tolerance) -> bool:
        """Whether the answer stays within what the pack allows this provider."""
        return self.features_cosine >= limits.features_cosine and self.logit_difference <= limits.logit_difference


def proof_of(answer: SliceScore, known: KnownAnswer, seconds: float) -> Proof:
    """Compare an answer for the known slice with the stored one."""
    difference = max(abs(ours - theirs) for ours, theirs in zip(answer.contribution, known.contribution, strict=True))
    return Proof(cosine(answer.features, known.features), difference, seconds)


def cosine(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> float:
    """Return the cosine of the angle between two vectors of features; 0 where one has no length or no number."""
    one, other = ours.astype(np.float64), theirs.astype(np.float64)
    length = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / length if length > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What a provider's proof depends on: a change of any of these asks for a new one."""

    pack_sha256: str
    runtime: str
    device: str

    def key(self, provider: str) -> str:
        """Return a short name of this machine, pack and provider for the record."""
        text = "\n".join((self.pack_sha256, provider, self.runtime, self.device))
        return f"{provider}:{hashlib.sha256(text.encode()).hexdigest()[:24]}"


@dataclass(slots=True)
class ProofRecord:
    """What was proven on this machine and when: a small JSON file, whose loss only costs a new proof."""

    path: Path
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def passed(self, key: str) -> bool | None:
        """Return whether the provider passed within the last week; None where nothing fresh is known."""
        entry = self._entries().get(key)
        if entry is None:
            return None
        passed, proven_at = entry
        age = self.now() - proven_at
        return passed if timedelta(0) <= age <= PROOF_LASTS else None

    def remember(self, key: str, *, passed: bool) -> None:
        """Write down the outcome of a proof; where that fails, the next start proves again."""
        entries = self._entries() | {key: (passed, self.now())}
        fresh = {name: entry for name, entry in entries.items() if self.now() - entry[1] <= PROOF_LASTS}
        self._write(fresh)

    def forget(self, provider: str) -> None:
        """Drop what is known of a provider: after it failed at work, after sleep, after a driver's change."""
        self._write({key: entry for key, entry in self._entries().items() if not key.startswith(f"{provider}:")})

    def _entries(self) -> dict[str, tuple[bool, datetime]]:
        try:
            stored = cast("dict[str, dict[str, object]]", json.loads(self.path.read_text("utf-8")))
            return {
                key: (entry["passed"] is True, datetime.fromisoformat(str(entry["proven_at"])).astimezone(UTC))
                for key, entry in stored.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _write(self, entries: dict[str, tuple[bool, datetime]]) -> None:
        stored = {key: {"passed": passed, "proven_at": at.isoformat()} for key, (passed, at) in entries.items()}
        with contextlib.suppress(OSError):
            write_file(self.path, json.dumps(stored, indent=1, sort_keys=True).encode())


@dataclass(frozen=True, slots=True)
class Choice:
    """The provider to use, and what a person should know of those that were not."""

    provider: str
    notes: tuple[Finding, ...] = ()


def choose(
    wish: str,
    available: tuple[str, ...],
    limits: Callable[[str], Tolerance],
    prove: Callable[[str], Proof | None],
    *,
    record: ProofRecord,
    machine: Machine,
) -> Choice:
    """Return the provider for a wish: the first that agrees with the CPU and, where nobody named it, is faster.

    Args:
        wish: `auto` or a name of `PROVIDERS`.
        available: our names of the providers that the runtime holds.
        limits: what the pack allows a provider to differ by.
        prove: runs the known slice on a provider (the CPU too, for its time); None where it failed.
        record: what was proven before.
        machine: what a proof depends on.

    Raises:
        ValueError: a wish that this version doesn't know.
    """
    if wish == "auto":
        candidates = tuple(name for name in AUTOMATIC if name in available)
    elif wish in PROVIDERS:
        candidates = () if wish == "cpu" else (wish,)
    else:
        raise ValueError(f"unknown provider {wish!r}")
    notes: list[Finding] = []
    for name in candidates:
        passed = record.passed(machine.key(name))
        if passed is None:
            passed = _is_good(name, limits(name), prove, must_be_faster=wish == "auto")
            record.remember(machine.key(name), passed=passed)
        if passed:
            return Choice(name, tuple(notes))
        notes.append(Finding(Outcome.WARNED, Reason.PROVIDER_NOT_USED, name=name))
    return Choice("cpu", tuple(notes))


def _is_good(name: str, limits: Tolerance, prove: Callable[[str], Proof | None], *, must_be_faster: bool) -> bool:
    proof = prove(name)
    if proof is None or not proof.agrees(limits):
        return False
    if not must_be_faster:
        return True
    of_cpu = prove("cpu")
    return of_cpu is None or proof.seconds < of_cpu.seconds


def clashing_runtimes(installed: Callable[[str], object] = metadata.distribution) -> tuple[Finding, ...]:
    """Complain where several editions of ONNX Runtime are installed: they write into the same folder."""
    found: list[str] = []
    for flavour in RUNTIME_FLAVOURS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            installed(flavour)
            found.append(flavour)
    if len(found) < 2:
        return ()
    return (Finding(Outcome.WARNED, Reason.RUNTIMES_CLASH, name=", ".join(found)[:64]),)


def installed_version(package: str) -> str:
    """Return the version of a package, or an empty text: what is installed later asks for a new proof."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def worker_count(provider: str = "cpu") -> int:
    """Return how many slices are scored at once: one a physical core, as memory allows, at most eight; one on a GPU."""
    if provider in AUTOMATIC:
        return 1
    memory = _memory_available_bytes()
    by_memory = MOST_WORKERS if memory is None else memory // WORKER_BYTES - 1  # one share is the session's own
    return max(1, min(_physical_cores(), by_memory, MOST_WORKERS))


def _physical_cores() -> int:
    """Return the cores that this process may use, two hardware threads of one core counted once."""
    if not hasattr(os, "sched_getaffinity"):
        logical = os.cpu_count() or 1
        return logical if logical < 4 else logical // 2
    allowed = os.sched_getaffinity(0)
    return len({_siblings(cpu) for cpu in allowed})


def _siblings(cpu: int) -> str:
    try:
        return Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text("ascii").strip()
    except OSError:
        return str(cpu)


def _memory_available_bytes() -> int | None:
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text("ascii").splitlines()
        return 1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])
    return None
