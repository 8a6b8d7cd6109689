"""One scorer process with the model loaded and checked, and the several of them that a start may try."""

from __future__ import annotations

import logging
import math
import statistics
import time
from dataclasses import dataclass, field
from typing import cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.child_process import ChildLostError, ChildProcess
from aicorona_desktop.core.frames import Field, Frame, FrameError
from aicorona_desktop.core.score import CLASSES, SliceScore
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.protocol import Kind
from aicorona_desktop.model.providers import Proof, proof_of, worker_count
from aicorona_desktop.model.score import contribution_of

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0  # a GPU's libraries may take most of it the first time
PROBES = 3


@dataclass(slots=True)
class ScorerProcesses:
    """The processes of one start: the CPU's, and those of providers on trial; all but the chosen one are closed."""

    pack: Pack
    workers: int | None
    _running: dict[str, ScorerProcess] = field(default_factory=dict)

    def on(self, provider: str) -> ScorerProcess:
        """Return the process on a provider, started where it isn't yet; raises ChildLostError where it can't be."""
        if provider not in self._running:
            self._running[provider] = ScorerProcess(self.pack, provider, self.workers or worker_count(provider))
        return self._running[provider]

    def starts(self, provider: str) -> bool:
        """Whether the model starts on a provider."""
        try:
            self.on(provider)
        except ChildLostError as error:
            log.warning("the model does not start on %s: %s", provider, error)
            return False
        return True

    def proof(self, provider: str) -> Proof | None:
        """Return how a provider does on the known slice; None where it fails."""
        if not self.starts(provider):
            return None
        try:
            proof = self._running[provider].probe(PROBES)
        except ChildLostError as error:
            log.warning("the known slice failed on %s: %s", provider, error)
            self._running.pop(provider).close()
            return None
        log.info("%s on the known slice: %s", provider, proof)
        return proof

    def keep(self, provider: str) -> ScorerProcess:
        """Hand out the process that was chosen: it outlives the others."""
        return self._running.pop(provider)

    def close(self) -> None:
        for process in self._running.values():
            process.close()


class ScorerProcess:
    """One scorer process with the model loaded and checked on the known slice.

    `provider` really runs the model; `available` are our names of all that the runtime holds; `runtime` and
    `device` name what a proof depends on. Answers are untrusted until checked.

    Raises:
        PackError: the weights are gone or no longer what they were.
        ChildLostError: the process does not start, runs on something else, or fails on the known slice.
    """

    def __init__(self, pack: Pack, provider: str, workers: int) -> None:
        self._pack = pack
        model = pack.model_bytes()
        self._child = ChildProcess("aicorona_desktop.model.scorer")
        try:
            load = Frame(Kind.LOAD, 0, (model, pack.preparation, pack.input_size, provider, workers))
            self._child.send(load, START_TIMEOUT_S)
            self.provider, self.available, self.runtime, self.device = self._facts()
            self.workers = workers
            self._check(provider)
        except (ChildLostError, FrameError) as error:
            log.warning("%s", self.last_words())
            self.close()
            raise ChildLostError(str(error)) from error

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, frame: Frame) -> None:
        """Hand a frame over without waiting; where the process is gone, the next `receive` says so."""
        self._child.post(frame)

    def forget(self) -> None:
        """Tell the process to drop its queue."""
        self._child.post(Frame(Kind.CANCEL, 0, ()))

    def receive(self, timeout_s: float) -> tuple[int, SliceScore] | None:
        """Return the next answer, checked; None when there is none in time.

        Raises:
            ChildLostError: the process is gone, failed, or its answer is not finite or of another form.
        """
        frame = self._child.receive_within(timeout_s)
        if frame is None:
            return None
        if frame.kind != Kind.SCORE:
            raise ChildLostError(f"A slice could not be scored: {frame.fields[:1]}.")
        return frame.request, self._checked(frame.fields)

    def probe(self, timed: int) -> Proof:
        """Score the known slice once, then some times more by the clock; compare it with the known answer."""
        score, first_s = self._ask_known_slice()
        later_s = [self._ask_known_slice()[1] for _ in range(timed)]
        return proof_of(score, self._pack.known_answer, statistics.median(later_s or [first_s]))

    def last_words(self) -> str:
        return self._child.last_words()

    def close(self) -> None:
        self._child.close()

    def kill(self) -> None:
        """End the process at once: it is lost, and may not even notice that its pipe closes."""
        self._child.kill()
        self._child.close()

    def _ask_known_slice(self) -> tuple[SliceScore, float]:
        started = time.monotonic()
        self.send(Frame(Kind.SLICE, 0, (self._pack.known_slice,)))
        answer = self.receive(START_TIMEOUT_S)
        if answer is None:
            raise ChildLostError("The known slice took too long.")
        return answer[1], time.monotonic() - started

    def _check(self, wanted: str) -> None:
        if self.provider != wanted:
            raise ChildLostError(f"The runtime fell back from {wanted} to {self.provider}.")
        proof = self.probe(0)
        if not proof.agrees(self._pack.tolerance(wanted)):
            raise ChildLostError(f"The known slice was answered differently on {wanted}: {proof}.")

    def _facts(self) -> tuple[str, tuple[str, ...], str, str]:
        frame = self._child.receive(START_TIMEOUT_S)
        if frame.kind != Kind.READY or len(frame.fields) != 4:
            raise ChildLostError(f"The model could not be loaded: {frame.fields[:1]}.")
        return cast("tuple[str, tuple[str, ...], str, str]", frame.fields)

    def _checked(self, fields: tuple[Field, ...]) -> SliceScore:
        if len(fields) != 4:
            raise ChildLostError("An answer of the scorer has another form.")
        side = self._pack.map_size
        cam = _finite(fields[0], (len(CLASSES), side, side))
        features = _finite(fields[1], self._pack.known_answer.features.shape)
        return SliceScore(cam, features, contribution_of(cam), _seconds(fields[2]), _seconds(fields[3]))


def _seconds(value: Field) -> float:
    if not isinstance(value, float) or not 0 <= value < math.inf:
        raise ChildLostError("An answer of the scorer has another form.")
    return value


def _finite(value: Field, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != shape:
        raise ChildLostError("An answer of the scorer has another form.")
    numbers = cast("NDArray[np.float32]", value)
    if not np.isfinite(numbers).all():
        raise ChildLostError("An answer of the scorer is not finite.")
    return numbers
