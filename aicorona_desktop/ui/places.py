"""The places of the window, each made when the services stand, and what joins them; one line a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject

from aicorona_desktop.ui.actions import HISTORY, VERIFICATION, VIEWER, WORKLIST
from aicorona_desktop.ui.context import Context, Place

if TYPE_CHECKING:
    from aicorona_desktop.ui.verdict_panel import VerdictPanel
    from aicorona_desktop.ui.viewer_place import ViewerPlace
    from aicorona_desktop.ui.worklist_place import WorklistPlace

translate = QCoreApplication.translate


# Places are imported when they are made: numerics and drawing take half a second, and the window stands by then.
def _worklist(context: Context) -> Place:
    from aicorona_desktop.ui.worklist_place import WorklistPlace

    return WorklistPlace(context)


def _viewer(context: Context) -> Place:
    from aicorona_desktop.ui.verdict_panel import VerdictPanel
    from aicorona_desktop.ui.viewer_place import ViewerPlace

    viewer = ViewerPlace(context)
    verdict = VerdictPanel(context, lambda: viewer.slices_seen, viewer)
    viewer.panel.say.connect(viewer.say)
    viewer.add_side_panel(verdict, translate("Places", "Own impression"))
    _join_verdict(viewer, verdict)
    return viewer


def _history(context: Context) -> Place:
    from aicorona_desktop.ui.history_place import HistoryPlace

    return HistoryPlace(context)


def _verification(context: Context) -> Place:
    from aicorona_desktop.ui.verification_place import VerificationPlace

    return VerificationPlace(context)


MAKERS: dict[str, Callable[[Context], Place]] = {
    WORKLIST: _worklist,
    VIEWER: _viewer,
    HISTORY: _history,
    VERIFICATION: _verification,
}
"""In the order of the buttons in the header; the first is shown at the start."""


class StepByList(QObject):
    """Goes from the study in the viewer to its neighbour in the order of the list."""

    def __init__(self, worklist: WorklistPlace, viewer: ViewerPlace, open_study: Callable[[str], None]) -> None:
        super().__init__(viewer)
        self._worklist = worklist
        self._viewer = viewer
        self._open_study = open_study
        viewer.study_step_wanted.connect(self.go)

    def go(self, step: str) -> None:
        """Open the previous, next or next unread study; say so where there is none."""
        here = self._viewer.study_instance_uid
        if step == "next_unread":
            uid = self._worklist.next_unread(here)
        else:
            uid = self._worklist.neighbour(here, 1 if step == "next" else -1)
        if uid:
            self._open_study(uid)
            self._worklist.go_to(uid)
        else:
            self._viewer.say.emit(_nothing_there(step))


def join(places: Mapping[str, Place], open_study: Callable[[str], None]) -> None:
    """Join the places to one another, once all of them are made."""
    from aicorona_desktop.ui.viewer_place import ViewerPlace
    from aicorona_desktop.ui.worklist_place import WorklistPlace

    worklist, viewer = places.get(WORKLIST), places.get(VIEWER)
    if isinstance(worklist, WorklistPlace) and isinstance(viewer, ViewerPlace):
        StepByList(worklist, viewer, open_study)


def _join_verdict(viewer: ViewerPlace, verdict: VerdictPanel) -> None:
    viewer.study_coming.connect(verdict.show_study)
    viewer.slice_painted.connect(lambda _: verdict.slices_changed())
    verdict.wanted.connect(lambda: viewer.raise_side_panel(verdict))
    verdict.saved.connect(viewer.enter)
    viewer.ending.connect(verdict.end)
    verdict.say.connect(viewer.say)


def _nothing_there(step: str) -> str:
    words = {
        "previous": translate("Places", "This is the first study of the list."),
        "next": translate("Places", "This is the last study of the list."),
        "next_unread": translate("Places", "There is no other unread study."),
    }
    return words[step]
