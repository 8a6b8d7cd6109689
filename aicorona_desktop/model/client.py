"""The other end of the scorer process: slices in, scores out, whatever happens to the process in between."""

from __future__ import annotations

import itertools
import logging
import os
import statistics
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.core.child_process import ChildLostError
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.frames import LARGEST_PAYLOAD_BYTES, Frame
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.score import SliceScore
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.process import ScorerProcess, ScorerProcesses
from aicorona_desktop.model.protocol import PROVIDERS, Kind
from aicorona_desktop.model.providers import (
    Choice,
    Machine,
    ProofRecord,
    choose,
    clashing_runtimes,
    installed_version,
    worker_count,
)

log = logging.getLogger(__name__)

PATIENCE_S = 30.0
PATIENCE_TIMES_USUAL = 3
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


def _record_place() -> Path:
    """Where proofs are kept; where the data folder can't be made, nowhere: every start then proves anew."""
    try:
        return data_dir() / RECORD_FILE
    except OSError:
        return Path(os.devnull)


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
        self._record = record or ProofRecord(_record_place())
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
        process = self._process_now()
        return self._wish if process is None else process.provider

    @property
    def pid(self) -> int | None:
        """The id of the process, None until it runs."""
        process = self._process_now()
        return None if process is None else process.pid

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
            process = self._ready(max(0.0, left))
            answer = None if process is None else self._answer(process, max(0.0, left))
            if answer is not None:
                return answer
            if deadline is not None and time.monotonic() >= deadline:
                return None
        return None

    def still_agrees(self) -> bool:
        """Whether the device still gives the pack's known answer; one that drifted is left for the CPU.

        Costs one slice, and nothing on the CPU, by which devices are measured. Ask between two studies.
        """
        process = self._process_now()
        if process is None or process.provider == "cpu" or self._jobs:
            return True
        try:
            proof = process.probe(0)
            if proof.agrees(self.pack.tolerance(process.provider)):
                return True
            log.warning("the device %s drifted: %s", process.provider, proof)
        except ChildLostError as error:
            log.warning("the scorer on %s was lost: %s", process.provider, error)
        process.kill()
        self._replace(process.provider)
        return False

    def cancel(self) -> None:
        """Forget what is under way: no answer comes for it. What runs already ends with its slice."""
        with self._state:
            self._jobs.clear()
            self._unsent.clear()
        process = self._process_now()
        if process is not None:
            process.forget()

    def close(self) -> None:
        """End the process; what is under way is lost."""
        self._closed.set()
        with self._state:
            self._jobs.clear()
            self._unsent.clear()
        process = self._process_now()
        if process is not None:
            process.close()

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
        process = self._process_now()
        if process is not None:
            self._send_waiting(process)

    def _send_waiting(self, process: ScorerProcess) -> None:
        while True:
            with self._state:
                under_way = len(self._jobs) - len(self._unsent)
                if not self._unsent or under_way >= 2 * process.workers:
                    return
                request = self._unsent.popleft()
                job = self._jobs[request]
                job.sent_at = time.monotonic()
            process.send(Frame(job.kind, request, (job.values,)))

    def _answer(self, process: ScorerProcess, timeout_s: float) -> tuple[int, SliceScore] | None:
        try:
            return self._take(process, timeout_s)
        except ChildLostError as error:
            if not self._closed.is_set():
                log.warning("the scorer on %s was lost: %s\n%s", process.provider, error, process.last_words())
                process.kill()
                self._replace(process.provider)
            return None

    def _take(self, process: ScorerProcess, timeout_s: float) -> tuple[int, SliceScore] | None:
        self._send_waiting(process)
        answer = process.receive(timeout_s)
        if answer is None:
            self._check_patience()
            return None
        request, score = answer
        with self._state:
            job = self._jobs.pop(request, None)
        if job is None or job.sent_at is None:
            return None  # cancelled meanwhile
        self._usual.append(time.monotonic() - job.sent_at)
        self._send_waiting(process)
        return job.ticket, score

    def _check_patience(self) -> None:
        usual = statistics.median(self._usual) if self._usual else 0.0
        with self._state:
            oldest = min((job.sent_at for job in self._jobs.values() if job.sent_at is not None), default=None)
        if oldest is not None and time.monotonic() - oldest > max(self._patience_s, PATIENCE_TIMES_USUAL * usual):
            raise ChildLostError("The scorer took too long.")

    def _capacity(self) -> int:
        process = self._process_now()
        return 2 * (process.workers if process is not None else self._workers or worker_count())

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

    def _ready(self, timeout_s: float) -> ScorerProcess | None:
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

    def _process_now(self) -> ScorerProcess | None:
        if not self._starting.done() or self._starting.exception() is not None:
            return None
        return self._starting.result()

    def _start(self) -> Future[ScorerProcess]:
        future: Future[ScorerProcess] = Future()
        threading.Thread(target=self._fill, args=(future,), name="scorer start", daemon=True).start()
        return future

    def _fill(self, future: Future[ScorerProcess]) -> None:
        try:
            process = self._started()
        except Exception as error:  # noqa: BLE001 - the end of a worker thread; whoever waits gets it
            future.set_exception(error)
            return
        future.set_result(process)
        if self._closed.is_set():
            process.close()

    def _started(self) -> ScorerProcess:
        for _ in range(RESTARTS):
            try:
                return self._chosen_process()
            except ChildLostError as error:
                log.warning("the scorer could not be started: %s", error)
        return self._chosen_process()

    def _chosen_process(self) -> ScorerProcess:
        """Start the CPU, check it, and let a provider that is there and was proven take its place."""
        processes = ScorerProcesses(self.pack, self._workers)
        try:
            cpu = processes.on("cpu")
            choice = self._choice(processes, cpu) if self._wish != "cpu" else Choice("cpu")
            self.machine_notes = tuple(dict.fromkeys((*self.machine_notes, *choice.notes)))
            return processes.keep(choice.provider)
        finally:
            processes.close()

    def _choice(self, processes: ScorerProcesses, cpu: ScorerProcess) -> Choice:
        machine = Machine(self.pack.sha256, f"{cpu.runtime}, openvino {installed_version('openvino')}", cpu.device)
        choice = choose(
            self._wish, cpu.available, self.pack.tolerance, processes.proof, record=self._record, machine=machine
        )
        if choice.provider == "cpu" or processes.starts(choice.provider):
            return choice
        self._record.forget(choice.provider)
        return Choice("cpu", (*choice.notes, Finding(Outcome.WARNED, Reason.PROVIDER_NOT_USED, name=choice.provider)))
