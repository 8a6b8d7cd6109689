"""The watched folders in the settings: each with its state, what it has given, and how it is watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFileDialog,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.events import WatchedFolder, WatchState
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.theme import ThemeKeeper

translate = QCoreApplication.translate


class WatchedFolders(QFrame):
    """The folders that are watched: add one, take one away, say how each is watched, look into all of them now."""

    def __init__(self, site: SiteChoices, keeper: ThemeKeeper, parent: QWidget) -> None:
        super().__init__(parent)
        self._site = site
        self._keeper = keeper
        self._states: Callable[[], tuple[WatchedFolder, ...]] = tuple
        self.setAccessibleName(translate("Settings", "Watched folders"))
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.accessibleName())
        self.list.setMinimumHeight(self.fontMetrics().lineSpacing() * 5)
        self.list.setMaximumHeight(self.fontMetrics().lineSpacing() * 9)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.add_button = QPushButton(icon("plus", keeper.theme), translate("Settings", "Watch a folder…"), self)
        self.remove = QPushButton(icon("minus", keeper.theme), translate("Settings", "Stop watching"), self)
        self.look = QPushButton(translate("Settings", "Look now"), self)
        self.label = QLineEdit(self, maxLength=64)
        self.copied = QCheckBox(translate("Settings", "Keep copies of its files"), self)
        self.quiet = _seconds(self, 10, 300)
        self.every = _seconds(self, 1, 300)
        self.explained = QLabel(self)
        self.explained.setWordWrap(True)
        self.explained.setText(
            translate(
                "Settings",
                "Nothing in a watched folder is ever changed, moved or deleted. Without copies, a study can be looked "
                "at only as long as its files stay where they are.",
            )
        )
        self._lay_out()
        self._connect()
        self._fill()

    def follow(self, states: Callable[[], tuple[WatchedFolder, ...]], changed: Any, look_now: Any) -> None:
        """Show how each folder stands, now and whenever the signal `changed` comes; `look_now` looks into them."""
        self._states = states
        changed.connect(self._show_states)
        self.look.clicked.connect(look_now)
        self._show_states()

    def add(self, folder: Path) -> None:
        """Watch one more folder; copies of its files are kept unless somebody says otherwise."""
        watched = self._site.value.watched
        if folder not in {one.folder for one in watched}:
            self._site.change(watched=(*watched, WatchedSource(folder)))
        self.list.setCurrentRow([one.folder for one in self._site.value.watched].index(folder))

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        for button in (self.add_button, self.remove, self.look):
            buttons.addWidget(button)
        buttons.addStretch(1)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(translate("Settings", "Name"), self.label)
        form.addRow(self.copied)
        form.addRow(translate("Settings", "A study is complete after"), self.quiet)
        form.addRow(translate("Settings", "Look into it every"), self.every)
        self.details = QWidget(self)
        self.details.setLayout(form)
        form.setContentsMargins(0, 0, 0, 0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(QLabel(self.accessibleName(), self))
        column.addWidget(self.list)
        column.addLayout(buttons)
        column.addWidget(self.details)
        column.addWidget(self.explained)

    def _connect(self) -> None:
        self.add_button.clicked.connect(self._ask)
        self.remove.clicked.connect(self._remove)
        self.list.currentRowChanged.connect(self._show_details)
        self.label.editingFinished.connect(lambda: self._change(label=self.label.text().strip()))
        self.copied.clicked.connect(lambda on: self._change(copied=on))
        self.quiet.valueChanged.connect(lambda: self._change(quiet_time_s=_chosen(self.quiet)))
        self.every.valueChanged.connect(lambda: self._change(look_every_s=_chosen(self.every)))
        self._site.changed.connect(self._fill)
        self._keeper.changed.connect(self._show_states)

    def _fill(self) -> None:
        row, sources = self.list.currentRow(), self._site.value.watched
        with QSignalBlocker(self.list):
            if self.list.count() != len(sources):
                self.list.clear()
                for _ in sources:
                    self.list.addItem(QListWidgetItem())
            self.list.setCurrentRow(min(row, len(sources) - 1))
        self._show_states()
        self._show_details()

    def _show_states(self) -> None:
        states = {one.folder: one for one in self._states()}
        for number, source in enumerate(self._site.value.watched):
            item, state = self.list.item(number), states.get(source.folder)
            words = folder_line(state) if state else ""
            text = f"{source.name} - {source.folder}" if source.label else str(source.folder)
            item.setText(f"{text}\n{words}" if words else text)
            trouble = state is not None and state.state is not WatchState.WATCHING
            item.setIcon(
                icon(*("warning", self._keeper.theme, "caution") if trouble else ("watch", self._keeper.theme))
            )
        self.look.setEnabled(bool(states))
        self.look.setToolTip("" if states else translate("Settings", "No folder is watched."))

    def _show_details(self) -> None:
        source = self._current()
        self.remove.setEnabled(source is not None)
        self.remove.setToolTip("" if source else translate("Settings", "Choose a folder in the list first."))
        self.details.setVisible(source is not None)
        if source is None:
            return
        site = self._site.value
        with QSignalBlocker(self.label), QSignalBlocker(self.quiet), QSignalBlocker(self.every):
            self.label.setText(source.label)
            self.label.setPlaceholderText(source.folder.name)
            self.copied.setChecked(source.copied)
            _show(self.quiet, source.quiet_time_s, site.quiet_time_s)
            _show(self.every, source.look_every_s, site.poll_s)

    def _current(self) -> WatchedSource | None:
        row, sources = self.list.currentRow(), self._site.value.watched
        return sources[row] if 0 <= row < len(sources) else None

    def _change(self, **values: Any) -> None:
        source = self._current()
        if source is not None:
            changed = replace(source, **values)
            if changed != source:
                self._site.change(watched=tuple(changed if one is source else one for one in self._site.value.watched))

    def _ask(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, translate("Settings", "Watch a folder"))
        if chosen:
            self.add(Path(chosen))

    def _remove(self) -> None:
        source = self._current()
        self._site.change(watched=tuple(one for one in self._site.value.watched if one is not source))


def folder_line(one: WatchedFolder) -> str:
    """Return in words how a watched folder stands: its state, and what it has given; never that nothing is new."""
    since = one.since.astimezone().strftime("%H:%M")
    if one.state is WatchState.REFUSED:
        return translate("Settings", "Access refused since {time}; tried again").format(time=since)
    if one.state is WatchState.LOST:
        text = translate("Settings", "Cannot be reached, or is empty, since {time}; tried again")
        return text.format(time=since)
    parts = [translate("Settings", "Watching")]
    if one.arriving:
        parts.append(translate("Settings", "%n file(s) arriving", "", one.arriving))
    if one.last_at is not None:
        when = one.last_at.astimezone().strftime("%Y-%m-%d %H:%M")
        taken = translate("Settings", "%n file(s) taken, the last at {time}", "", one.files)
        parts.append(taken.format(time=when))
    return ", ".join(parts)


def _seconds(parent: QWidget, smallest: float, largest: float) -> QDoubleSpinBox:
    """A number of seconds, or the value of the site where it stands at its beginning."""
    editor = QDoubleSpinBox(parent, decimals=0, minimum=smallest - 1, maximum=largest)
    editor.setSuffix(translate("Settings", " s"))
    editor.setKeyboardTracking(False)
    return editor


def _chosen(editor: QDoubleSpinBox) -> float | None:
    return None if editor.value() == editor.minimum() else editor.value()


def _show(editor: QDoubleSpinBox, value: float | None, of_site: float) -> None:
    text = translate("Settings", "as for all: {seconds} s")
    editor.setSpecialValueText(text.format(seconds=f"{of_site:g}"))
    editor.setValue(editor.minimum() if value is None else value)
