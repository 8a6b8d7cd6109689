"""The other end of the scorer process: slices in, scores out, whatever happens to the process in between."""

from __future__ import annotations

import itertools
import logging
import statistics
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.child_process import ChildLostError, ChildProcess
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import LARGEST_PAYLOAD_BYTES, Field, Frame, FrameError
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.score import CLASSES, SliceScore
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.protocol import PROVIDERS, Kind
from aicorona_desktop.model.providers import (
    Choice,
    Machine,
    Proof,
    ProofRecord,
    choose,
    clashing_runtimes,
    installed_version,
    proof_of,
    worker_count,
)
from aicorona_desktop.model.score import contribution_of

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0  # a GPU's libraries may take most of it the first time
PATIENCE_S = 30.0
PATIENCE_TIMES_USUAL = 3
PROBES = 3
RESTARTS = 2
POLL_S = 0.05
LARGEST_SLICE_BYTES = LARGEST_PAYLOAD_BYTES - 1024
RECORD_FILE = "providers.json"


class ScorerError(AicoronaError):
    """The scorer process can't be kept alive, or its answers can't be trusted, even on the CPU."""


@dataclass(slots=True)
class _Job:
    """A slice on its way; kept until its answer is here, so that it can be sent again."""

    ticket: int
    kind: Kind
    values: NDArray[Any]
    sent_at: float | None = None
    lost: int = 0


class Scorer:
    """Scores slices in a process of its own; a process that dies, hangs or answers nonsense is replaced.

    The constructor returns at once: the process starts in the background and the first answer waits for it. A GPU
    that fails is left for good, the CPU goes on with what was under way, and `notes` says so. One thread submits and
    takes answers; `cancel` may come from another.
    """

    def __init__(
        self,
        pack: Pack,
        provider: str = "auto",
        workers: int | None = None,
        *,
        record: ProofRecord | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Start the scorer.

        Args:
            pack: the model.
            provider: `auto` or a name of `protocol.PROVIDERS`.
            workers: slices scored at once; None: one a physical core, as memory allows.
            record: where proofs of providers are kept; None: in the data folder.
            patience_s: how long a slice may take at least before the process counts as hung.

        Raises:
            ValueError: a provider that this version doesn't know.
        """
        if provider not in (*PROVIDERS, "auto"):
            raise ValueError(f"unknown provider {provider!r}")
        self.pack = pack
        self._wish = provider
        self._workers = workers
        self._record = record or ProofRecord(data_dir() / RECORD_FILE)
        self._patience_s = patience_s
        self._requests = itertools.count(1)
        self._state = threading.Lock()
        self._jobs: dict[int, _Job] = {}
        self._unsent: deque[int] = deque()
        self._usual: deque[float] = deque(maxlen=32)
        self._closed = threading.Event()
        self.machine_notes: tuple[Finding, ...] = clashing_runtimes()
        self.notes: tuple[Finding, ...] = ()
        self._starting = self._start()

    @property
    def provider(self) -> str:
        """What runs the model; the wish until the start is over."""
        engine = self._engine_now()
        return self._wish if engine is None else engine.provider

    @property
    def pid(self) -> int | None:
        """The id of the process, None until it runs."""
        engine = self._engine_now()
        return None if engine is None else engine.pid

    @property
    def room(self) -> bool:
        """Whether another slice would be taken at once: two for each worker, so that none of them ever waits."""
        return len(self._jobs) < self._capacity()

    def wait_until_ready(self, timeout_s: float | None = None) -> bool:
        """Wait for the start, for programs that have nothing else to do; False when timed out.

        Raises:
            ScorerError: the scorer can't be started.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._ready(POLL_S) is None:
            if deadline is not None and time.monotonic() >= deadline:
                return False
        return True

    def submit(self, ticket: int, hounsfield: NDArray[np.int16]) -> None:
        """Give one slice in Hounsfield units, int16 [h, w], padding -32768; it must not be changed until answered.

        Returns at once where there is room; else the slice waits here.

        Raises:
            ValueError: an array of another form.
        """
        if hounsfield.ndim != 2 or hounsfield.dtype != np.int16 or not hounsfield.size:
            raise ValueError(f"expected 2-D int16, got {hounsfield.ndim}-D {hounsfield.dtype}")
        self._submit(ticket, Kind.SLICE, hounsfield)

    def submit_picture(self, ticket: int, grey: NDArray[Any]) -> None:
        """Give one grey picture [h, w] of uint8, uint16, float32 or float64, without Hounsfield units.

        Raises:
            ValueError: an array of another form, or values that are not finite.
        """
        if grey.ndim != 2 or grey.dtype not in (np.uint8, np.uint16, np.float32, np.float64) or not grey.size:
            raise ValueError(f"expected 2-D uint8, uint16 or float, got {grey.ndim}-D {grey.dtype}")
        if not np.isfinite(grey).all():
            raise ValueError("a picture holds values that are not finite")
        self._submit(ticket, Kind.PICTURE, grey)

    def next(self, timeout_s: float | None = None) -> tuple[int, SliceScore] | None:
        """Return the next answer with its ticket; None where nothing is under way or the time is up.

        Answers come as they are done, not in the order of submission.

        Raises:
            ScorerError: the process was lost too often with the same slice, or can't be started.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._jobs:
            left = POLL_S if deadline is None else min(POLL_S, deadline - time.monotonic())
            engine = self._ready(max(0.0, left))
            answer = None if engine is None else self._answer(engine, max(0.0, left))
            if answer is not None:
                return answer
            if deadline is not None and time.monotonic() >= deadline:
                return None
        return None

    def cancel(self) -> None:
        """Forget what is under way: no answer comes for it. What runs already ends with its slice."""
        with self._state:
            self._jobs.clear()
            self._unsent.clear()
        engine = self._engine_now()
        if engine is not None:
            engine.forget()

    def close(self) -> None:
        """End the process; what is under way is lost."""
        self._closed.set()
        with self._state:
            self._jobs.clear()
            self._unsent.clear()
        engine = self._engine_now()
        if engine is not None:
            engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- slices on their way ---------------------------------------------------------------------------------

    def _submit(self, ticket: int, kind: Kind, values: NDArray[Any]) -> None:
        if values.nbytes > LARGEST_SLICE_BYTES:
            raise ValueError(f"a slice of {values.nbytes} bytes is too large")
        request = next(self._requests)
        with self._state:
            self._jobs[request] = _Job(ticket, kind, values)
            self._unsent.append(request)
        engine = self._engine_now()
        if engine is not None:
            self._send_waiting(engine)

    def _send_waiting(self, engine: _Engine) -> None:
        while True:
            with self._state:
                under_way = len(self._jobs) - len(self._unsent)
                if not self._unsent or under_way >= 2 * engine.workers:
                    return
                request = self._unsent.popleft()
                job = self._jobs[request]
                job.sent_at = time.monotonic()
            engine.send(Frame(job.kind, request, (job.values,)))

    def _answer(self, engine: _Engine, timeout_s: float) -> tuple[int, SliceScore] | None:
        try:
            return self._take(engine, timeout_s)
        except ChildLostError as error:
            if not self._closed.is_set():
                log.warning("the scorer on %s was lost: %s\n%s", engine.provider, error, engine.last_words())
                engine.kill()
                self._replace(engine.provider)
            return None

    def _take(self, engine: _Engine, timeout_s: float) -> tuple[int, SliceScore] | None:
        self._send_waiting(engine)
        answer = engine.receive(timeout_s)
        if answer is None:
            self._check_patience()
            return None
        request, score = answer
        with self._state:
            job = self._jobs.pop(request, None)
        if job is None or job.sent_at is None:
            return None  # cancelled meanwhile
        self._usual.append(time.monotonic() - job.sent_at)
        self._send_waiting(engine)
        return job.ticket, score

    def _check_patience(self) -> None:
        usual = statistics.median(self._usual) if self._usual else 0.0
        with self._state:
            oldest = min((job.sent_at for job in self._jobs.values() if job.sent_at is not None), default=None)
        if oldest is not None and time.monotonic() - oldest > max(self._patience_s, PATIENCE_TIMES_USUAL * usual):
            raise ChildLostError("The scorer took too long.")

    def _capacity(self) -> int:
        engine = self._engine_now()
        return 2 * (engine.workers if engine is not None else self._workers or worker_count())

    # --- the process and its replacement ---------------------------------------------------------------------

    def _replace(self, provider: str) -> None:
        """Start again on the CPU with everything that was under way; give up where a slice has cost too many."""
        if provider != "cpu":
            self._record.forget(provider)
            self.notes = (*self.notes, Finding(Outcome.WARNED, Reason.PROVIDER_LEFT, name=provider))
        with self._state:
            for job in self._jobs.values():
                job.lost += provider == "cpu" and job.sent_at is not None
                job.sent_at = None
            hopeless = any(job.lost > RESTARTS for job in self._jobs.values())
            if hopeless:
                self._jobs.clear()
            self._unsent = deque(self._jobs)
        self._wish = "cpu"
        self._starting = self._start()
        if hopeless:
            raise ScorerError("The scorer stopped several times at the same slice. Keep the log and report it.")

    def _ready(self, timeout_s: float) -> _Engine | None:
        try:
            return self._starting.result(timeout_s)
        except TimeoutError:
            return None
        except AicoronaError as error:
            with self._state:
                self._jobs.clear()
                self._unsent.clear()
            failure = error
        if not self._closed.is_set():
            self._starting = self._start()  # the next study may have better luck: memory may be free again
        if isinstance(failure, ChildLostError):
            raise ScorerError("The scorer can't be started. Keep the log and report it.") from failure
        raise failure

    def _engine_now(self) -> _Engine | None:
        if not self._starting.done() or self._starting.exception() is not None:
            return None
        return self._starting.result()

    def _start(self) -> Future[_Engine]:
        future: Future[_Engine] = Future()
        threading.Thread(target=self._fill, args=(future,), name="scorer start", daemon=True).start()
        return future

    def _fill(self, future: Future[_Engine]) -> None:
        try:
            engine = self._started()
        except Exception as error:  # noqa: BLE001 - the end of a worker thread; whoever waits gets it
            future.set_exception(error)
            return
        future.set_result(engine)
        if self._closed.is_set():
            engine.close()

    def _started(self) -> _Engine:
        for _ in range(RESTARTS):
            try:
                return self._chosen_engine()
            except ChildLostError as error:
                log.warning("the scorer could not be started: %s", error)
        return self._chosen_engine()

    def _chosen_engine(self) -> _Engine:
        """Start the CPU, check it, and let a provider that is there and was proven take its place."""
        engines = _Engines(self.pack, self._workers)
        try:
            cpu = engines.on("cpu")
            choice = self._choice(engines, cpu) if self._wish != "cpu" else Choice("cpu")
            self.machine_notes = tuple(dict.fromkeys((*self.machine_notes, *choice.notes)))
            return engines.keep(choice.provider)
        finally:
            engines.close()

    def _choice(self, engines: _Engines, cpu: _Engine) -> Choice:
        machine = Machine(self.pack.sha256, f"{cpu.runtime}, openvino {installed_version('openvino')}", cpu.device)
        choice = choose(
            self._wish, cpu.available, self.pack.tolerance, engines.proof, record=self._record, machine=machine
        )
        if choice.provider == "cpu" or engines.starts(choice.provider):
            return choice
        self._record.forget(choice.provider)
        return Choice("cpu", (*choice.notes, Finding(Outcome.WARNED, Reason.PROVIDER_NOT_USED, name=choice.provider)))


@dataclass(slots=True)
class _Engines:
    """The processes of one start: the CPU's, and those of providers on trial; all but the chosen one are closed."""

    pack: Pack
    workers: int | None
    _running: dict[str, _Engine] = field(default_factory=dict)

    def on(self, provider: str) -> _Engine:
        if provider not in self._running:
            self._running[provider] = _Engine(self.pack, provider, self.workers or worker_count(provider))
        return self._running[provider]

    def starts(self, provider: str) -> bool:
        try:
            self.on(provider)
        except ChildLostError as error:
            log.warning("the model does not start on %s: %s", provider, error)
            return False
        return True

    def proof(self, provider: str) -> Proof | None:
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

    def keep(self, provider: str) -> _Engine:
        return self._running.pop(provider)

    def close(self) -> None:
        for engine in self._running.values():
            engine.close()


class _Engine:
    """One scorer process with the model loaded and checked on the known slice."""

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
        if len(fields) != 2:
            raise ChildLostError("An answer of the scorer has another form.")
        side = self._pack.map_size
        cam = _finite(fields[0], (len(CLASSES), side, side))
        features = _finite(fields[1], self._pack.known_answer.features.shape)
        return SliceScore(cam, features, contribution_of(cam))


def _finite(value: Field, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if not isinstance(value, np.ndarray) or value.dtype != np.float32 or value.shape != shape:
        raise ChildLostError("An answer of the scorer has another form.")
    numbers = cast("NDArray[np.float32]", value)
    if not np.isfinite(numbers).all():
        raise ChildLostError("An answer of the scorer is not finite.")
    return numbers
