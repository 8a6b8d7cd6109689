"""The scroll bar of the viewer: where the slices are, which are read, used, missing, and which moved the score.

The head is on top. Click or drag goes to a slice; keys and wheel are the viewer's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QHelpEvent,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from aicorona_desktop.dicom.thresholds import GATE
from aicorona_desktop.ui.slice_store import Mark, SliceStore

_COLOURS = {Mark.WAITING: (56, 56, 56), Mark.THERE: (168, 168, 168), Mark.BROKEN: (213, 94, 0)}
_BRACKET = QColor("#56B4E9")
_FOR = QColor("#E69F00")
_AGAINST = QColor("#7f7f7f")
_EDGE_PX = 7


@dataclass(frozen=True, slots=True, eq=False)
class StripContent:
    """What the strip shows of a series of `slices` slices.

    `used` are the slices given to the model. `gaps` are (slice before, how many are missing), `doubled` slices share
    a place with the one before. `contributions` are by slice, () of them until the map was on.
    """

    slices: int = 0
    marks: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    used: tuple[int, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    doubled: tuple[int, ...] = ()
    contributions: Mapping[int, float] = field(default_factory=dict)


class SliceStrip(QWidget):
    """Draws a series from feet to head; `wanted` says which slice somebody asks for."""

    wanted = Signal(int)
    wheeled = Signal(object)  # QWheelEvent

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("slice_strip")
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(QCoreApplication.translate("SliceStrip", "Slices"))
        self.content = StripContent()
        self.current = 0
        self._still: QPixmap | None = None  # all but the slice on the screen, which changes more often

    def show_content(self, content: StripContent, current: int) -> None:
        """Draw this series, with this slice on the screen."""
        self.content, self.current = content, current
        self._still = None
        self.update()

    def go_to(self, index: int) -> None:
        """Draw this slice as the one on the screen."""
        if index != self.current:
            self.current = index
            text = QCoreApplication.translate("SliceStrip", "Slice {number} of {total}")
            self.setAccessibleDescription(text.format(number=index + 1, total=self.content.slices))
            self.update()

    def slice_at(self, y: float) -> int:
        """Return the slice that is drawn at a height."""
        share = (y - _EDGE_PX) / max(self.height() - 2 * _EDGE_PX, 1)
        place = int(np.floor((1 - share) * self.content.slices))
        return min(max(place, 0), max(self.content.slices - 1, 0))

    def y_of(self, index: float) -> float:
        """Return the height at which the middle of a slice is drawn."""
        high = max(self.height() - 2 * _EDGE_PX, 1)
        return _EDGE_PX + (1 - (index + 0.5) / max(self.content.slices, 1)) * high

    def sizeHint(self) -> QSize:
        """As wide as a comfortable target."""
        return QSize(max(34, self.fontMetrics().height() * 2), 200)

    def minimumSizeHint(self) -> QSize:
        """As wide as the hint."""
        return QSize(self.sizeHint().width(), 80)

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002
        """Draw everything."""
        if self._still is None:
            self._still = self._painted_still()
        painter = QPainter(self)
        try:
            painter.drawPixmap(0, 0, self._still)
            if self.content.slices:
                self._paint_current(painter)
        finally:
            painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw all of it anew."""
        super().resizeEvent(event)
        self._still = None

    def _painted_still(self) -> QPixmap:
        ratio = self.devicePixelRatioF()
        picture = QPixmap(QSize(round(self.width() * ratio), round(self.height() * ratio)))
        picture.setDevicePixelRatio(ratio)
        picture.fill(QColor(24, 24, 24))
        if self.content.slices:
            painter = QPainter(picture)
            try:
                self._paint_marks(painter)
                self._paint_contributions(painter)
                self._paint_bracket(painter)
                self._paint_notches(painter)
            finally:
                painter.end()
        return picture

    def _column(self) -> QRectF:
        return QRectF(self.width() * 0.62, _EDGE_PX, self.width() * 0.2, max(self.height() - 2 * _EDGE_PX, 1))

    def _paint_marks(self, painter: QPainter) -> None:
        column = self._column()
        rows = max(int(column.height()), 1)
        indices = np.clip(((1 - (np.arange(rows) + 0.5) / rows) * self.content.slices).astype(int), 0, None)
        colours = np.array([_COLOURS[mark] for mark in Mark], np.uint8)[self.content.marks[indices]]
        data = np.ascontiguousarray(colours).reshape(rows, 1, 3)
        painter.drawImage(column, QImage(data.data, 1, rows, 3, QImage.Format.Format_RGB888))

    def _paint_contributions(self, painter: QPainter) -> None:
        largest = max((abs(one) for one in self.content.contributions.values()), default=0.0)
        if not largest:
            return
        room = self._column().left() - 3
        high = max(1.0, (self.height() - 2 * _EDGE_PX) / self.content.slices - 0.5)
        for index, part in self.content.contributions.items():
            wide = room * abs(part) / largest
            bar = QRectF(room - wide, self.y_of(index) - high / 2, wide, high)
            painter.fillRect(bar, _FOR if part > 0 else _AGAINST)

    def _paint_bracket(self, painter: QPainter) -> None:
        if not self.content.used:
            return
        top, foot = self.y_of(self.content.used[-1] + 0.5), self.y_of(self.content.used[0] - 0.5)
        right = self.width() - 3.0
        left = self._column().right() + 2
        painter.setPen(QPen(_BRACKET, 2))
        painter.drawPolyline(
            QPolygonF([QPointF(left, top), QPointF(right, top), QPointF(right, foot), QPointF(left, foot)])
        )

    def _paint_notches(self, painter: QPainter) -> None:
        """A missing slice cuts the column, one that is there twice marks it."""
        column = self._column()
        for before, missing in self.content.gaps:
            y = self.y_of(before + 0.5)
            high = min(2.0 + missing, 6.0)
            painter.fillRect(QRectF(column.left() - 3, y - high / 2, column.width() + 6, high), Qt.GlobalColor.black)
        painter.setPen(QPen(_FOR, 2))
        for index in self.content.doubled:
            y = self.y_of(index - 0.5)
            painter.drawLine(QPointF(column.left(), y), QPointF(column.right(), y))

    def _paint_current(self, painter: QPainter) -> None:
        y = self.y_of(self.current)
        painter.setPen(QPen(Qt.GlobalColor.black, 4))
        painter.drawLine(QPointF(0, y), QPointF(self.width(), y))
        painter.setPen(QPen(Qt.GlobalColor.white, 2))
        painter.drawLine(QPointF(0, y), QPointF(self.width(), y))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(Qt.GlobalColor.white)
        painter.drawPolygon(QPolygonF([QPointF(0, y - 5), QPointF(7, y), QPointF(0, y + 5)]))

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Go to the slice under the pointer."""
        if event.button() is Qt.MouseButton.LeftButton and self.content.slices:
            self.wanted.emit(self.slice_at(event.position().y()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer while the button is down."""
        if event.buttons() & Qt.MouseButton.LeftButton and self.content.slices:
            self.wanted.emit(self.slice_at(event.position().y()))

    def wheelEvent(self, event: QWheelEvent) -> None:
        """As over the picture."""
        self.wheeled.emit(event)
        event.accept()

    def event(self, event: QEvent) -> bool:
        """Say what a slice is when the pointer rests on it."""
        if event.type() is QEvent.Type.ToolTip and isinstance(event, QHelpEvent) and self.content.slices:
            QToolTip.showText(event.globalPos(), self._told(self.slice_at(event.pos().y())), self)
            return True
        return super().event(event)

    def _told(self, index: int) -> str:
        used = index in self.content.used
        text = (
            QCoreApplication.translate("SliceStrip", "Slice {number} of {total}, used by the model")
            if used
            else QCoreApplication.translate("SliceStrip", "Slice {number} of {total}, outside the used half")
        )
        return text.format(number=index + 1, total=self.content.slices)


def content_of(store: SliceStore | None, contributions: Mapping[int, float]) -> StripContent:
    """Return what the strip shows of a series as far as it is loaded; nothing where there is none."""
    if store is None:
        return StripContent()
    geometry = store.series.geometry
    if geometry is None:
        return StripContent(store.slices, store.marks, store.series.used, contributions=contributions)
    gaps = tuple((gap.after_slice, gap.missing) for gap in geometry.gaps)
    along = geometry.positions_mm
    close = GATE.same_position_at_most_mm
    doubled = tuple(index for index in range(1, len(along)) if along[index] - along[index - 1] <= close)
    return StripContent(store.slices, store.marks, store.series.used, gaps, doubled, contributions)
