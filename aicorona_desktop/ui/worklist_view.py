"""The list on the screen: what is pressed, moved to and kept in place. It decides nothing about studies."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QByteArray, QEvent, QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent, QMouseEvent, QResizeEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView, QWidget

from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.keys import PLACE_KEYS
from aicorona_desktop.ui.theme import Theme
from aicorona_desktop.ui.worklist_delegate import PADDING, WorklistDelegate, line_height
from aicorona_desktop.ui.worklist_lines import Kind, Line
from aicorona_desktop.ui.worklist_model import COLUMNS, WorklistModel
from aicorona_desktop.ui.worklist_words import Column

UNREAD_LANES = (Lane.NEEDS_PERSON, Lane.OVERDUE, Lane.RANKED)

_FILLED_BY = {
    Column.AGE_SEX: "100 y, M",
    Column.STUDY_TIME: "2026-12-23 09:15",
    Column.WAITING: "120 min",
    Column.SCORE: "100 prelim. mmmmm",
    Column.STATE: "OO cannot be scored",
}
"""Columns whose contents have a length: as wide as this text and their heading."""

_SHARES = {Column.IDENTITY: 26, Column.SERIES: 10, Column.NOTES: 17, Column.READER: 21}
"""How the rest of the width is shared; each gets at least that many half letters."""

MINIMUM_COLUMN = 24
IDENTITY_LETTERS, LEAST_LETTERS = 25, 8


@dataclass(frozen=True, slots=True)
class Spot:
    """A line as something that stays the same when the order changes: a study, or the heading of a lane."""

    lane: Lane | None = None
    study_instance_uid: str = ""

    def __bool__(self) -> bool:
        return self.lane is not None or bool(self.study_instance_uid)


@dataclass(frozen=True, slots=True)
class Anchor:
    """What must not move: a spot and how far below the upper edge it stands, in pixels; and what was current."""

    spot: Spot
    y: int
    current: Spot


class WorklistView(QTableView):
    """Shows a `WorklistModel`; keys come as actions of the place, through the methods below."""

    study_opened = Signal(str)  # Study Instance UID
    study_current = Signal(str)  # "" on a heading
    lane_toggled = Signal(object)  # Lane
    row_toggled = Signal(str)  # Study Instance UID: its fold-out
    menu_wanted = Signal(str, QPoint)  # Study Instance UID, place on the screen
    touched = Signal()  # a button or a key was used

    def __init__(self, model: WorklistModel, theme: Callable[[], Theme], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = model
        self._pressed: Spot = Spot()
        self._pressed_column: Column | None = None
        self._button_down = False
        self._current = Spot()
        self._own_widths = False
        self._fitting = False
        self.setModel(model)
        self.lines_delegate = WorklistDelegate(self, model, theme)
        self.setItemDelegate(self.lines_delegate)
        self._set_up()
        self._set_up_headers()
        model.modelReset.connect(self._after_reset)
        self.selectionModel().currentChanged.connect(self._current_changed)
        self.verticalScrollBar().valueChanged.connect(self._scrolled)

    def _set_up(self) -> None:
        self.setProperty(PLACE_KEYS, True)
        self.setAccessibleName(self.tr("Worklist"))
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setCornerButtonEnabled(False)
        self.setDragEnabled(False)
        self.setAutoScroll(False)
        self.setMouseTracking(True)

    def _set_up_headers(self) -> None:
        lines, columns = self.verticalHeader(), self.horizontalHeader()
        lines.setVisible(False)
        lines.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        columns.setSectionsMovable(True)
        columns.setSectionsClickable(True)
        columns.setHighlightSections(False)
        columns.setMinimumSectionSize(MINIMUM_COLUMN)
        columns.setSortIndicatorShown(False)
        columns.setDefaultAlignment(Qt.AlignmentFlag.AlignLeading | Qt.AlignmentFlag.AlignVCenter)
        columns.setAccessibleName(self.tr("Columns"))
        columns.sectionResized.connect(self._column_resized)
        self.set_two_lines(False)

    # --- looks -----------------------------------------------------------------------------------------------

    def set_two_lines(self, two_lines: bool) -> None:
        """Give every line the height of one text or of two."""
        self.lines_delegate.two_lines = two_lines
        height = line_height(self.fontMetrics(), two_lines)
        header = self.verticalHeader()
        header.setMinimumSectionSize(height)
        header.setDefaultSectionSize(height)
        self.viewport().update()

    @property
    def height_of_line(self) -> int:
        """The height of every line, in pixels."""
        return self.verticalHeader().defaultSectionSize()

    def columns_state(self) -> QByteArray:
        """Return widths, order and visibility of the columns, as Qt writes them; empty while they are as at first."""
        return self.horizontalHeader().saveState() if self._own_widths else QByteArray()

    def restore_columns(self, state: QByteArray) -> None:
        """Put the columns where they were; nothing happens with a state of another set of columns."""
        self._fitting = True
        restored = bool(state) and self.horizontalHeader().restoreState(state)
        self._fitting = False
        self._own_widths = restored and self.horizontalHeader().count() == len(COLUMNS)
        self.fit_columns()

    def reset_columns(self) -> None:
        """Put the columns back as they were at first."""
        header = self.horizontalHeader()
        for logical in range(len(COLUMNS)):
            header.setSectionHidden(logical, False)
            header.moveSection(header.visualIndex(logical), logical)
        self._own_widths = False
        self.fit_columns()

    def show_column(self, column: Column, shown: bool) -> None:
        """Show or hide a column; the score and the name always stay."""
        self.horizontalHeader().setSectionHidden(COLUMNS.index(column), not shown)
        self._own_widths = True
        self.viewport().update()

    def fit_columns(self) -> None:
        """Share the width among the columns, unless the user has set them."""
        if self._own_widths:
            return
        shown = [column for column in COLUMNS if not self.isColumnHidden(COLUMNS.index(column))]
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        widths = {Column.MARK: int(1.8 * metrics.height())}
        for column, text in _FILLED_BY.items():
            heading = metrics.horizontalAdvance(words.column_title(column))
            widths[column] = max(metrics.horizontalAdvance(text), heading) + 3 * PADDING
        widths = {
            column: max(width, header.minimumSectionSize()) for column, width in widths.items() if column in shown
        }
        rest = self.viewport().width() - sum(widths.values())
        shared = {column: share for column, share in _SHARES.items() if column in shown}
        for column, share in shared.items():
            least = share * metrics.averageCharWidth() // 2
            widths[column] = max(least, rest * share // sum(shared.values()))
        self._favour_identity(widths, IDENTITY_LETTERS * metrics.averageCharWidth())
        widths[Column.IDENTITY] += max(0, self.viewport().width() - sum(widths.values()))
        self._fitting = True
        for column, width in widths.items():
            self.setColumnWidth(COLUMNS.index(column), width)
        self._fitting = False

    def _favour_identity(self, widths: dict[Column, int], wanted: int) -> None:
        """Where it is narrow, let the identity have room from columns that say less, as far as these can be cut."""
        for column in (Column.SERIES, Column.READER, Column.NOTES):
            least = LEAST_LETTERS * self.fontMetrics().averageCharWidth()
            spare = min(wanted - widths[Column.IDENTITY], widths.get(column, least) - least)
            if spare > 0:
                widths[column] -= spare
                widths[Column.IDENTITY] += spare

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Share the new width among the columns."""
        super().resizeEvent(event)
        self.fit_columns()
        self.ask_for_rows()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the size of the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.set_two_lines(self.lines_delegate.two_lines)
            self.fit_columns()

    def _column_resized(self) -> None:
        if not self._fitting:
            self._own_widths = True

    # --- where things are ------------------------------------------------------------------------------------

    @property
    def is_held(self) -> bool:
        """Whether a mouse button is down in the list."""
        return self._button_down

    @property
    def is_pointed_at(self) -> bool:
        """Whether the pointer is over the list."""
        return self.viewport().underMouse()

    @property
    def current_spot(self) -> Spot:
        """The current line."""
        return self._current

    @property
    def current_uid(self) -> str:
        """The current study; "" on a heading."""
        return self._current.study_instance_uid

    def current_row(self) -> Row | None:
        """Return the current study as it is drawn."""
        return self._model.row_of(self.current_uid)

    def visible_lines(self) -> tuple[int, int]:
        """Return the first and the last line that can be seen, at least by a part; (0, -1) for an empty list."""
        count = self._model.rowCount()
        if not count:
            return 0, -1
        top, height = self.verticalScrollBar().value(), self.height_of_line
        return min(top // height, count - 1), min((top + max(1, self.viewport().height()) - 1) // height, count - 1)

    def visible_uids(self) -> frozenset[str]:
        """Return the studies in sight."""
        first, last = self.visible_lines()
        return frozenset(filter(None, (self._spot(number).study_instance_uid for number in range(first, last + 1))))

    def anchor(self) -> Anchor:
        """Return what must not move: the current line if it can be seen, else the first study in sight."""
        first, last = self.visible_lines()
        number = self._line_of(self._current)
        if number is None or not first <= number <= last:
            inside = (at for at in range(first, last + 1) if self._spot(at).study_instance_uid)
            number = next(inside, first)
        y = number * self.height_of_line - self.verticalScrollBar().value()
        return Anchor(self._spot(number), y, self._current)

    def restore(self, anchor: Anchor) -> None:
        """Put what must not move where it stood on the screen, as far as the list reaches."""
        number = self._line_of(anchor.spot)
        if number is not None:
            self.verticalScrollBar().setValue(number * self.height_of_line - anchor.y)
        self.go_to(anchor.current, scroll=False)

    def go_to(self, spot: Spot, *, scroll: bool = True) -> bool:
        """Make a line the current one; return whether it is drawn."""
        number = self._line_of(spot)
        if number is None:
            self._current = spot  # not read yet, or folded away: it comes back as the current one
            return False
        self._make_current(number, scroll=scroll)
        return True

    def _make_current(self, number: int, *, scroll: bool = True) -> None:
        index = self._model.index(number, COLUMNS.index(Column.IDENTITY))
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
        self.selectionModel().setCurrentIndex(index, flags)
        if scroll:
            self._bring_into_sight(number)

    def _bring_into_sight(self, number: int) -> None:
        bar, height = self.verticalScrollBar(), self.height_of_line
        top, bottom = number * height, (number + 1) * height - self.viewport().height()
        bar.setValue(min(max(bar.value(), bottom), top))

    def _line_of(self, spot: Spot) -> int | None:
        if spot.study_instance_uid:
            return self._model.line_of(spot.study_instance_uid)
        return None if spot.lane is None else self._model.lines.heading(spot.lane)

    def _spot(self, number: int) -> Spot:
        line = self._model.line(number)
        if line is None:
            return Spot()
        if line.kind is Kind.LANE:
            return Spot(lane=line.lane)
        row = self._model.row_at(number)
        return Spot() if row is None else Spot(study_instance_uid=row.study_instance_uid)

    def _after_reset(self) -> None:
        self.ask_for_rows()

    def _current_changed(self, index: QModelIndex) -> None:
        if index.isValid():
            self._current = self._spot(index.row())
            self.study_current.emit(self.current_uid)

    def _scrolled(self) -> None:
        self.ask_for_rows()

    def ask_for_rows(self) -> None:
        """Have the rows in sight read, and those a screen above and below."""
        first, last = self.visible_lines()
        beside = last - first + 1
        self._model.want_lines(max(0, first - beside), last + beside)

    # --- keys ------------------------------------------------------------------------------------------------

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Leave every key to the actions of the place: type-ahead and column keys would do something else."""
        self.touched.emit()
        event.ignore()

    def step(self, by: int) -> None:
        """Go up or down by lines; fold-outs are passed over, the ends are the ends."""
        self.touched.emit()
        count = self._model.rowCount()
        if not count:
            return
        start = self._line_of(self._current)
        if start is None:
            self._make_current(self.visible_lines()[0])
            return
        target = min(max(start + by, 0), count - 1)
        self._make_current(self._nearest_stop(target, -1 if by < 0 else 1))

    def page(self, by: int) -> None:
        """Go up or down by screens."""
        self.step(by * max(1, self.viewport().height() // self.height_of_line - 1))

    def to_end(self, last: bool) -> None:
        """Go to the first or the last line."""
        self.touched.emit()
        if count := self._model.rowCount():
            self._make_current(self._nearest_stop(count - 1 if last else 0, 1))

    def to_unread(self, direction: int) -> bool:
        """Go to the next or previous unread study, in order; return whether there is one."""
        self.touched.emit()
        number = self.unread_line(self._line_of(self._current), direction)
        if number is not None:
            self._make_current(number)
        return number is not None

    def unread_line(self, start: int | None, direction: int) -> int | None:
        """Return the line of the next unread study after a line, or before it."""
        count = self._model.rowCount()
        number = (start if start is not None else -1 if direction > 0 else count) + direction
        while 0 <= number < count:
            line = self._model.line(number)
            if line is not None and line.kind is Kind.STUDY and self._is_unread(line, number):
                return number
            number += direction
        return None

    def _is_unread(self, line: Line, number: int) -> bool:
        row = self._model.row_at(number)
        if row is None:
            return line.lane in UNREAD_LANES
        return row.read_at is None and row.lane in UNREAD_LANES

    def _nearest_stop(self, number: int, direction: int) -> int:
        """Return the nearest line that is no part of a fold-out."""
        at = number
        while (line := self._model.line(at)) is not None and line.kind is Kind.DETAIL:
            at += direction
        if self._model.line(at) is None:  # below the last fold-out there is nothing: its study is the last stop
            at = number
            while (line := self._model.line(at)) is not None and line.kind is Kind.DETAIL:
                at -= 1
        return at

    # --- mouse -----------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Keep which line was drawn under the pointer at this moment; the click is about that one."""
        self._button_down = True
        self._pressed, self._pressed_column = self._spot_at(event.position().toPoint())
        self.touched.emit()
        super().mousePressEvent(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """A pointer that moves with the button down selects nothing else."""
        if not event.buttons():
            super().mouseMoveEvent(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Do what the press was about."""
        was_down, self._button_down = self._button_down, bool(event.buttons())
        super().mouseReleaseEvent(event)
        if not was_down or event.button() is not Qt.MouseButton.LeftButton:
            return
        if self._pressed.lane is not None:
            self.lane_toggled.emit(self._pressed.lane)
        elif self._pressed.study_instance_uid and self._pressed_column is Column.NOTES:
            self.row_toggled.emit(self._pressed.study_instance_uid)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Open the study that was drawn when the button first went down."""
        self._button_down = True
        pressed, column = self._pressed, self._pressed_column
        self._pressed = Spot()  # the release belongs to this double click and does nothing more
        if event.button() is Qt.MouseButton.LeftButton and pressed.study_instance_uid and column is not Column.NOTES:
            self.study_opened.emit(pressed.study_instance_uid)
        elif pressed:
            self._pressed, self._pressed_column = pressed, column

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Ask for the menu of the row that was pressed, or of the current one by the keyboard."""
        spot = self._pressed if event.reason() is QContextMenuEvent.Reason.Mouse else self._current
        if spot.study_instance_uid:
            self.menu_wanted.emit(spot.study_instance_uid, event.globalPos())

    def focusOutEvent(self, event: object) -> None:
        """A button that is let go elsewhere is not down here any more."""
        self._button_down = False
        super().focusOutEvent(event)  # type: ignore[arg-type]

    def _spot_at(self, point: QPoint) -> tuple[Spot, Column | None]:
        index = self.indexAt(point)
        return (self._spot(index.row()), COLUMNS[index.column()]) if index.isValid() else (Spot(), None)
