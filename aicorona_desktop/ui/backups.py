"""Backups from the menu: make one now, name the last good one, put one back (ux.md 7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QLabel, QListWidget, QListWidgetItem, QWidget

from aicorona_desktop.history import backup
from aicorona_desktop.history.store import History, HistoryError
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.worklist_words import moment_text

translate = QCoreApplication.translate

LANE = "backup"
"""A copy of a long history takes seconds: nothing else waits for it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The backups there are, newest first, each with whether it can be read back."""

    copies: tuple[tuple[backup.Copy, bool], ...]

    @property
    def last_good(self) -> backup.Copy | None:
        """The newest one that can be put back."""
        return next((copy for copy, good in self.copies if good), None)


def look_at(place: Path) -> Kept:
    """Look at every backup of a history; each is read through."""
    copies = reversed(backup.copies(place))
    return Kept(tuple((copy, backup.is_good(copy.path)) for copy in copies))


def put_back(place: Path, copy: Path, now: datetime) -> str:
    """Put a backup in the history's place, which no program has open; return in one sentence what came of it."""
    try:
        aside = backup.restore(place, copy, now)
    except HistoryError as error:
        return str(error)
    text = translate("Backups", "The backup “{copy}” is in place. The history before it is kept as “{aside}”.")
    return text.format(copy=copy.name, aside=aside.name)


class Backups(QObject):
    """Answers the two actions of the menu; `kept` tells in words which backup is the last good one."""

    told = Signal(str)
    kept = Signal(str)

    def __init__(self, context: Context, parent: QWidget) -> None:
        super().__init__(parent)
        self._context = context
        self._window = parent
        context.actions["back_up"].triggered.connect(lambda _=False: self.make())
        context.actions["restore_backup"].triggered.connect(lambda _=False: self.ask())
        if not context.writable:
            why = translate("Backups", "This copy of the program is for reading only.")
            for name in ("back_up", "restore_backup"):
                context.actions.disable(name, why)

    def make(self) -> None:
        """Make a backup now."""
        history: History = self._context.running.history
        self.told.emit(translate("Backups", "The backup is being made."))
        self._run(history.backup, self._made)

    def look(self) -> None:
        """Find the last good backup anew; `kept` follows."""
        place = self._context.running.place
        self._run(lambda: look_at(place), lambda found: self.kept.emit(last_good_text(found)))

    def ask(self) -> None:
        """Ask which backup shall be put back."""
        place = self._context.running.place
        self._run(lambda: look_at(place), self._choose)

    def _run(self, work: Callable[[], object], done: Callable[..., None]) -> None:
        self._context.jobs.run(work, done, self.told.emit, lane=LANE, owner=self)

    def _made(self, copy: Path) -> None:
        self.told.emit(translate("Backups", "The backup “{name}” was made and read back.").format(name=copy.name))
        self.look()

    def _choose(self, found: Kept) -> None:
        dialog = RestoreDialog(found, self._window)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self._restore(dialog.chosen))
        dialog.open()

    def _restore(self, copy: Path | None) -> None:
        if copy is not None and self._context.restore is not None:
            self._context.restore(copy)


class RestoreDialog(Sheet):
    """Says what happens, lets one backup be chosen; accepted by a verb."""

    def __init__(self, found: Kept, parent: QWidget | None = None) -> None:
        title = translate("Backups", "Put a backup in the place of the history?")
        super().__init__(title, parent, (80, 22))
        self.add_heading(title)
        what = translate(
            "Backups",
            "The window closes and opens again. What was recorded since the backup is then not in the list; "
            "the present history is set aside as a file, and nothing is removed.",
        )
        label = QLabel(what, self)
        label.setWordWrap(True)
        self.body.addWidget(label)
        self.list = QListWidget(self)
        self.list.setAccessibleName(translate("Backups", "Backups, newest first"))
        for copy, good in found.copies:
            self._add(copy.path, copy_text(copy, good=good), good=good)
        self.body.addWidget(self.list, 1)
        box = QDialogButtonBox(self)
        self.restore = box.addButton(translate("Backups", "Put it back"), QDialogButtonBox.ButtonRole.AcceptRole)
        other = box.addButton(translate("Backups", "Another file…"), QDialogButtonBox.ButtonRole.ActionRole)
        box.addButton(translate("Backups", "Leave as it is"), QDialogButtonBox.ButtonRole.RejectRole)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        other.clicked.connect(self._ask_file)
        self.body.addWidget(box)
        self.list.currentItemChanged.connect(self._enable)
        self._enable()

    @property
    def chosen(self) -> Path | None:
        """The backup that was chosen."""
        item = self.list.currentItem()
        return None if item is None else Path(item.data(Qt.ItemDataRole.UserRole))

    def add_file(self, path: Path) -> None:
        """Offer a file from elsewhere, and choose it; whether it is a history of ours is proved before it is used."""
        self._add(path, str(path), good=True)
        self.list.setCurrentRow(self.list.count() - 1)

    def _add(self, path: Path, text: str, *, good: bool) -> None:
        item = QListWidgetItem(text, self.list)
        item.setData(Qt.ItemDataRole.UserRole, str(path))
        if not good:
            item.setFlags(Qt.ItemFlag.NoItemFlags)

    def _ask_file(self) -> None:
        kinds = translate("Backups", "Backups (*.sqlite3 *.sqlite)")
        name, _ = QFileDialog.getOpenFileName(self, translate("Backups", "Choose a backup"), "", kinds)
        if name:
            self.add_file(Path(name))

    def _enable(self, *_: object) -> None:
        self.restore.setEnabled(self.chosen is not None)
        self.restore.setToolTip("" if self.chosen is not None else translate("Backups", "Choose a backup first."))


def copy_text(copy: backup.Copy, *, good: bool) -> str:
    """Return one backup as a line: when it was made, its name, and whether it can be read back."""
    if good:
        return translate("Backups", "{time}  {name}").format(time=moment_text(copy.made_at), name=copy.path.name)
    text = translate("Backups", "{time}  {name} (can't be read)")
    return text.format(time=moment_text(copy.made_at), name=copy.path.name)


def last_good_text(found: Kept) -> str:
    """Return which backup is the last good one."""
    good = found.last_good
    if good is None:
        return translate("Backups", "There is no good backup of the history yet.")
    text = translate("Backups", "Last good backup: {time} ({name}).")
    return text.format(time=moment_text(good.made_at), name=good.path.name)
