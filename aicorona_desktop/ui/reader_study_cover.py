"""The services as a reading gets them: jobs, actions and names of its own, and a history that gives nothing away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

from PySide6.QtCore import QObject
from PySide6.QtGui import QUndoStack

from aicorona_desktop.app.covered_reading import CoveredHistory, CoveredReader
from aicorona_desktop.app.services import Running
from aicorona_desktop.core.rows import Row
from aicorona_desktop.history.store import History
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.identity import Identities, Identity
from aicorona_desktop.ui.jobs import Bridge, Jobs
from aicorona_desktop.ui.map_layer import MapKeys

MAP_ACTIONS: Final = (MapKeys.SWITCH, *MapKeys.OTHERS, *MapKeys.WALK)


class StudyCodes(Identities):
    """Names every study by its code in the reader study, and nothing else, whatever is asked for."""

    def __init__(self, codes: Mapping[str, str], parent: QObject | None = None) -> None:
        """`codes` are those of the cases, by Study Instance UID."""
        super().__init__(b"", hidden=True, parent=parent)
        self._codes = dict(codes)

    @property
    def covered(self) -> bool:
        """Always: no key shows a name here."""
        return True

    def of(self, row: Row) -> Identity:
        """Return the code of a study."""
        code = self.code_of(row.study_instance_uid)
        return Identity(code, "", "", "", "", code, hidden=True)

    def code_of(self, study_instance_uid: str) -> str:
        """Return the code of a study, by its UID; "" for one that is not part of the reader study."""
        return self._codes.get(study_instance_uid, "")


def covered_context(
    context: Context, codes: Mapping[str, str], reader: CoveredReader, person: str, owner: QObject
) -> Context:
    """Return the services for one reading, owned by its window.

    Without an engine nothing that is done to a picture is recorded with the study; the maps that are kept, and the
    pack's facts, are those of the program.
    """
    names = StudyCodes(codes, owner)
    bridge = Bridge(owner)
    context.bridge.maps_ready.connect(bridge.maps_ready)
    context.bridge.maps_failed.connect(bridge.maps_failed)
    covered = CoveredHistory(context.running.history, names.code_of, reader.is_revealed)
    history = cast("History", covered)
    jobs = Jobs(owner)
    site = replace(context.site.value, look_first=False, triage_only=False, hide_names=True)
    return replace(
        context,
        running=_without_engine(context, history),
        reading=history,
        jobs=jobs,
        bridge=bridge,
        site=SiteChoices(site, Path(), jobs, owner),
        actions=Actions(context.user.own_keys(), owner),
        undo=QUndoStack(owner),
        identities=names,
        person=lambda: person,
        restore=None,
    )


def _without_engine(context: Context, history: History) -> Running:
    return replace(context.running, engine=None, history=history, receiving=None, backups=None, retention=None)


def hide_map_actions(actions: Actions) -> None:
    """Take everything of the map off bars and menus: in an unaided session there is none."""
    for name in MAP_ACTIONS:
        actions[name].setVisible(False)
