"""The program without its window, for as long as somebody lets it live: it says what it has acknowledged.

`python -m tests.soak.program HISTORY PACKS WORD...`: each word is something to do once it is open (`obey`):
submit=FOLDER, watch=FOLDER, disc=FOLDER, backup, remove. Others say how it lives: `stay` (until standard input ends,
which may bring further words; else it ends when nothing is left to do), `near` and `floorless` (`prepare`), `default`
(the times of a site), `files` (every file is told), `trace=FILE` (every call that changes files is written down).
What goes out are lines: open, received UID SHA-256..., scored UID, unscored UID STATE, backed-up, removed STUDIES,
imported FILES, trouble SENTENCE, end.

The parts are those of the window (`app.services.running`); only the network is a toy, so that a start is quick.
"""

from __future__ import annotations

import ctypes
import gc
import os
import shutil
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from types import SimpleNamespace

from aicorona_desktop.app import services
from aicorona_desktop.app.services import Running, Wishes, running
from aicorona_desktop.app.storage import Retention, cache_beside
from aicorona_desktop.core import events
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.retention import Rule
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.history.store import HistoryError, utc_now
from aicorona_desktop.intake.media import Medium, MediumKind
from tests.model.tiny_pack import tiny_pack
from tests.soak import near

QUIET_S, LOOK_S = 0.3, 0.3


class Teller:
    """Hears the engine and tells the parent, each thing once it is safe."""

    def __init__(self) -> None:
        self.running: Running | None = None
        self.tells_files = False
        self.marks: ctypes.CDLL | None = None
        self._told: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def tell(self, line: str) -> None:
        with self._lock:
            if self.marks is not None:
                self.marks.fault_mark(line.encode())
            sys.stdout.write(line.replace("\n", " ") + "\n")
            sys.stdout.flush()

    def __call__(self, event: events.Event) -> None:  # noqa: C901 - a table of events reads best as one ladder
        match event:
            case events.StudySeen(uid):
                self._received(uid)
            case events.FinalScore(uid):
                self.tell(f"scored {uid}")
            case events.Unscored(uid, state):
                self.tell(f"unscored {uid} {state.value}")
            case events.ImportDone(summary):
                self.tell(f"imported {len(summary.files)}")
            case events.FilesDone(_, files) if self.tells_files:
                for file in files:
                    self.tell(f"file {file.outcome.value} {file.shown}")
            case events.Notice(finding):
                self.tell(f"notice {finding.reason.name}")
            case events.DiscProgress(_, _, progress):
                self.tell(f"disc {progress.phase.value} {progress.files_copied} {progress.files_total}")
            case events.SourceLost():
                self.tell("lost")
            case events.SourceBack():
                self.tell("back")
            case events.EngineFailed(sentence):
                self.tell(f"trouble {sentence}")
            case _:
                pass

    def trace(self, folder: Path, into: str) -> None:
        """Write down every call that changes files below a folder, and what is told in between."""
        self.marks = ctypes.CDLL(None)
        self.marks.fault_begin(os.fsencode(folder), ctypes.c_long(0), 0, 0, 0)
        self.marks.fault_trace(os.fsencode(into))

    def _received(self, uid: str) -> None:
        """What is in the history now has been acknowledged: a row of it stands in the list."""
        if self.running is None:
            return
        told = self._told.setdefault(uid, set())
        new = {file.sha256 for file in self.running.history.files(uid)} - told
        if new:
            self.tell(f"received {uid} {' '.join(sorted(new))}")
            told |= new


def main(arguments: list[str]) -> None:
    """Live."""
    history, packs, words = Path(arguments[0]), Path(arguments[1]), arguments[2:]
    prepare(packs, words)
    teller = Teller()
    teller.tells_files = "files" in words
    for word in words:
        if word.startswith("trace="):
            teller.trace(history.parent, word.removeprefix("trace="))
    quiet, look = times(words)
    settings = Settings(provider="cpu", workers=1, quiet_time_s=quiet, poll_s=look)
    wishes = Wishes(history=history, settings=settings)
    with running(wishes, teller, lambda line: teller.tell(f"trouble {line}")) as parts:
        teller.running = parts
        teller.tell("open")
        if parts.engine is None:
            teller.tell(f"trouble {parts.reader_only}")
            return
        for word in words:
            obey(teller, parts, word)
        if "stay" in words:
            for line in sys.stdin:
                obey(teller, parts, line.strip())
        parts.engine.wait_until_idle()
        if parts.engine.failure is not None:
            teller.tell(f"trouble {parts.engine.failure}")
    teller.tell("end")


def prepare(packs: Path, words: list[str]) -> None:
    """Put the toy in the place of the network; `near`: without processes; `floorless`: no disk is too full to begin."""
    if "near" not in words:
        services.chosen_pack = lambda _: tiny_pack(packs)
    elif services.Reader is not near.NearReader:
        near.put_in_place(services, near.toy(packs))
    if "floorless" in words:
        shutil.disk_usage = lambda _: SimpleNamespace(total=1 << 41, used=1 << 40, free=1 << 40)


def times(words: list[str]) -> tuple[float, float]:
    """Quiet time and look interval: the shortened ones, or the site's own with the word `default`."""
    return (Settings().quiet_time_s, Settings().poll_s) if "default" in words else (QUIET_S, LOOK_S)


def back_up(teller: Teller, parts: Running) -> None:
    """Make a backup on a thread of its own, as a person may while studies are scored."""

    def make() -> None:
        try:
            parts.history.backup()
        except HistoryError as error:
            teller.tell(f"trouble {error}")
        else:
            teller.tell("backed-up")

    threading.Thread(target=make, daemon=True).start()


def remove(teller: Teller, parts: Running) -> None:
    """Have a person read what is scored, and the rule of a site remove our copies of it, weeks later."""
    history = parts.history
    try:
        for row in history.rows():
            if row.state is State.DONE and row.read_at is None:
                history.save_verdict(row.study_instance_uid, action="routine", initials="AB")
        for days in (10, 30):
            later = partial(lambda days: utc_now() + timedelta(days=days), days)
            volumes = cache_beside(parts.place, 1.0)
            removed = Retention(
                history, volumes, Rule(days=1), lambda sentence: teller.tell(f"trouble {sentence}"), now=later
            ).look()
            if removed:
                teller.tell(f"removed {len(removed)}")
    except AicoronaError as error:
        teller.tell(f"trouble {error}")


def obey(teller: Teller, parts: Running, line: str) -> None:
    """Do one thing: a word of the command line, or what the parent asks while the program stays."""
    what, _, value = line.partition("=")
    engine = parts.engine
    assert engine is not None
    things: dict[str, Callable[[], object]] = {
        "submit": lambda: engine.submit([Path(value)], copied=True),
        "watch": lambda: engine.watch(WatchedSource(Path(value))),
        "disc": lambda: engine.import_disc(Medium(Path(value), MediumKind.DISC, "DISC")),
        "backup": lambda: back_up(teller, parts),
        "remove": lambda: threading.Thread(target=remove, args=(teller, parts), daemon=True).start(),
        "clock": lambda: ctypes.CDLL(None).fault_clock(ctypes.c_long(int(value))),
        "dead": lambda: ctypes.CDLL(None).fault_dead(os.fsencode(value)),
        "facts": lambda: tell_facts(teller),
    }
    if what in things:
        things[what]()


def tell_facts(teller: Teller) -> None:
    """Tell the memory that is in use, the open files and the threads."""
    gc.collect()
    files = len(list(Path("/proc/self/fd").iterdir()))
    teller.tell(f"facts {resident_bytes()} {files} {threading.active_count()}")


def resident_bytes() -> int:
    """How much of this process is in memory."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except AicoronaError as error:
        sys.stdout.write(f"trouble {error}\n")
