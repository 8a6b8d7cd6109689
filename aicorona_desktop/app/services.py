"""The composition root: builds reader, scorer, history and engine once, and takes them down again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.events import Event
from aicorona_desktop.core.places import data_dir
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack, default_pack, load_pack
from aicorona_desktop.triage.engine import Engine

HISTORY_NAME = "history.sqlite"


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


def chosen_pack(folder: Path | None) -> Pack:
    """Load the pack that the user named, else the one that ships; raises PackError."""
    return load_pack(folder) if folder else default_pack()


@contextmanager
def running_engine(wishes: Wishes, listener: Callable[[Event], None], told: Callable[[str], None]) -> Iterator[Engine]:
    """Build every part, start the engine, and stop all of it in the end, whatever happens.

    `told` hears what a person must know about the opening of the history, such as a backup put in place.

    Raises:
        AicoronaError: the pack, the history or a process could not be opened; nothing has been written.
    """
    with ExitStack() as stack:
        pack = chosen_pack(wishes.pack)
        place = _place(wishes, stack)
        history = stack.enter_context(History.open(place))
        for notice in history.notices:
            told(notice)
        if history.read_only_because:
            raise ServicesError(history.read_only_because)
        if history.backup_is_due and wishes.kept:
            history.backup()
        scorer = stack.enter_context(Scorer(pack, wishes.provider, wishes.settings.workers))
        reader = stack.enter_context(Reader())
        engine = Engine(
            reader=reader,
            scorer=scorer,
            history=history,
            spool=Spool(place.with_name(f"{place.name}.files")),
            settings=wishes.settings,
            listener=listener,
        )
        engine.start()
        stack.callback(engine.stop)
        yield engine


def _place(wishes: Wishes, stack: ExitStack) -> Path:
    """Where the history lies, with our copies beside it: as the user named it, in our data folder, or for this run."""
    if wishes.history is not None:
        return wishes.history.resolve()
    folder = data_dir() if wishes.kept else Path(stack.enter_context(scratch_folder()))
    return folder / HISTORY_NAME
