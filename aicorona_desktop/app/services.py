"""The composition root: builds reader, scorer, history and engine once, and takes them down again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aicorona_desktop.app.backups import Backups
from aicorona_desktop.app.receiving import Receiving
from aicorona_desktop.app.reconciling import Reconciling
from aicorona_desktop.app.storage import Retention, RoomyDisk, cache_beside, originals_beside
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import Event, ReceiverChanged
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import SourceKind, WatchedSource
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.connection import IN_USE
from aicorona_desktop.history.store import History, HistoryError, utc_now
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack, default_pack, load_pack
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.triage.operating_point import OperatingPoints

HISTORY_NAME = "history.sqlite"
ANOTHER_COPY = "Another copy of the program has the history open. This one is for reading only."


class ServicesError(AicoronaError):
    """A part of the program can't do its work here."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asked for on the command line; None means the default.

    `history` is the ledger's file; `kept` False keeps everything in a temporary folder that goes at the end.
    """

    pack: Path | None = None
    provider: str = "auto"
    history: Path | None = None
    kept: bool = True
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Running:
    """The parts of a program that stays.

    `history` is open for writing, from any thread, beside the engine. Where another program writes it, or a newer
    one has written it, it is open for reading only: `reader_only` says why in one sentence, and there is no engine.
    `settings` are those of the start; `place` is the history's file. `receiving` is the DICOM receiver, off unless the
    settings say otherwise, `backups` the daily ones, `retention` removes our copies by the rules of the site; all
    three None where the history is open for reading only. `volumes` are the decoded slices that are kept.
    `points` says which operating point holds, for everybody.
    """

    engine: Engine | None
    history: History
    pack: Pack
    maps: MapStore
    settings: Settings
    place: Path
    reader_only: str = ""
    receiving: Receiving | None = None
    backups: Backups | None = None
    volumes: VolumeCache = field(default_factory=lambda: VolumeCache(None))
    retention: Retention | None = None
    points: OperatingPoints = field(kw_only=True)


def chosen_pack(folder: Path | None) -> Pack:
    """Load the pack that the user named, else the one that ships; raises PackError."""
    return load_pack(folder) if folder else default_pack()


def maps_beside(history: Path) -> MapStore:
    """Return the maps that belong to a history's file."""
    return MapStore(history.with_name(f"{history.name}.maps"))


@contextmanager
def running_engine(wishes: Wishes, listener: Callable[[Event], None], told: Callable[[str], None]) -> Iterator[Engine]:
    """Build every part for one run, start the engine, and stop all of it in the end, whatever happens.

    `told` hears what a person must know about the opening of the history, such as a backup put in place.

    Raises:
        AicoronaError: the pack, the history or a process could not be opened; nothing has been written.
    """
    with ExitStack() as stack:
        pack = chosen_pack(wishes.pack)
        place = _place(wishes, stack)
        history = stack.enter_context(History.open(place))
        _tell_opening(history, told)
        if history.read_only_because:
            raise ServicesError(history.read_only_because)
        if history.backup_is_due and wishes.kept:
            history.backup()
        # A history that is kept has its maps beside it, so that the window can show them.
        maps = maps_beside(place) if wishes.kept else None
        originals = _originals(history)
        yield _started(
            *(stack, wishes, pack, history), listener=listener, maps=maps, originals=originals, resident=False
        )


@contextmanager
def running(wishes: Wishes, listener: Callable[[Event], None], told: Callable[[str], None]) -> Iterator[Running]:
    """Build every part for a program that stays, such as the window; stop all of it in the end.

    It goes on with the studies that an earlier session has left unfinished, and watches the folders of the settings.
    Nothing in it waits for the scorer; the pack and the history take a few hundred milliseconds.

    Args:
        wishes: what the user asked for; `pack` and `provider` win over those of the settings.
        listener: hears every event, on the engine's thread.
        told: hears what a person must know about the history, such as a backup put in place; on any thread.

    Raises:
        AicoronaError: the pack, the history or a process could not be opened; nothing has been written.
    """
    with ExitStack() as stack:
        settings = wishes.settings
        pack = chosen_pack(wishes.pack or settings.pack)
        place = _place(wishes, stack)
        history, reader_only = _opened(place)
        stack.enter_context(history)
        _tell_opening(history, told)
        maps = maps_beside(place)
        if reader_only:
            points = OperatingPoints(history, pack, lambda: "", utc_now)
            yield Running(None, history, pack, maps, settings, place, reader_only, points=points)
            return
        _tell_imports_cut_off(history, told)
        volumes = cache_beside(place, settings.cache_gb)
        volumes.sweep()
        originals = _originals(history)
        reconciling = Reconciling(history, listener)
        engine = _started(
            *(stack, wishes, pack, history),
            listener=reconciling.hear,
            maps=maps,
            originals=originals,
            resident=True,
            volumes=volumes,
        )
        engine.resume()
        reconciling.begin(engine)
        backups = Backups(history, told, settings.backup_also_to)
        stack.callback(backups.close)
        if wishes.kept:
            backups.start()
        for folder in settings.watched:
            engine.watch(folder)
        receiving = Receiving(history, lambda state: listener(ReceiverChanged(state)))
        stack.callback(receiving.close)
        take_received(engine, receiving, settings)
        retention = Retention(history, volumes, settings.retention, told, originals=originals)
        stack.callback(retention.close)
        retention.start()
        stack.enter_context(_collecting_quietly())
        yield Running(
            *(engine, history, pack, maps, settings, place),
            receiving=receiving,
            backups=backups,
            volumes=volumes,
            retention=retention,
            points=engine.points,
        )


def take_received(engine: Engine, receiving: Receiving, settings: Settings) -> None:
    """Have the receiver as the settings say, and the engine take what is in the inbox, also what came before."""
    receiving.change(settings.receiver)
    if settings.receiver.on or receiving.inbox.is_dir():
        receiving.inbox.mkdir(mode=0o700, parents=True, exist_ok=True)
        engine.watch(WatchedSource(receiving.inbox, "DICOM receiver", kind=SourceKind.RECEIVER))


@contextmanager
def _collecting_quietly() -> Iterator[None]:
    """Keep Python's collector from holding up the window.

    A full collection stops all threads, 75 to 175 ms during an import of 1,000 files: it looks at everything that was
    ever imported, again and again. What stands now stays until the end, so it is left out, and full collections are
    rare from here on; young garbage is collected as before.
    """
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _opened(place: Path) -> tuple[History, str]:
    """Open the history for writing; where another program does that, or has left it in a newer form, to read it."""
    try:
        history = History.open(place)
    except HistoryError as error:
        if str(error) != IN_USE:
            raise
        return History.open(place, read_only=True), ANOTHER_COPY
    return history, history.read_only_because


def _tell_opening(history: History, told: Callable[[str], None]) -> None:
    for notice in history.notices:
        told(notice)


def _tell_imports_cut_off(history: History, told: Callable[[str], None]) -> None:
    """Say which imports ended with the program before all was read, once."""
    for batch in history.unfinished_imports():
        told(f"Reading “{batch.label}” was cut off when the program ended; read it again to have all its files.")
        history.end_import(batch.number, stopped=True)


def _started(
    stack: ExitStack,
    wishes: Wishes,
    pack: Pack,
    history: History,
    *,
    listener: Callable[[Event], None],
    maps: MapStore | None,
    originals: Originals,
    resident: bool,
    volumes: VolumeCache | None = None,
) -> Engine:
    settings = wishes.settings
    provider = settings.provider if resident and wishes.provider == "auto" else wishes.provider
    scorer = stack.enter_context(Scorer(pack, provider, settings.workers))
    reader = stack.enter_context(Reader())
    engine = Engine(
        reader=reader,
        scorer=scorer,
        history=history,
        spool=originals,
        settings=settings,
        listener=listener,
        maps=maps,
        resident=resident,
        free_space=None if volumes is None else RoomyDisk(history.path.parent, volumes),
    )
    engine.start()
    stack.callback(engine.stop)
    return engine


def _originals(history: History) -> Originals:
    return Originals(originals_beside(history.path), history.intend_copies)


def _place(wishes: Wishes, stack: ExitStack) -> Path:
    """Where the history lies, with our copies beside it: as the user named it, in our data folder, or for this run."""
    if wishes.history is not None:
        return wishes.history.resolve()
    folder = data_dir() if wishes.kept else Path(stack.enter_context(scratch_folder()))
    return folder / HISTORY_NAME
