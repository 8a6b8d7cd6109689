"""The list as a table model: a frozen snapshot of the order, its rows read page by page as they come into sight."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.finding_words import finding_text
from aicorona_desktop.ui.identity import Identity
from aicorona_desktop.ui.plain import plain_tip
from aicorona_desktop.ui.worklist_lines import Kind, Line, Lines
from aicorona_desktop.ui.worklist_pages import PAGE, PageOf, Place, Snapshot, empty_snapshot
from aicorona_desktop.ui.worklist_words import Column, Detail

Index = QModelIndex | QPersistentModelIndex
NOWHERE = QModelIndex()

PAGES_KEPT = 80

LINE_ROLE = Qt.ItemDataRole.UserRole + 1
ROW_ROLE = Qt.ItemDataRole.UserRole + 2
DETAIL_ROLE = Qt.ItemDataRole.UserRole + 3
HEADING_ROLE = Qt.ItemDataRole.UserRole + 4

COLUMNS = tuple(Column)
NEVER_FOLDED = frozenset({Lane.NEEDS_PERSON})
FOLDED_AT_FIRST = frozenset({Lane.READ, Lane.NOT_FOR_TOOL})


@dataclass(frozen=True, slots=True)
class Heading:
    """What the heading of a lane shows."""

    lane: Lane
    title: str
    count: int
    folded: bool
    foldable: bool


class WorklistModel(QAbstractTableModel):
    """Shows one snapshot; what stands in a row may change in place, the order only by `show`."""

    pages_wanted = Signal(object)
    """A frozenset of (lane, page number) that a view has asked for and that are not there."""

    def __init__(
        self,
        identity: Callable[[Row], Identity],
        now: Callable[[], datetime],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._identity = identity
        self._now = now
        self._snapshot = empty_snapshot(now())
        self._rows: dict[Place, Row] = {}
        self._places: dict[str, Place] = {}
        self._folds: dict[bool, frozenset[Lane]] = {False: FOLDED_AT_FIRST, True: frozenset()}  # by: is filtered
        self._unfolded: set[str] = set()
        self._details: dict[Place, tuple[Detail, ...]] = {}
        self._lines = Lines({})
        self._asked: set[PageOf] = set()
        self._numbers: set[int] = set()  # of the snapshots that show the order that is drawn
        self.look_first = False
        """Whether scores stay covered until the own impression is saved."""

    # --- what is shown ---------------------------------------------------------------------------------------

    @property
    def snapshot(self) -> Snapshot:
        """The order that is drawn."""
        return self._snapshot

    @property
    def lines(self) -> Lines:
        """What stands on which line."""
        return self._lines

    @property
    def folded(self) -> frozenset[Lane]:
        """The lanes of which only the heading is shown; none at first while something is filtered."""
        return self._folds[self._snapshot.is_filtered] - NEVER_FOLDED

    @property
    def kept_folds(self) -> frozenset[Lane]:
        """The lanes that are folded while nothing is filtered."""
        return self._folds[False] - NEVER_FOLDED

    def show(self, snapshot: Snapshot) -> None:
        """Draw another order."""
        self.beginResetModel()
        if snapshot.is_filtered and snapshot.asked.wanted != self._snapshot.asked.wanted:
            self._folds[True] = frozenset()
        self._snapshot = snapshot
        self._numbers = {snapshot.number}
        self._rows = dict(snapshot.rows)
        self._places = {row.study_instance_uid: place for place, row in reversed(self._rows.items())}
        self._asked.clear()
        self._details = {self._places[uid]: self._details_of(uid) for uid in self._unfolded if uid in self._places}
        self._lines = self._laid_out()
        self.endResetModel()

    def adopt(self, snapshot: Snapshot) -> None:
        """Take over a newer look at the very order that is drawn."""
        self._snapshot = snapshot
        self._numbers.add(snapshot.number)
        fresh = {place: row for place, row in snapshot.rows.items() if place not in self._rows}
        self._rows |= fresh
        for place, row in fresh.items():
            self._places.setdefault(row.study_instance_uid, place)
        self._tell_changed(fresh)

    def add_rows(self, number: int, lane: Lane, start: int, rows: Iterable[Row]) -> None:
        """Fill in rows of a snapshot; those of another order than is drawn are dropped."""
        if number not in self._numbers:
            return
        added = {(lane, start + offset): row for offset, row in enumerate(rows)}
        self._rows |= added
        for place, row in added.items():
            self._places.setdefault(row.study_instance_uid, place)
        self._asked.discard((lane, start // PAGE))
        self._forget_far_pages(lane, start // PAGE)
        self._tell_changed(added)
        for row in added.values():
            if row.study_instance_uid in self._unfolded:
                self._lay_details(row.study_instance_uid)

    def renew(self, rows: Iterable[Row]) -> None:
        """Take over what is new in studies that are drawn, each where it stands."""
        changed: dict[Place, Row] = {}
        for row in rows:
            place = self._places.get(row.study_instance_uid)
            if place is not None and self._rows.get(place) not in (None, row):
                changed[place] = row
        self._rows |= changed
        self._tell_changed(changed)
        for row in changed.values():
            if row.study_instance_uid in self._unfolded:
                self._lay_details(row.study_instance_uid)

    def refused(self, lane: Lane, page: int) -> None:
        """Note that a page could not be read, so that it is asked for again when it is next in sight."""
        self._asked.discard((lane, page))

    def tick(self) -> None:
        """Draw waiting times anew."""
        self._tell_all(COLUMNS.index(Column.WAITING), COLUMNS.index(Column.WAITING))

    def renamed(self) -> None:
        """Draw everything anew, after names were hidden or shown, or the language was changed."""
        for uid in self._unfolded & self._places.keys():
            self._lay_details(uid)
        self._tell_all(0, len(COLUMNS) - 1)
        self.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(COLUMNS) - 1)

    # --- folding ---------------------------------------------------------------------------------------------

    def fold(self, lane: Lane, folded: bool = True) -> None:
        """Fold a lane to its heading, or show its studies; what needs a person is never folded."""
        if lane in NEVER_FOLDED or (lane in self.folded) == folded:
            return
        before, heading = self._lines, self._lines.heading(lane)
        lanes = self.folded ^ {lane}
        after = self._laid_out(folded=lanes)
        change = len(after) - len(before)
        if heading is not None and change < 0:
            self.beginRemoveRows(NOWHERE, heading + 1, heading - change)
        elif heading is not None and change > 0:
            self.beginInsertRows(NOWHERE, heading + 1, heading + change)
        self._folds[self._snapshot.is_filtered], self._lines = lanes, after
        if heading is not None and change:
            (self.endRemoveRows if change < 0 else self.endInsertRows)()
        if heading is not None:
            self._tell(heading, heading)

    def unfold_row(self, study_instance_uid: str, unfolded: bool = True) -> None:
        """Show or hide the fold-out of a study that is drawn."""
        if unfolded:
            self._unfolded.add(study_instance_uid)
        else:
            self._unfolded.discard(study_instance_uid)
        self._lay_details(study_instance_uid)

    def is_unfolded(self, study_instance_uid: str) -> bool:
        """Whether the fold-out of a study is shown."""
        return self._places.get(study_instance_uid) in self._details

    # --- finding ---------------------------------------------------------------------------------------------

    def line(self, number: int) -> Line | None:
        """Return what stands on a line; None beyond the end."""
        return self._lines[number] if 0 <= number < len(self._lines) else None

    def row_at(self, number: int) -> Row | None:
        """Return the study of a line or of its fold-out; None on a heading, or while it is being read."""
        line = self.line(number)
        return None if line is None or line.kind is Kind.LANE else self._rows.get((line.lane, line.position))

    def row_of(self, study_instance_uid: str) -> Row | None:
        """Return a study that is drawn."""
        place = self._places.get(study_instance_uid)
        return None if place is None else self._rows.get(place)

    def place_of(self, study_instance_uid: str) -> Place | None:
        """Return lane and position of a study that has been read."""
        return self._places.get(study_instance_uid)

    def line_of(self, study_instance_uid: str) -> int | None:
        """Return the line of a study; None where it is not drawn."""
        place = self._places.get(study_instance_uid)
        return None if place is None else self._lines.study(*place)

    @property
    def rows(self) -> Mapping[Place, Row]:
        """The studies that have been read, by lane and position."""
        return self._rows

    def drawn(self) -> tuple[Row, ...]:
        """Return the studies that have been read, from top to bottom."""
        order = {lane: at for at, lane in enumerate(Lane)}
        return tuple(row for _, row in sorted(self._rows.items(), key=lambda one: (order[one[0][0]], one[0][1])))

    def is_covered(self, row: Row) -> bool:
        """Whether the score of a row stays covered."""
        return words.is_covered(row, self.look_first)

    def identity_of(self, row: Row) -> Identity:
        """Return how the patient of a row is named on the screen."""
        return self._identity(row)

    def now(self) -> datetime:
        """Return the present moment, by which waiting times are drawn."""
        return self._now()

    def want_lines(self, first: int, last: int) -> None:
        """Have the studies on these lines read, where they are not there."""
        missing: set[PageOf] = set()
        for lane, positions in self._lines.positions(first, last):
            for page in range(positions.start // PAGE, (positions.stop - 1) // PAGE + 1):
                inside = range(max(positions.start, page * PAGE), min(positions.stop, (page + 1) * PAGE))
                if any((lane, position) not in self._rows for position in inside):
                    missing.add((lane, page))
        if missing := missing - self._asked:
            self._asked |= missing
            self.pages_wanted.emit(frozenset(missing))

    # --- Qt's questions --------------------------------------------------------------------------------------

    def rowCount(self, parent: Index = NOWHERE) -> int:
        """Return the number of lines."""
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = NOWHERE) -> int:
        """Return the number of columns."""
        return 0 if parent.isValid() else len(COLUMNS)

    def flags(self, index: Index) -> Qt.ItemFlag:
        """Every line can be gone to; none is edited."""
        return _FLAGS if index.isValid() else Qt.ItemFlag.NoItemFlags

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return the headings of the columns."""
        if orientation is not Qt.Orientation.Horizontal or not 0 <= section < len(COLUMNS):
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return words.column_title(COLUMNS[section])
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return words.column_name(COLUMNS[section])
        return words.column_explained(COLUMNS[section]) if role == Qt.ItemDataRole.ToolTipRole else None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Return what a line shows, says and stands for."""
        if not index.isValid() or index.row() >= len(self._lines):
            return None
        line = self._lines[index.row()]
        if role == LINE_ROLE:
            return line
        if line.kind is Kind.LANE:
            return self._heading_data(line.lane, role)
        row = self._rows.get((line.lane, line.position))
        if row is None:
            self._want(line.lane, line.position // PAGE)
            return _waiting_data(role)
        return row if role == ROW_ROLE else self._study_data(row, line, COLUMNS[index.column()], role)

    def heading(self, lane: Lane) -> Heading:
        """Return what the heading of a lane shows."""
        return Heading(
            lane,
            words.lane_title(lane, self._snapshot.order),
            self._snapshot.counts.get(lane, 0),
            lane in self.folded,
            lane not in NEVER_FOLDED,
        )

    def _heading_data(self, lane: Lane, role: int) -> Any:
        heading = self.heading(lane)
        if role == HEADING_ROLE:
            return heading
        if role == Qt.ItemDataRole.DisplayRole:
            return f"{heading.title} ({words.number_text(heading.count)})"
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return spoken_heading(heading)
        return words.lane_explained(lane) if role == Qt.ItemDataRole.ToolTipRole else None

    def _study_data(self, row: Row, line: Line, column: Column, role: int) -> Any:
        if line.kind is Kind.DETAIL:
            return self._detail_data(line, role)
        return self._row_data(row, column, role)

    def _detail_data(self, line: Line, role: int) -> Any:
        details = self._details.get((line.lane, line.position), ())
        if line.detail >= len(details):
            return None
        detail = details[line.detail]
        if role == DETAIL_ROLE:
            return detail
        text = f"{detail.label}: {detail.text}" if detail.label[-1:] != "?" else f"{detail.label} {detail.text}"
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return text
        return plain_tip(text) if role == Qt.ItemDataRole.ToolTipRole else None

    def _row_data(self, row: Row, column: Column, role: int) -> Any:
        if role == Qt.ItemDataRole.DisplayRole:
            return self.cell(row, column)
        if role == Qt.ItemDataRole.AccessibleTextRole:
            return words.spoken(row, self._identity(row), self._now(), covered=self.is_covered(row))
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._tip(row, column))
        return None

    def cell(self, row: Row, column: Column) -> str:
        """Return the text of a cell."""
        if column is Column.IDENTITY:
            return words.identity_text(self._identity(row))
        if column is Column.WAITING:
            return words.waiting_text(row, self._now())
        if column is Column.SCORE:
            return words.score_text(row, covered=self.is_covered(row))
        if column is Column.NOTES:
            return words.notes_text(row, covered=self.is_covered(row))
        if column is Column.MARK:
            return ""
        return _PLAIN_CELLS[column](row)

    def _tip(self, row: Row, column: Column) -> str:
        covered = self.is_covered(row)
        if column is Column.MARK:
            return words.lane_title(row.lane) if row.lane else ""
        if column is Column.SCORE and words.score_of(row) is not None and not covered:
            lines = [words.other_classes_text(row)]
            lines += [words.rests_on_one_slice_text()] if row.rests_on_one_slice else []
            return "\n".join(lines)
        if column is Column.NOTES:
            return "\n".join(map(finding_text, words.notes_of(row)))
        if column is Column.SERIES:
            return row.series_reason
        if column in (Column.WAITING, Column.STATE):
            return "" if covered else row.reason
        return self.cell(row, column)

    # --- inside ----------------------------------------------------------------------------------------------

    def _want(self, lane: Lane, page: int) -> None:
        if (lane, page) not in self._asked:
            self._asked.add((lane, page))
            self.pages_wanted.emit(frozenset({(lane, page)}))

    def _forget_far_pages(self, lane: Lane, page: int) -> None:
        """Keep memory bounded: of a long lane only the pages nearest to the newest one stay."""
        pages = {place // PAGE for of, place in self._rows if of is lane}
        far = sorted(pages, key=lambda one: -abs(one - page))[: max(0, len(pages) - PAGES_KEPT)]
        if not far:
            return
        gone = set(far)
        for place in [one for one in self._rows if one[0] is lane and one[1] // PAGE in gone]:
            uid = self._rows.pop(place).study_instance_uid
            if uid not in self._unfolded and self._places.get(uid) == place:
                del self._places[uid]

    def _laid_out(
        self, *, folded: frozenset[Lane] | None = None, details: Mapping[Place, tuple[Detail, ...]] | None = None
    ) -> Lines:
        lanes = self.folded if folded is None else folded
        shown = self._details if details is None else details
        return Lines(
            self._snapshot.counts,
            frozenset() if self._snapshot.is_sorted else lanes,
            {place: len(texts) for place, texts in shown.items()},
            headed=not self._snapshot.is_sorted,
        )

    def _details_of(self, uid: str) -> tuple[Detail, ...]:
        row = self.row_of(uid)
        return () if row is None else words.details_of(row, covered=self.is_covered(row))

    def _lay_details(self, uid: str) -> None:
        """Put the fold-out of one study to what it should be, telling the views line by line."""
        place = self._places.get(uid)
        if place is None:
            return
        wanted = self._details_of(uid) if uid in self._unfolded else ()
        before = self._details.get(place, ())
        line = self._lines.study(*place)
        if before and len(wanted) != len(before):
            details = {other: texts for other, texts in self._details.items() if other != place}
            self._change_details(details, line, -len(before))
            before = ()
        if wanted and not before:
            self._change_details(self._details | {place: wanted}, line, len(wanted))
        elif wanted:
            self._details[place] = wanted
            if line is not None:
                self._tell(line + 1, line + len(wanted))

    def _change_details(self, details: dict[Place, tuple[Detail, ...]], line: int | None, change: int) -> None:
        after = self._laid_out(details=details)
        if line is None:
            self._details, self._lines = details, after
        elif change < 0:
            self.beginRemoveRows(NOWHERE, line + 1, line - change)
            self._details, self._lines = details, after
            self.endRemoveRows()
        else:
            self.beginInsertRows(NOWHERE, line + 1, line + change)
            self._details, self._lines = details, after
            self.endInsertRows()

    def _tell_changed(self, rows: Mapping[Place, Row]) -> None:
        numbers = sorted(number for place in rows if (number := self._lines.study(*place)) is not None)
        if numbers:
            self._tell(numbers[0], numbers[-1])

    def _tell_all(self, first_column: int, last_column: int) -> None:
        if len(self._lines):
            self.dataChanged.emit(self.index(0, first_column), self.index(len(self._lines) - 1, last_column))

    def _tell(self, first: int, last: int) -> None:
        self.dataChanged.emit(self.index(first, 0), self.index(last, len(COLUMNS) - 1))


_FLAGS = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemNeverHasChildren

_PLAIN_CELLS: Mapping[Column, Callable[[Row], str]] = {
    Column.AGE_SEX: words.age_sex_text,
    Column.STUDY_TIME: words.study_time_text,
    Column.STATE: words.state_text,
    Column.SERIES: words.series_text,
    Column.READER: words.reader_text,
}


def spoken_heading(heading: Heading) -> str:
    """Return the heading of a lane as a sentence."""
    if heading.folded:
        text = words.translate("Worklist", "Lane {title}, {studies}, folded.")
    else:
        text = words.translate("Worklist", "Lane {title}, {studies}.")
    return text.format(title=heading.title, studies=words.studies_counted(heading.count))


def _waiting_data(role: int) -> Any:
    """Return what stands for a row that is being read: an empty line."""
    if role == Qt.ItemDataRole.AccessibleTextRole:
        return words.translate("Worklist", "This row is being read.")
    return "" if role == Qt.ItemDataRole.DisplayRole else None
