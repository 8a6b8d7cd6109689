"""An engine on a bench: its own history, quick looks into folders, and all that it said."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, TypeVar

from aicorona_desktop.core import events
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.watching import Watching

E = TypeVar("E", bound=events.Event)


class Bench:
    """An engine on its own history, and what it said."""

    def __init__(
        self, reader: Reader, scorer: Scorer, folder: Path, settings: Settings | None = None, **options: Any
    ) -> None:
        self.events: list[events.Event] = []
        self.history = History.open(folder / "history.sqlite")
        self.engine = Engine(
            reader=reader,
            scorer=scorer,
            history=self.history,
            spool=Originals(folder / "spool", self.history.intend_copies),
            settings=settings or Settings(),
            listener=self.events.append,
            **options,
        )
        # Files count as complete at once: what that takes has its own tests.
        self.engine._watching = Watching(self.engine._wake_up, utc_now, self.history, between_looks_s=0.05)
        self.engine.start()

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.stop(10)
        self.history.close()

    def told(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    def wait_for(self, kind: type[E], count: int = 1, timeout_s: float = 60) -> E:
        until = time.monotonic() + timeout_s
        while len(self.told(kind)) < count:
            assert time.monotonic() < until, f"only {len(self.told(kind))} of {count} {kind.__name__}"
            assert self.engine.failure is None, self.engine.failure
            time.sleep(0.02)
        return self.told(kind)[count - 1]

    def done(self, timeout_s: float = 60) -> None:
        """Wait until nothing is left to do."""
        assert self.engine.wait_until_idle(timeout_s)
        assert self.engine.failure is None, self.engine.failure
