"""Workers as actors of a Ray cluster: the only module that knows Ray.

Ray opens sockets, which the program otherwise never does: it runs only when a person asks for `--engine ray`, in
processes of its own. A cluster of this machine alone is bound to 127.0.0.1 and ends with the run; its statistics of
use and its dashboard are off.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.evaluation.archive.index import StudyFiles
from aicorona_desktop.evaluation.archive.unit import StudyUnit, UnitSetup
from aicorona_desktop.evaluation.archive.workers import START_TIMEOUT_S, Answer, WorkersError
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.records import record_from, record_object

log = logging.getLogger(__name__)

HERE: Final = "127.0.0.1"
QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_PROMPT_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_enable_open_telemetry": "0",
}
ONLY_HERE: Final = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Makes Ray use the loopback address: it turns a 127.0.0.1 that it is given into the address of the network card."""

STORE_BYTES: Final = 100 * 1024 * 1024  # records are some kilobytes each
CLOSE_TIMEOUT_S: Final = 10.0
ON_A_GPU: Final = frozenset({"cuda"})


class StudyActor:
    """What runs in a process of the cluster; takes and gives JSON."""

    def __init__(self, setup: bytes) -> None:
        self._unit = StudyUnit(UnitSetup.decoded(setup))

    def device(self) -> str:
        """What runs the model; the answer means that this worker is ready."""
        return self._unit.device

    def close(self) -> None:
        """End the reader and the scorer."""
        self._unit.close()

    def score(self, study: bytes) -> bytes:
        """Score one study."""
        return json.dumps(record_object(self._unit.record(StudyFiles.decoded(study)))).encode()


class RayWorkers:
    """One actor a core, or a GPU; in a cluster that is started here, or in one that an administrator runs.

    Raises:
        EvaluationError: Ray is not installed.
        WorkersError: the cluster can't be started or reached.
    """

    def __init__(self, setup: UnitSetup, count: int, address: str | None = None) -> None:
        """Start the actors.

        Args:
            setup: what they must know.
            count: how many; each takes a core, and a GPU where the provider is one.
            address: HOST:PORT of a running cluster, whose machines have this program, the pack and the archive under
                the same paths; None: one of this machine alone.
        """
        self._setup = setup
        self._environment = dict(QUIET) if address else {**QUIET, **ONLY_HERE, **_key()}
        self._ray = _ray(self._environment)
        self._closing = ExitStack()
        self._idle: list[Any] = []
        self._under_way: dict[Any, tuple[Any, StudyFiles]] = {}
        try:
            self._connect(count, address)
            self._actor_class = self._ray.remote(
                max_restarts=0, max_task_retries=0, num_cpus=1, num_gpus=int(setup.provider in ON_A_GPU)
            )(StudyActor)
            self._idle = [self._started() for _ in range(count)]
            self._wait_for(self._idle)
        except (RuntimeError, ConnectionError, ValueError, OSError) as error:
            self.close()
            raise WorkersError("The Ray cluster can't be started or reached. Keep the log and report it.") from error
        except BaseException:
            self.close()
            raise

    @property
    def room(self) -> bool:
        """Whether another study would be begun at once."""
        return bool(self._idle)

    @property
    def busy(self) -> bool:
        """Whether a study is under way."""
        return bool(self._under_way)

    def submit(self, study: StudyFiles) -> None:
        """Hand out a study; there must be room."""
        actor = self._idle.pop(0)
        self._under_way[actor.score.remote(study.encoded())] = actor, study

    def next(self) -> Answer:
        """Wait for the next answer; something must be under way.

        Raises:
            WorkersError: no worker can be started.
        """
        (done, *_), _ = self._ray.wait(list(self._under_way), num_returns=1)
        actor, study = self._under_way.pop(done)
        try:
            record = record_from(json.loads(self._ray.get(done)))
        except (self._ray.exceptions.RayError, ValueError, TypeError, KeyError) as error:
            return self._lost(actor, study, error)
        self._idle.append(actor)
        return Answer(study, record)

    def close(self) -> None:
        """End the actors, and the cluster if it was started here."""
        if self._ray.is_initialized():
            with suppress(self._ray.exceptions.RayError):
                self._ray.get([actor.close.remote() for actor in self._idle], timeout=CLOSE_TIMEOUT_S)
            self._ray.shutdown()
        self._closing.close()
        self._idle, self._under_way = [], {}

    def _lost(self, actor: Any, study: StudyFiles, error: Exception) -> Answer:
        log.warning("an actor was lost: %s", type(error).__name__)
        self._ray.kill(actor)
        another = self._started()
        self._wait_for([another])
        self._idle.append(another)
        return Answer(study, None)

    def _wait_for(self, actors: Sequence[Any]) -> None:
        """Wait until actors are ready; WorkersError where one can't be started."""
        try:
            self._ray.get([one.device.remote() for one in actors], timeout=START_TIMEOUT_S)
        except self._ray.exceptions.RayError as error:
            raise WorkersError("The workers of the cluster can't be started. Keep the log and report it.") from error

    def _started(self) -> Any:
        return self._actor_class.remote(self._setup.encoded())

    def _connect(self, count: int, address: str | None) -> None:
        if address is not None:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return
        folder = self._closing.enter_context(scratch_folder())  # also what actors leave that are ended at once
        self._closing.enter_context(_environment({**self._environment, "TMPDIR": folder, "PYTHONPATH": _search_path()}))
        self._ray.init(
            address="local",
            num_cpus=count,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=STORE_BYTES,
            _node_ip_address=HERE,
            _temp_dir=folder,
        )
        if self._ray.util.get_node_ip_address() != HERE:
            raise WorkersError("Ray would be open to the network; nothing was sent.")


@contextmanager
def _environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """Set what the processes of the cluster inherit."""
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@cache
def _key() -> dict[str, str]:
    """Return a key for the clusters of this process: without it any user of the machine could have them run code.

    Ray reads it once a process; without one of ours it would keep one in the user's home, for everybody to read.
    """
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


def _search_path() -> str:
    place = str(Path(__file__).resolve().parents[3])
    return os.pathsep.join(filter(None, (place, os.environ.get("PYTHONPATH", ""))))


def _ray(environment: Mapping[str, str]) -> Any:
    """Import Ray, which reads its environment then."""
    with _environment(environment):
        try:
            return importlib.import_module("ray")
        except ImportError as error:
            raise EvaluationError("The engine ray needs Ray: install the extra `cluster`.") from error
