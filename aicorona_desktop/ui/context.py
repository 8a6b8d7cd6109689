"""What every place of the window is handed: the services, the jobs, the settings, the rule for shown names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtGui import QUndoStack
from PySide6.QtWidgets import QWidget

from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.choices import SiteChoices, UserChoices
from aicorona_desktop.ui.identity import Identities, Identity
from aicorona_desktop.ui.jobs import Bridge, Jobs

if TYPE_CHECKING:
    from aicorona_desktop.app.services import Running
    from aicorona_desktop.history.store import History
    from aicorona_desktop.ui.theme import ThemeKeeper


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """Made once the services stand, and lasts as long as the window.

    `running.engine` is None where the history is open for reading only. `reading` is a second connection for the
    lane "ledger", `running.history` the one that writes, from any lane. `user.remember` keeps what a user
    moved: splitters, columns, folds. `now` is aware UTC, `person` the reader's initials.
    `restore` closes the window, puts a backup in the history's place and opens the window again.
    """

    running: Running
    reading: History
    jobs: Jobs
    bridge: Bridge
    site: SiteChoices
    user: UserChoices
    actions: Actions
    undo: QUndoStack
    identities: Identities
    theme: ThemeKeeper
    now: Callable[[], datetime]
    person: Callable[[], str]
    restore: Callable[[Path], None] | None = None

    @property
    def writable(self) -> bool:
        """Whether anything may be recorded: not so where the history is open for reading only."""
        return self.running.engine is not None

    def identity(self, row: Row) -> Identity:
        """Return how the patient of a row is named on the screen now: openly, or by a code (ux.md 12.2)."""
        return self.identities.of(row)


class Place(QWidget):
    """One of the four places of the window; `enter` and `leave` are called as it comes and goes."""

    open_study = Signal(str)  # Study Instance UID: show it in the viewer
    show_place = Signal(str)  # the name of another place
    say = Signal(str)  # one quiet sentence for the line above the footer

    name = ""
    """Its fixed name, one of the places of `actions.py`."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context

    def prepare(self) -> None:
        """Make ready what a first use would wait for; asked once, when the window stands and nobody waits."""

    def enter(self) -> None:
        """Called when the place comes to the front."""

    def show_study(self, study_instance_uid: str) -> None:
        """Show one study, or go to it; for places that can."""

    def leave(self) -> None:
        """Called when another place comes to the front, and at the end."""

    def end(self) -> None:
        """Called once, before the services stop: close what has a process or a file of its own."""

    def back(self) -> bool:
        """Go one step back inside the place (Esc); return whether there was one."""
        return False
