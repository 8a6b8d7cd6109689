"""A run over known studies: scored by an engine of its own, over a history of its own, behind the clinic's work.

Known studies never stand in the clinic's list: they are recorded in a second ledger in a folder beside the first. What
is scored, in which series, and what is refused is the engine's to say, as for every other study. A run that was
stopped, or cut off with the program, goes on where it was: its ledger knows what is done.

Source: ux.md 8.1; design D11 (what goes first).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from aicorona_desktop.core.durable import ONLY_OURS, write_file
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import SliceRead
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.maps import MapStore

Key = TypeVar("Key")
Item = TypeVar("Item")

FOLDER: Final = "verification"
LEDGER: Final = "history.sqlite"
STUDIES: Final = "studies.json"
ENDED = frozenset({State.DONE, State.UNSUITABLE, State.REFUSED, State.IGNORED, State.FAILED})
LOOK_S: Final = 0.2
"""How often a run looks whether the clinic's work is done, or somebody has stopped it."""


class VerificationError(AicoronaError):
    """Known studies can't be scored as asked."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is; `seconds_left` None before the first study is done; `waits`: the clinic's work goes first."""

    done: int
    studies: int
    seconds_left: float | None = None
    waits: bool = False


class RunPlace:
    """Where one run keeps its ledger, its maps and the list of its files."""

    def __init__(self, history: Path, number: int) -> None:
        """`history` is the clinic's ledger, `number` that of the run in it."""
        self.folder = history.parent / FOLDER / f"{number:04d}"
        self.ledger = self.folder / LEDGER
        self.maps = self.folder / "maps"
        self._studies = self.folder / STUDIES

    def lay_down(self, paths: Mapping[str, Sequence[Path]]) -> None:
        """Keep which files belong to which study, so that the run can go on after a restart.

        Raises:
            VerificationError: the disk is full, or the folder can't be written.
        """
        content = json.dumps({uid: [str(path) for path in those] for uid, those in paths.items()})
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file(self._studies, content.encode("ascii"), ONLY_OURS)
        except OSError as error:
            raise VerificationError("The list of the studies could not be written; is the disk full?") from error

    def paths(self) -> dict[str, tuple[Path, ...]]:
        """Return the files of each study; raises VerificationError where the list is gone or damaged."""
        try:
            value: Any = json.loads(self._studies.read_bytes())
            return {str(uid): tuple(Path(path) for path in those) for uid, those in value.items()}
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise VerificationError("The list of the studies is gone or damaged; begin a new run.") from error


class WaitingReader(Reader):
    """A reader that hands out no slice while somebody more important is at work."""

    def __init__(self, wait: Callable[[], None]) -> None:
        """`wait` returns when the next slice may be read."""
        super().__init__()
        self._wait = wait

    def read_slices(
        self, items: Iterable[tuple[Key, bytes, str, tuple[int, ...]]]
    ) -> Iterator[tuple[Key, int, SliceRead | Finding]]:
        """Read frames as `Reader` does, each when its time has come."""
        return super().read_slices(self._in_turn(items))

    def _in_turn(self, items: Iterable[Item]) -> Iterator[Item]:
        for item in items:
            self._wait()
            yield item


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What a run needs to know of the rest: whether the clinic's engine is at work, and whether it was stopped."""

    is_busy: Callable[[], bool]
    is_stopped: Callable[[], bool]

    def wait(self) -> None:
        """Return when the clinic's work is done, or the run was stopped."""
        while self.is_busy() and not self.is_stopped():
            time.sleep(LOOK_S)


def score_known(
    place: RunPlace,
    pack: Pack,
    settings: Settings,
    neighbours: Neighbours,
    told: Callable[[Progress], None],
) -> bool:
    """Score what a run has not scored yet; return whether nothing is left.

    Args:
        place: of the run, laid down.
        pack: the pack in use.
        settings: of the site; device and workers are taken from it.
        neighbours: what goes first, and what stops it.
        told: hears how far it is, on this thread.

    Raises:
        AicoronaError: a process or the run's ledger can't be kept; what was scored stays.
    """
    studies = place.paths()
    with ExitStack() as stack:
        history = stack.enter_context(History.open(place.ledger))
        left = {uid: paths for uid, paths in studies.items() if not _is_ended(history.row(uid))}
        progress = Progress(len(studies) - len(left), len(studies))
        told(progress)
        if not left:
            return True
        engine = _engine(stack, place, history, pack=pack, settings=settings, neighbours=neighbours)
        started, waited = time.monotonic(), 0.0
        for number, (uid, paths) in enumerate(left.items(), 1):
            waited += _let_others_go_first(neighbours, told, progress)
            if neighbours.is_stopped():
                return False
            waited += _score(engine, paths, neighbours)
            if neighbours.is_stopped() and not _is_ended(history.row(uid)):
                return False
            each = (time.monotonic() - started - waited) / number
            progress = Progress(progress.done + 1, len(studies), max(0.0, each) * (len(left) - number))
            told(progress)
    return True


def _engine(
    stack: ExitStack, place: RunPlace, history: History, *, pack: Pack, settings: Settings, neighbours: Neighbours
) -> Engine:
    scorer = stack.enter_context(Scorer(pack, settings.provider, settings.workers))
    reader = stack.enter_context(WaitingReader(neighbours.wait))
    engine = Engine(
        reader=reader,
        scorer=scorer,
        history=history,
        spool=Originals(place.folder / "copies", history.intend_copies),
        settings=settings,
        listener=lambda _: None,
        maps=MapStore(place.maps),
        resident=True,
    )
    engine.start()
    stack.callback(engine.stop)
    engine.resume()
    return engine


def _score(engine: Engine, paths: Sequence[Path], neighbours: Neighbours) -> float:
    """Score one study to its end, unless the run is stopped; return for how long others went first meanwhile."""
    waited = 0.0
    engine.submit(paths, "known study")
    while not engine.wait_until_idle(LOOK_S) and not neighbours.is_stopped():
        waited += LOOK_S if neighbours.is_busy() else 0.0
    if engine.failure is not None:
        raise VerificationError("Scoring the known studies has stopped; what is scored is kept.") from engine.failure
    return waited


def _let_others_go_first(neighbours: Neighbours, told: Callable[[Progress], None], progress: Progress) -> float:
    started = time.monotonic()
    if neighbours.is_busy():
        told(replace(progress, waits=True))
        neighbours.wait()
    return time.monotonic() - started


def _is_ended(row: Row | None) -> bool:
    return row is not None and row.state in ENDED
