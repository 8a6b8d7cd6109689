"""What the pages of the verification are made of: a page that scrolls, tables as high as their rows, buttons."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHeaderView,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.ui.choices import UserChoices
from aicorona_desktop.ui.fold import Fold

ROWS_SHOWN = 12
"""A longer table scrolls by itself."""


class Page(QScrollArea):
    """A page of folds below each other, as wide as the window, scrolled downwards."""

    say = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside = QWidget()
        self.column = QVBoxLayout(inside)
        self.setWidget(inside)

    def enter(self) -> None:
        """Called when the page comes to the front."""

    def end(self) -> None:
        """Called once, before the services stop."""

    def add_group(
        self, key: str, title: str, widgets: Sequence[QWidget], memory: UserChoices | None, *, opened: bool = True
    ) -> Fold:
        """Add widgets below a heading that folds."""
        content = QWidget()
        lines = QVBoxLayout(content)
        for widget in widgets:
            lines.addWidget(widget)
            if isinstance(widget, QPushButton):
                lines.setAlignment(widget, Qt.AlignmentFlag.AlignLeading)
        fold = Fold(f"verification_{key}", title, content, memory, opened=opened)
        self.column.addWidget(fold)
        return fold

    def close_column(self) -> None:
        """Keep the groups at the top."""
        self.column.addStretch(1)


class FlatTable(QTableWidget):
    """A table to read, as high as its rows up to `ROWS_SHOWN`; `chosen` gives the key of a row to be opened."""

    chosen = Signal(str)

    def __init__(self, name: str, heard: str, headers: Sequence[str], parent: QWidget | None = None) -> None:
        """`heard` is what a screen reader calls it."""
        super().__init__(0, len(headers), parent)
        self.setObjectName(name)
        self.setAccessibleName(heard)
        self.setHorizontalHeaderLabels(list(headers))
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setWordWrap(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().setVisible(False)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setStretchLastSection(True)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
        self.itemActivated.connect(self._activated)

    @property
    def texts(self) -> list[list[str]]:
        """What stands in the table, row by row."""
        return [
            [item.text() if (item := self.item(row, column)) else "" for column in range(self.columnCount())]
            for row in range(self.rowCount())
        ]

    def show_rows(self, rows: Sequence[Sequence[str]], keys: Sequence[str] = ()) -> None:
        """Show these rows in place of those before; `keys` name what each row opens."""
        self.clearContents()
        self.setRowCount(len(rows))
        for place, cells in enumerate(rows):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                if keys:
                    item.setData(Qt.ItemDataRole.UserRole, keys[place])
                self.setItem(place, column, item)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Fit the rows to another size of text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def choose_current(self) -> None:
        """Open what the current row stands for."""
        item = self.item(max(0, self.currentRow()), 0)
        if item is not None:
            self._activated(item)

    def _activated(self, item: QTableWidgetItem) -> None:
        key = item.data(Qt.ItemDataRole.UserRole)
        if key:
            self.chosen.emit(str(key))

    def _fit(self) -> None:
        self.resizeRowsToContents()
        header = self.horizontalHeader().sizeHint().height()
        rows = sum(self.rowHeight(row) for row in range(min(self.rowCount(), ROWS_SHOWN)))
        line = self.fontMetrics().height()
        self.setFixedHeight(header + max(rows, line) + 2 * self.frameWidth() + line // 2)


def button(name: str, text: str, act: Callable[[], object], parent: QWidget | None = None) -> QPushButton:
    """Return a button that does one thing."""
    made = QPushButton(text, parent)
    made.setObjectName(name)
    made.clicked.connect(lambda _=False: act())
    return made


def allow(made: QPushButton, why_not: str) -> None:
    """Let a button be pressed, or say on it why not."""
    made.setEnabled(not why_not)
    made.setToolTip(why_not)
    made.setAccessibleDescription(why_not)
