"""The rows of the history, newest first, read page by page as the user scrolls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from PySide6.QtCore import QAbstractTableModel, QCoreApplication, QModelIndex, QObject, QPersistentModelIndex, Qt

from aicorona_desktop.core.rows import Row
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.plain import plain_tip

translate = QCoreApplication.translate

Index = QModelIndex | QPersistentModelIndex
NO_INDEX = QModelIndex()


class HistoryColumn(StrEnum):
    """The columns from left to right."""

    IDENTITY = "identity"
    AGE_SEX = "age_sex"
    STUDY_TIME = "study_time"
    ARRIVED = "arrived"
    SCORE = "score"
    STATE = "state"
    READER = "reader"
    OUTCOME = "outcome"


COLUMNS = tuple(HistoryColumn)


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """Some rows, the key of those after them, and how many are wanted of how many."""

    rows: tuple[Row, ...]
    next_key: int | None
    wanted: int
    total: int


class HistoryModel(QAbstractTableModel):
    """What has been read so far; asks for more when the view comes to its end."""

    def __init__(self, context: Context, more: Callable[[int], None], parent: QObject | None = None) -> None:
        """`more` is called with the key of the last page; its answer comes with `append`."""
        super().__init__(parent)
        self._context = context
        self._more = more
        self._rows: list[Row] = []
        self._next_key: int | None = None
        self._asked_for: int | None = None
        context.identities.changed.connect(self.redraw)
        context.site.changed.connect(self.redraw)

    # --- what Qt asks ----------------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(self._rows)

    def columnCount(self, parent: Index = NO_INDEX) -> int:
        return 0 if parent.isValid() else len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        wanted = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole)
        if orientation is Qt.Orientation.Horizontal and role in wanted:
            return _titles()[COLUMNS[section]]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        if not index.isValid():
            return None
        row = self._rows[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return self._cell(row, COLUMNS[index.column()])
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._cell(row, COLUMNS[index.column()])) or None
        if role == Qt.ItemDataRole.AccessibleTextRole:
            identity = self._context.identity(row)
            outcome = words.outcome_text(row)
            spoken = words.spoken(row, identity, self._context.now(), covered=self.is_covered(row))
            return f"{spoken} {outcome}" if outcome else spoken
        return None

    def canFetchMore(self, parent: Index) -> bool:
        return not parent.isValid() and self._next_key is not None and self._next_key != self._asked_for

    def fetchMore(self, parent: Index) -> None:
        if self.canFetchMore(parent) and self._next_key is not None:
            self._asked_for = self._next_key
            self._more(self._next_key)

    # --- rows ------------------------------------------------------------------------------------------------------

    def show_page(self, page: HistoryPage) -> None:
        """Show this page in place of everything before."""
        self.beginResetModel()
        self._rows, self._next_key, self._asked_for = list(page.rows), page.next_key, None
        self.endResetModel()

    def append(self, key: int, page: HistoryPage) -> None:
        """Show the page that was asked for with a key below the rows that stand."""
        if key != self._next_key:
            return
        first = len(self._rows)
        if page.rows:
            self.beginInsertRows(NO_INDEX, first, first + len(page.rows) - 1)
        self._rows += page.rows
        self._next_key = page.next_key
        if page.rows:
            self.endInsertRows()

    def forget_asking(self) -> None:
        """The page that was asked for doesn't come: it may be asked for again."""
        self._asked_for = None

    def renew(self, rows: Mapping[str, Row]) -> None:
        """Take new states of studies that are shown."""
        for number, row in enumerate(self._rows):
            if row.study_instance_uid in rows:
                self._rows[number] = rows[row.study_instance_uid]
                self.dataChanged.emit(self.index(number, 0), self.index(number, len(COLUMNS) - 1))

    def redraw(self, *_: object) -> None:
        """Names have come or gone, or scores are covered: every cell may say something else."""
        if self._rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self._rows) - 1, len(COLUMNS) - 1))

    def row_at(self, number: int) -> Row | None:
        """Return a row; None beyond the end."""
        return self._rows[number] if 0 <= number < len(self._rows) else None

    def number_of(self, study_instance_uid: str) -> int | None:
        """Return the line of a study; None where it isn't among those read."""
        uids = (number for number, row in enumerate(self._rows) if row.study_instance_uid == study_instance_uid)
        return next(uids, None)

    def uids(self) -> frozenset[str]:
        """Return the studies read so far."""
        return frozenset(row.study_instance_uid for row in self._rows)

    def is_covered(self, row: Row) -> bool:
        """Whether the score of a row is not to be seen yet."""
        return words.is_covered(row, self._context.site.value.look_first)

    def _cell(self, row: Row, column: HistoryColumn) -> str:
        if column is HistoryColumn.IDENTITY:
            return words.identity_text(self._context.identity(row))
        if column is HistoryColumn.SCORE:
            return words.score_text(row, covered=self.is_covered(row))
        return _PLAIN_CELLS[column](row)


_PLAIN_CELLS: Mapping[HistoryColumn, Callable[[Row], str]] = {
    HistoryColumn.AGE_SEX: words.age_sex_text,
    HistoryColumn.STUDY_TIME: words.study_time_text,
    HistoryColumn.ARRIVED: lambda row: words.moment_text(row.received_at),
    HistoryColumn.STATE: words.state_text,
    HistoryColumn.READER: words.reader_text,
    HistoryColumn.OUTCOME: words.outcome_text,
}
"""The cells that say the same whoever looks."""


def _titles() -> Mapping[HistoryColumn, str]:
    return {
        HistoryColumn.IDENTITY: words.column_title(words.Column.IDENTITY),
        HistoryColumn.AGE_SEX: words.column_title(words.Column.AGE_SEX),
        HistoryColumn.STUDY_TIME: words.column_title(words.Column.STUDY_TIME),
        HistoryColumn.ARRIVED: translate("History", "Arrived"),
        HistoryColumn.SCORE: words.column_title(words.Column.SCORE),
        HistoryColumn.STATE: words.column_title(words.Column.STATE),
        HistoryColumn.READER: words.column_title(words.Column.READER),
        HistoryColumn.OUTCOME: translate("History", "Outcome"),
    }
