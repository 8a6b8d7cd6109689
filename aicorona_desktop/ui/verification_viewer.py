"""A known study in a viewer of its own: over the ledger of the run, with nothing recorded and nothing in the list."""

from __future__ import annotations

from dataclasses import replace

from PySide6.QtCore import QCoreApplication, Qt, Signal
from PySide6.QtGui import QCloseEvent, QUndoStack
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from aicorona_desktop.app.verification_run import RunPlace
from aicorona_desktop.history.store import History
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.ui.actions import VIEWER, Actions
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.jobs import Bridge, Jobs
from aicorona_desktop.ui.keys import KeyRouter
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import FocusRing
from aicorona_desktop.ui.verification_parts import button
from aicorona_desktop.ui.viewer_place import ViewerPlace

translate = QCoreApplication.translate

CLOSE_S = 2.0


class KnownStudyWindow(QWidget):
    """Shows known studies one after the other; reads only. `closed` comes when it is gone."""

    closed = Signal()

    def __init__(self, context: Context, place: RunPlace) -> None:
        """`place` is that of the run.

        Raises:
            HistoryError: the ledger of the run can't be read.
        """
        super().__init__()
        self.setObjectName("known_study")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(translate("Verification", "Known study"))
        self._history = History.open(place.ledger, read_only=True)
        running = replace(
            context.running,
            engine=None,
            history=self._history,
            maps=MapStore(place.maps),
            place=place.ledger,
            receiving=None,
            backups=None,
            retention=None,
        )
        self.context = replace(
            context,
            running=running,
            reading=self._history,
            jobs=Jobs(self),
            bridge=Bridge(self),
            actions=Actions(context.user.own_keys(), self),
            undo=QUndoStack(self),
            restore=None,
        )
        self.viewer = ViewerPlace(self.context, self)
        self.label = plain(QLabel(self))
        self.label.setObjectName("known_study_label")
        self._lay_out()
        self.context.actions["back"].triggered.connect(lambda _=False: self._back())
        self.keys = KeyRouter(self, self.context.actions, lambda: VIEWER)
        self.ring = FocusRing(self, context.theme) if context.theme is not None else None
        if self.ring is not None:
            self.keys.by_key.connect(self.ring.set_by_key)
        self.resize(1200, 760)

    def show_study(self, study_instance_uid: str, words: str) -> None:
        """Show a study; `words` say what its label and score are."""
        self.label.setText(words)
        self.show()
        self.activateWindow()
        self.viewer.enter()
        self.viewer.show_study(study_instance_uid)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End the viewer's reader, its jobs and the ledger."""
        self.viewer.leave()
        self.viewer.end()
        self.context.jobs.close(CLOSE_S)
        self._history.close()
        self.closed.emit()
        super().closeEvent(event)

    def _back(self) -> None:
        if not self.viewer.back():
            self.close()

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(12, 6, 12, 6)
        head.addWidget(self.label, 1)
        head.addWidget(button("known_study_close", translate("Verification", "Close"), self.close, self))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self.viewer, 1)
        foot = plain(
            QLabel(translate("Verification", "Research use. Not a diagnosis. Nothing is recorded here."), self)
        )
        foot.setContentsMargins(12, 2, 12, 4)
        column.addWidget(foot)
