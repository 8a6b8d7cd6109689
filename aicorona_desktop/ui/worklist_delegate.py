"""How one line of the list is drawn; every size follows from the font."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from math import cos, pi, sin

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QPointF, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPainterPath, QPen, QPolygonF
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView

from aicorona_desktop.core.rows import Lane, Row
from aicorona_desktop.ui import worklist_words as words
from aicorona_desktop.ui.theme import Theme
from aicorona_desktop.ui.worklist_lines import Kind
from aicorona_desktop.ui.worklist_model import COLUMNS, HEADING_ROLE, WorklistModel
from aicorona_desktop.ui.worklist_words import Column, StateWord

LANE_COLOURS: Mapping[Lane, str] = {
    Lane.NEEDS_PERSON: "attention",
    Lane.OVERDUE: "caution",
    Lane.RANKED: "calm",
    Lane.READ: "good",
    Lane.NOT_FOR_TOOL: "idle",
}
"""The colours of the theme; each also has its own shape (ux.md 15)."""

STATE_COLOURS: Mapping[StateWord, str] = {
    StateWord.ARRIVING: "idle",
    StateWord.QUEUED: "idle",
    StateWord.PRELIMINARY: "calm",
    StateWord.SCORED: "calm",
    StateWord.DOUBTFUL: "caution",
    StateWord.CANNOT_BE_SCORED: "attention",
    StateWord.READ: "good",
    StateWord.REMOVED: "idle",
}

_GROUND = {Kind.LANE: "raised", Kind.DETAIL: "window", Kind.STUDY: "base"}

LEAST_HEIGHT = 32
PADDING = 8
BAR_HEIGHT = 4
FOCUS_WIDTH = 2

Draw = Callable[[QPainter, QRectF], None]


def line_height(metrics: QFontMetrics, two_lines: bool) -> int:
    """Return the height of every line of the list: 32 px at the usual size of text."""
    texts = 2 if two_lines else 1
    return max(LEAST_HEIGHT, texts * metrics.height() + PADDING)


class WorklistDelegate(QStyledItemDelegate):
    """Draws headings, studies and fold-outs of a `WorklistModel`."""

    def __init__(self, view: QTableView, model: WorklistModel, theme: Callable[[], Theme]) -> None:
        super().__init__(view)
        self._theme = theme
        self._view = view
        self._model = model
        self.wait_cap = timedelta(minutes=60)
        self.two_lines = False
        self._colours: dict[str, QColor] = {}
        self._colours_of: Theme | None = None
        self._drawn_by: Mapping[Column, Callable[[QPainter, QStyleOptionViewItem, Row], None]] = {
            Column.MARK: self._mark,
            Column.IDENTITY: self._identity,
            Column.WAITING: self._waiting,
            Column.SCORE: self._score,
            Column.STATE: self._state,
            Column.NOTES: self._notes,
            Column.READER: self._reader,
        }
        self._is_current = False  # whether the line that is being drawn is the current one, which is the selected one

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Return what a column needs when it is fitted to its contents."""
        metrics = option.fontMetrics
        text = index.data() if self._is_study(index) else ""
        extra = _EXTRA_WIDTH.get(COLUMNS[index.column()], 0) * metrics.height()
        width = metrics.horizontalAdvance(text or "") + 2 * PADDING + extra
        return QSize(width, line_height(metrics, self.two_lines))

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one cell; headings and fold-outs run through all cells of their line."""
        line = self._model.line(index.row())
        if line is None:
            return
        self._is_current = index.row() == self._view.currentIndex().row()
        painter.save()
        painter.setClipRect(option.rect)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(option.font)
        self._ground(painter, option.rect, line.kind)
        if line.kind is Kind.LANE:
            self._heading(painter, option, index)
        elif line.kind is Kind.DETAIL:
            self._detail(painter, option, index)
        else:
            self._study(painter, option, index)
        if self._is_current and self._view.hasFocus():
            self._focus(painter, option.rect, index.column())
        painter.restore()

    # --- kinds of lines --------------------------------------------------------------------------------------

    def _ground(self, painter: QPainter, rect: QRect, kind: Kind) -> None:
        painter.fillRect(rect, self._colour("selection" if self._is_current else _GROUND[kind]))
        painter.setPen(self._colour("hairline"))
        painter.drawLine(rect.left(), rect.bottom(), rect.right(), rect.bottom())
        painter.setPen(self._ink)

    @property
    def _ink(self) -> QColor:
        """The colour of text and of thin lines."""
        return self._colour("selection_text" if self._is_current else "text")

    def _colour(self, name: str) -> QColor:
        theme = self._theme()
        if theme is not self._colours_of:
            self._colours, self._colours_of = {}, theme
        colour = self._colours.get(name)
        if colour is None:
            colour = self._colours[name] = theme.colour(name)
        return colour

    def _heading(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        heading = index.data(HEADING_ROLE)
        whole = self._whole_line(option.rect)
        size = option.fontMetrics.height()
        box = _square(whole, PADDING, size * 0.8)
        if heading.foldable:
            _draw_fold(painter, _mirrored(box, whole, option), heading.folded, option, self._ink)
        mark = _square(whole, 2 * PADDING + size, size * 0.8)
        draw_lane(painter, _mirrored(mark, whole, option), heading.lane, self._lane_colour(heading.lane))
        font = QFont(option.font)
        font.setBold(True)
        painter.setFont(font)
        painter.setPen(self._ink)
        text = whole.adjusted(3 * PADDING + 2 * size, 0, -PADDING, 0)
        _text(painter, _mirrored_rect(text, whole, option), option, index.data())

    def _detail(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        whole = self._whole_line(option.rect)
        indent = 3 * PADDING + 2 * option.fontMetrics.height()
        visible = whole.adjusted(indent, 0, -PADDING, 0)
        text = option.fontMetrics.elidedText(index.data() or "", Qt.TextElideMode.ElideRight, visible.width())
        painter.setPen(self._ink)
        _text(painter, _mirrored_rect(visible, whole, option), option, text)

    def _study(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        row = self._model.row_at(index.row())
        if row is None:  # being read: an even bar, so that scrolling shows where rows are
            inner = option.rect.adjusted(PADDING, PADDING, -PADDING, -PADDING)
            painter.fillRect(inner, self._colour("window"))
            return
        column = COLUMNS[index.column()]
        painter.setPen(self._ink)
        draw = self._drawn_by.get(column)
        if draw is None:
            self._plain(painter, option, self._model.cell(row, column))
        else:
            draw(painter, option, row)

    # --- cells -----------------------------------------------------------------------------------------------

    def _plain(self, painter: QPainter, option: QStyleOptionViewItem, text: str) -> None:
        rect = option.rect.adjusted(PADDING, 0, -PADDING, 0)
        shown = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        _text(painter, rect, option, shown)

    def _two(self, painter: QPainter, option: QStyleOptionViewItem, first: str, second: str) -> None:
        """Draw two texts: one above the other where lines are that high, else side by side."""
        if not self.two_lines or not (first and second):
            self._plain(painter, option, "  ".join(part for part in (first, second) if part))
            return
        half = option.rect.height() // 2
        metrics = option.fontMetrics
        upper = option.rect.adjusted(PADDING, PADDING // 2, -PADDING, -half)
        lower = option.rect.adjusted(PADDING, half, -PADDING, -PADDING // 2)
        _text(painter, upper, option, metrics.elidedText(first, Qt.TextElideMode.ElideRight, upper.width()))
        painter.setPen(self._ink if self._is_current else self._colour("muted"))
        _text(painter, lower, option, metrics.elidedText(second, Qt.TextElideMode.ElideRight, lower.width()))

    def _mark(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        in_work = words.is_in_work(row)
        around = min(option.fontMetrics.height() * 1.3, option.rect.width() - 4.0)
        size = around * (0.5 if in_work else 0.62)
        box = _square(option.rect, (option.rect.width() - size) / 2, size)
        if row.lane is not None:
            draw_lane(painter, box, row.lane, self._lane_colour(row.lane))
        if row.pinned:
            _draw_pin(painter, box, self._ink)
        if in_work:
            painter.setPen(QPen(self._ink, 1.5, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(_square(option.rect, (option.rect.width() - around) / 2, around))

    def _identity(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        identity = self._model.identity_of(row)
        if self.two_lines:
            self._two(painter, option, identity.name, identity.patient_id)
        else:
            self._plain(painter, option, words.identity_text(identity))

    def _waiting(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        now = self._model.now()
        text = words.waiting_text(row, now)
        if not text:
            return
        self._plain(painter, option, text)
        share = min(1.0, words.waited(row, now) / self.wait_cap)
        bar = QRectF(option.rect.adjusted(PADDING, 0, -PADDING, 0))
        bar.setTop(option.rect.bottom() - BAR_HEIGHT - 1)
        bar.setHeight(BAR_HEIGHT - 1)
        self._bar(painter, bar, share, "caution" if share >= 1 else "idle")

    def _score(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        covered = self._model.is_covered(row)
        text = words.score_text(row, covered=covered)
        score = words.score_of(row)
        metrics = option.fontMetrics
        inner = option.rect.adjusted(PADDING, 0, -PADDING, 0)
        wide, beside = metrics.horizontalAdvance("100"), metrics.horizontalAdvance("prelim. ") + PADDING // 2
        if score is None or covered:
            if text:
                self._plain(painter, option, text)
            else:
                painter.drawText(QRect(inner.left(), inner.top(), wide + 2, inner.height()), _RIGHT, "–")
            return
        number, _, rest = text.partition(" ")
        font = QFont(option.font)  # a copy: the option hands out its own, and the next text is drawn with that
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(QRect(inner.left(), inner.top(), wide + 2, inner.height()), _RIGHT, number)
        painter.setFont(option.font)
        left = inner.left() + wide + PADDING
        painter.drawText(QRect(left, inner.top(), beside, inner.height()), _LEFT, rest)
        bar = QRectF(left + beside, inner.center().y() - BAR_HEIGHT, 0, 2 * BAR_HEIGHT)
        bar.setRight(inner.right())
        if bar.width() >= 3 * BAR_HEIGHT:
            self._bar(painter, bar, score / 100, "calm", hollow=row.preliminary)

    def _state(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        word = words.state_word_of(row)
        size = option.fontMetrics.height() * 0.75
        box = _mirrored(_square(option.rect, PADDING, size), option.rect, option)
        draw_state(painter, box, word, self._colour(STATE_COLOURS[word]))
        painter.setPen(self._ink)
        rest = option.rect.adjusted(2 * PADDING + int(size), 0, -PADDING, 0)
        shown = option.fontMetrics.elidedText(words.state_text(row), Qt.TextElideMode.ElideRight, rest.width())
        _text(painter, _mirrored_rect(rest, option.rect, option), option, shown)

    def _notes(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        covered = self._model.is_covered(row)
        text = words.notes_text(row, covered=covered)
        if not text:
            return
        size = option.fontMetrics.height() * 0.75
        box = _mirrored(_square(option.rect, PADDING, size), option.rect, option)
        draw_note(painter, box, self._colour("caution"))
        painter.setPen(self._ink)
        rest = option.rect.adjusted(2 * PADDING + int(size), 0, -PADDING, 0)
        if option.fontMetrics.horizontalAdvance(text) > rest.width() and (covered or not row.rests_on_one_slice):
            text = words.notes_number(row)
        shown = option.fontMetrics.elidedText(text, Qt.TextElideMode.ElideRight, rest.width())
        _text(painter, _mirrored_rect(rest, option.rect, option), option, shown)

    def _reader(self, painter: QPainter, option: QStyleOptionViewItem, row: Row) -> None:
        if not self.two_lines:
            self._plain(painter, option, words.reader_text(row))
            return
        first = ", ".join(part for part in (row.read_by, words.impression_word(row.impression)) if part)
        self._two(painter, option, first, words.action_word(row.action))

    def _bar(self, painter: QPainter, rect: QRectF, share: float, colour: str, *, hollow: bool = False) -> None:
        """Draw a bar that is filled from the left, in every language; a hollow one is not the last word."""
        round_px = rect.height() / 2
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._colour("hairline"))
        painter.drawRoundedRect(rect, round_px, round_px)
        filled = QRectF(rect)
        filled.setWidth(rect.width() * share)
        if filled.width() < 1:
            return
        if hollow:
            painter.setPen(QPen(self._colour(colour), 1.5, Qt.PenStyle.DashLine))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            filled.adjust(1, 1, -1, -1)
        else:
            painter.setBrush(self._colour(colour))
        painter.drawRoundedRect(filled, round_px, round_px)

    def _lane_colour(self, lane: Lane) -> QColor:
        return self._colour(LANE_COLOURS[lane])

    # --- the whole line --------------------------------------------------------------------------------------

    def _whole_line(self, cell: QRect) -> QRect:
        """Return the visible part of the line that a cell belongs to."""
        return QRect(0, cell.top(), self._view.viewport().width(), cell.height())

    def _is_study(self, index: QModelIndex | QPersistentModelIndex) -> bool:
        line = self._model.line(index.row())
        return line is not None and line.kind is Kind.STUDY

    def _focus(self, painter: QPainter, cell: QRect, column: int) -> None:
        """Draw a ring around the current line, each cell its part."""
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(self._colour("accent"), FOCUS_WIDTH))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        header, rect = self._view.horizontalHeader(), cell.adjusted(0, 1, 0, -1)
        painter.drawLine(rect.topLeft(), rect.topRight())
        painter.drawLine(rect.bottomLeft(), rect.bottomRight())
        begins = header.sectionPosition(column)
        if begins == 0:
            painter.drawLine(rect.left() + 1, rect.top(), rect.left() + 1, rect.bottom())
        if begins + header.sectionSize(column) >= header.length():
            painter.drawLine(rect.right() - 1, rect.top(), rect.right() - 1, rect.bottom())


_LEFT = int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_ALIGNED: Mapping[Qt.LayoutDirection, int] = {
    direction: int(QStyle.visualAlignment(direction, Qt.AlignmentFlag.AlignLeft) | Qt.AlignmentFlag.AlignVCenter)
    | Qt.TextFlag.TextSingleLine
    for direction in Qt.LayoutDirection
}
"""How texts stand in their cells, in each direction of writing."""

_EXTRA_WIDTH: Mapping[Column, int] = {Column.SCORE: 8, Column.STATE: 2, Column.NOTES: 2, Column.MARK: 2}
"""Room beside the text, in heights of a line."""


# --- shapes: one for each lane and each state, so that none is told by colour alone -----------------------------


def draw_lane(painter: QPainter, box: QRectF, lane: Lane, colour: QColor) -> None:
    """Draw the mark of a lane."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    if lane is Lane.NEEDS_PERSON:  # a triangle
        painter.drawPolygon(QPolygonF([QPointF(box.center().x(), box.top()), box.bottomRight(), box.bottomLeft()]))
    elif lane is Lane.OVERDUE:  # a clock
        _ring(painter, box, colour)
        painter.drawLine(box.center(), QPointF(box.center().x(), box.top() + box.height() * 0.2))
        painter.drawLine(box.center(), QPointF(box.right() - box.width() * 0.25, box.center().y()))
    elif lane is Lane.RANKED:  # steps
        for step in range(3):
            width = box.width() * (3 - step) / 3
            painter.drawRect(QRectF(box.left(), box.top() + step * box.height() / 3, width, box.height() / 3 - 1.5))
    elif lane is Lane.READ:
        _tick(painter, box, colour)
    else:  # a bar through a ring
        _ring(painter, box, colour)
        painter.drawLine(box.topLeft() + QPointF(2, 2), box.bottomRight() - QPointF(2, 2))


def draw_state(painter: QPainter, box: QRectF, word: StateWord, colour: QColor) -> None:
    """Draw the shape of a state."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    _STATE_SHAPES[word](painter, box)


def draw_note(painter: QPainter, box: QRectF, colour: QColor) -> None:
    """Draw the sign that there is something to note: a sheet with a folded corner."""
    fold = box.width() * 0.35
    sheet = QPainterPath(box.topLeft())
    for point in (
        QPointF(box.right() - fold, box.top()),
        QPointF(box.right(), box.top() + fold),
        box.bottomRight(),
        box.bottomLeft(),
    ):
        sheet.lineTo(point)
    sheet.closeSubpath()
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawPath(sheet)


def _draw_arriving(painter: QPainter, box: QRectF) -> None:
    """An arrow that points down into a tray."""
    _pen(painter, painter.brush().color())
    middle = box.center().x()
    painter.drawLine(QPointF(middle, box.top()), QPointF(middle, box.bottom() - 3))
    painter.drawPolyline(
        [
            QPointF(middle - 3, box.bottom() - 6),
            QPointF(middle, box.bottom() - 3),
            QPointF(middle + 3, box.bottom() - 6),
        ]
    )
    painter.drawLine(box.bottomLeft(), box.bottomRight())


def _draw_queued(painter: QPainter, box: QRectF) -> None:
    """Three dots."""
    radius = box.width() / 9
    for step in (-1, 0, 1):
        painter.drawEllipse(box.center() + QPointF(step * box.width() / 3, 0), radius, radius)


def _draw_preliminary(painter: QPainter, box: QRectF) -> None:
    """A disc that is filled by half."""
    painter.drawPie(box, 90 * 16, 180 * 16)
    _ring(painter, box, painter.brush().color())


def _draw_scored(painter: QPainter, box: QRectF) -> None:
    """A full disc."""
    painter.drawEllipse(box)


def _draw_doubtful(painter: QPainter, box: QRectF) -> None:
    """A diamond."""
    middle = box.center()
    painter.drawPolygon(
        QPolygonF(
            [
                QPointF(middle.x(), box.top()),
                QPointF(box.right(), middle.y()),
                QPointF(middle.x(), box.bottom()),
                QPointF(box.left(), middle.y()),
            ]
        )
    )


def _draw_cannot(painter: QPainter, box: QRectF) -> None:
    """An octagon with a bar."""
    middle, radius = box.center(), box.width() / 2
    angles = (pi / 8 + step * pi / 4 for step in range(8))
    corners = [middle + QPointF(radius * cos(angle), radius * sin(angle)) for angle in angles]
    painter.drawPolygon(QPolygonF(corners))
    painter.setPen(QPen(Qt.GlobalColor.white, 2))
    painter.drawLine(middle - QPointF(radius / 2, 0), middle + QPointF(radius / 2, 0))


def _draw_read(painter: QPainter, box: QRectF) -> None:
    _tick(painter, box, painter.brush().color())


def _draw_removed(painter: QPainter, box: QRectF) -> None:
    """A cross."""
    _pen(painter, painter.brush().color())
    painter.drawLine(box.topLeft(), box.bottomRight())
    painter.drawLine(box.topRight(), box.bottomLeft())


_STATE_SHAPES: Mapping[StateWord, Draw] = {
    StateWord.ARRIVING: _draw_arriving,
    StateWord.QUEUED: _draw_queued,
    StateWord.PRELIMINARY: _draw_preliminary,
    StateWord.SCORED: _draw_scored,
    StateWord.DOUBTFUL: _draw_doubtful,
    StateWord.CANNOT_BE_SCORED: _draw_cannot,
    StateWord.READ: _draw_read,
    StateWord.REMOVED: _draw_removed,
}


def _draw_pin(painter: QPainter, box: QRectF, colour: QColor) -> None:
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(colour)
    painter.drawEllipse(QPointF(box.right(), box.top() + 1), 3, 3)


def _draw_fold(painter: QPainter, box: QRectF, folded: bool, option: QStyleOptionViewItem, colour: QColor) -> None:
    """Draw the arrow of a heading: down when its lane is open, to the side when it is folded."""
    painter.setPen(QPen(colour, 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)
    middle, size = box.center(), box.width() / 4
    side = -size if option.direction is Qt.LayoutDirection.RightToLeft else size
    if folded:
        points = [QPointF(-side / 2, -size), QPointF(side / 2, 0), QPointF(-side / 2, size)]
    else:
        points = [QPointF(-size, -size / 2), QPointF(0, size / 2), QPointF(size, -size / 2)]
    painter.drawPolyline([middle + point for point in points])


def _pen(painter: QPainter, colour: QColor) -> None:
    painter.setPen(QPen(colour, 2))
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _ring(painter: QPainter, box: QRectF, colour: QColor) -> None:
    _pen(painter, colour)
    painter.drawEllipse(box.adjusted(1, 1, -1, -1))


def _tick(painter: QPainter, box: QRectF, colour: QColor) -> None:
    _pen(painter, colour)
    width, height = box.width(), box.height()
    painter.drawPolyline(
        [
            box.topLeft() + QPointF(0.1 * width, 0.55 * height),
            box.topLeft() + QPointF(0.4 * width, 0.85 * height),
            box.topLeft() + QPointF(0.9 * width, 0.15 * height),
        ]
    )


# --- places and colours ---------------------------------------------------------------------------------------


def _text(painter: QPainter, rect: QRect, option: QStyleOptionViewItem, text: str) -> None:
    if text:
        painter.drawText(rect, _ALIGNED[option.direction], text)


def _square(rect: QRect, left: float, size: float) -> QRectF:
    return QRectF(rect.left() + left, rect.center().y() - size / 2 + 0.5, size, size)


def _mirrored(box: QRectF, whole: QRect, option: QStyleOptionViewItem) -> QRectF:
    """Return a box where it belongs in the direction of the language."""
    if option.direction is not Qt.LayoutDirection.RightToLeft:
        return box
    return QRectF(whole.left() + whole.right() - box.right(), box.top(), box.width(), box.height())


def _mirrored_rect(rect: QRect, whole: QRect, option: QStyleOptionViewItem) -> QRect:
    return QStyle.visualRect(option.direction, whole, rect)
