"""The viewer over real DICOM files of numbers: a history that knows them, scored by made-up maps, without a window."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.viewing import StudyReader
from aicorona_desktop.core.study import Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series, studies_of
from aicorona_desktop.dicom.volume import to_standard_orientation
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.model.selection import selected
from aicorona_desktop.triage.reading import FileReading
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.identity import Identities
from aicorona_desktop.ui.slice_store import Mark
from aicorona_desktop.ui.viewer_place import ViewerPlace
from tests.ui.panel_parts import WAY, a_pack, cams_of, context_over, score_of

CELLS = 2


def studies_in(folder: Path, spool: Path) -> tuple[Study, ...]:
    """Everything below a folder, as the engine reads it."""
    with Reader() as reader:
        return studies_of(FileReading(reader, Spool(spool)).read([folder]).instances)


def recorded_studies(history: History, folder: Path, context: Context, *, scored: bool = True) -> list[str]:
    """Record all studies below a folder, with a score and maps for the middle half of the chosen series."""
    uids = []
    for study in studies_in(folder, folder.parent / "spool"):
        history.record_received(study)
        uids.append(study.study_instance_uid)
        choice = choose_series(study)
        series = choice.series
        if not scored or series is None:
            continue
        used = selected(len(series.instances), "middle(0.5)")
        part = replace(series, instances=tuple(series.instances[index] for index in used))
        cams = cams_of(len(used), seed=7, cells=CELLS)
        score = score_of(replace(study, series=(part,)), context.running.pack, cams)
        score = replace(score, slice_indices=used, slices_total=len(series.instances))
        history.move_through(study.study_instance_uid, WAY)
        number = history.record_result(study.study_instance_uid, score, (), "0.1", "gate-1", choice=choice)
        context.running.maps.save(number, cams, used, context.running.pack.bias)
    return uids


class Lent(StudyReader):
    """Reads with a process that others use after it."""

    def close(self) -> None:
        self._closed = True


@dataclass(frozen=True)
class Room:
    """A viewer with what it stands on."""

    viewer: ViewerPlace
    context: Context
    history: History
    folder: Path
    qtbot: QtBot

    def add(self, folder: Path, *, scored: bool = True) -> list[str]:
        return recorded_studies(self.history, folder, self.context, scored=scored)

    def open(self, uid: str, *, whole: bool = True) -> ViewerPlace:
        """Show a study and wait for it; `whole` until every slice is there."""
        self.viewer.show_study(uid)
        self.qtbot.waitUntil(lambda: self.viewer.viewed is not None, timeout=10_000)
        if whole:
            self.qtbot.waitUntil(self.all_there, timeout=20_000)
        return self.viewer

    def all_there(self) -> bool:
        store = self.viewer._store
        return store is not None and bool((store.marks != Mark.WAITING).all())

    def do(self, name: str) -> None:
        """Ask for an action as its key does."""
        self.context.actions.ask(name)
        self.context.actions.let_go(name)


def prepared(folder: Path, *sources: Path) -> list[str]:
    """Record the studies below these folders in a history in a folder; return their UIDs, in that order."""
    with context_over(folder, a_pack()) as context:
        history = context.running.history
        return [uid for source in sources for uid in recorded_studies(history, source, context)]


@contextmanager
def room_in(
    folder: Path, qtbot: QtBot, size: tuple[int, int] = (1200, 800), reader: Reader | None = None
) -> Iterator[Room]:
    """A shown viewer over the history in a folder, made if there is none; `reader` spares the start of a process."""
    with context_over(folder, a_pack()) as bare:
        context = replace(bare, identities=Identities(b"k" * 32))
        viewer = ViewerPlace(context, reader=None if reader is None else Lent(lambda: reader))
        viewer.resize(*size)
        viewer.show()
        qtbot.waitExposed(viewer)
        try:
            yield Room(viewer, context, context.running.history, folder, qtbot)
        finally:
            viewer.leave()
            viewer.end()
            viewer.deleteLater()
            qtbot.wait(1)


def pane_pixels(viewer: ViewerPlace) -> np.ndarray:
    """What the main pane was given to paint, uint8 [rows, columns] or [rows, columns, 4], from the QImage itself."""
    return pixels_of(viewer.main.pane)


def pixels_of(pane: object) -> np.ndarray:
    image = pane.image()  # type: ignore[attr-defined]
    depth = image.depth() // 8
    data = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    rows = data[:, : image.width() * depth]
    return rows.copy() if depth == 1 else rows.reshape(image.height(), image.width(), depth).copy()


def standing(pixels: np.ndarray, header: object) -> np.ndarray:
    return to_standard_orientation(pixels, header)  # type: ignore[arg-type]
