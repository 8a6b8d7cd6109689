"""Backups from the menu: make one now, name the last good one, put one back (ux.md 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, Qt, Signal
from PySide6.QtWidgets import (
    QDialogButtonBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.history import backup
from aicorona_desktop.history.store import HistoryError
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.worklist_words import moment_text

translate = QCoreApplication.translate

LANE = "backup"
"""A copy of a long history takes seconds: nothing else waits for it."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The backups there are, newest first, each with whether it can be read back and what it lacks."""

    copies: tuple[tuple[backup.Copy, bool], ...]
    affected: Mapping[Path, backup.Affected | None] = field(default_factory=dict)

    @property
    def last_good(self) -> backup.Copy | None:
        """The newest one that can be put back."""
        return next((copy for copy, good in self.copies if good), None)


def look_at(place: Path) -> Kept:
    """Look at every backup of a history; each is read through."""
    copies = tuple((copy, backup.is_good(copy.path)) for copy in reversed(backup.copies(place)))
    return Kept(copies, {copy.path: backup.affected(place, copy.path) for copy, good in copies if good})


def put_back(place: Path, copy: Path, now: datetime, by: str = "") -> str:
    """Put a backup in the history's place, which no program has open; return in a few sentences what came of it."""
    lost = backup.affected(place, copy)
    try:
        aside = backup.restore(place, copy, now, by)
    except HistoryError as error:
        return str(error)
    text = translate("Backups", "The backup “{copy}” is in place. The history before it is kept as “{aside}”.")
    said = text.format(copy=copy.name, aside=aside.name)
    return said if lost is None else f"{said} {affected_text(lost)}"


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
        running = self._context.running
        self.told.emit(translate("Backups", "The backup is being made."))
        self._run(running.history.backup if running.backups is None else running.backups.make, self._made)

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
        self._affected = found.affected
        self.lacks = QLabel(self)
        self.lacks.setWordWrap(True)
        self.lacks.setAccessibleName(translate("Backups", "What the chosen backup lacks"))
        self.body.addWidget(self.lacks)
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
        lost = self._affected.get(self.chosen) if self.chosen is not None else None
        self.lacks.setText("" if lost is None else affected_text(lost))
        self.restore.setEnabled(self.chosen is not None)
        self.restore.setToolTip("" if self.chosen is not None else translate("Backups", "Choose a backup first."))


class SecondPlace(QFrame):
    """A second folder for each backup, such as a stick: the choice, and the way back to none."""

    def __init__(self, site: SiteChoices, parent: QWidget) -> None:
        super().__init__(parent)
        self._site = site
        self.setAccessibleName(translate("Backups", "A second place for backups"))
        self.words = plain(QLabel(self))
        self.words.setWordWrap(True)
        choose = QPushButton(translate("Backups", "Choose a folder…"), self)
        choose.clicked.connect(self._ask)
        self.none = QPushButton(translate("Backups", "No second place"), self)
        self.none.clicked.connect(lambda: site.change(backup_also_to=None))
        buttons = QHBoxLayout()
        buttons.addWidget(choose)
        buttons.addWidget(self.none)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(QLabel(self.accessibleName(), self))
        column.addWidget(self.words)
        column.addLayout(buttons)
        site.changed.connect(self._site_changed)  # a method of this widget: the settings outlive it
        self._show()

    def _site_changed(self, names: frozenset[str]) -> None:
        if "backup_also_to" in names:
            self._show()

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, self.accessibleName())
        if chosen:
            self._site.change(backup_also_to=Path(chosen))

    def _show(self) -> None:
        folder = self._site.value.backup_also_to
        self.none.setEnabled(folder is not None)
        self.none.setToolTip("" if folder is not None else translate("Backups", "There is none."))
        if folder is None:
            words = translate(
                "Backups", "A disk that fails takes history and backups with it. Choose a stick or a share."
            )
        else:
            words = translate("Backups", "Each backup is put into {folder} as well, proved there, and kept seven deep.")
        self.words.setText(words.replace("{folder}", str(folder)))


def affected_text(lost: backup.Affected) -> str:
    """Return what will be missing from the list once a backup is in place, and what comes back by itself."""
    if not lost.studies and not lost.verdicts:
        return translate("Backups", "It lacks no study and no impression.")
    studies = translate("Backups", "%n study(ies)", "", lost.studies)
    verdicts = translate("Backups", "%n impression(s)", "", lost.verdicts)
    text = translate(
        "Backups",
        "It lacks what was recorded from {since} to {until}: {studies} and {verdicts}. Studies whose files are kept "
        "are read again by themselves.",
    )
    return text.format(since=moment_text(lost.since), until=moment_text(lost.until), studies=studies, verdicts=verdicts)


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
