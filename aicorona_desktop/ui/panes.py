"""One picture with its corners, letters, scale bar and measures: a renderer that is told everything it draws.

Plain Qt painting: a QImage over the array's own memory, brought into the form of the screen once, drawn by one
QPainter. Measured at 950 x 950 from a slice of 512 x 512, smooth, median: grey 0.9 ms, colours 1.1 ms; without
the change of form 1.6 ms; pyqtgraph's ImageItem 2.5 and 1.4 ms.

Coordinates of a slice are (column, row) with the centre of its first pixel at (0, 0).
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFocusEvent,
    QFont,
    QFontMetricsF,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from aicorona_desktop.imaging.roi import Point
from aicorona_desktop.ui.viewer_state import Fitted

MARGIN_PX = 8
SMOOTH_UP_TO = 8.0
"""Enlarged further, the pixels of the scanner are shown as they are."""

MEASURE = QColor("#E69F00")
CHOSEN = QColor("#56B4E9")
CROSS = QColor("#56B4E9")
OVERLAY = QColor(255, 244, 190)
"""The lines that come with an image: light, and unlike the grey below."""
_DIM = QColor(0, 0, 0, 150)
_HATCH = QColor(120, 120, 120)
_LENGTHS_MM = (1, 2, 5, 10, 20, 50, 100, 200, 500)


@dataclass(frozen=True, slots=True)
class Field:
    """What the pane fits: the size of a slice in its pixels, and how high a pixel is for its width."""

    rows: int
    columns: int
    aspect: float = 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels for the screen: uint8 [h, w] grey, or [h, w, 4] red, green, blue, 255.

    They cover `covers` (rows, columns) of the slice from its first pixel on: more than the field where the picture
    was filled up to a square. `lines`, bool [rows, columns] of the slice, are drawn light over it.
    """

    pixels: NDArray[np.uint8]
    slice_index: int
    covers: tuple[int, int]
    lines: NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """A measure as it is drawn: distance, ellipse or rectangle between two points, or a probe at the first."""

    kind: str
    first: Point
    second: Point
    text: str
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Dressing:
    """All that stands on a picture.

    `corners` are top left, top right, bottom left and bottom right, each a tuple of lines; `letters` left, right,
    top, bottom. `lines` are (row, column) of the other planes, None where one doesn't cross. `reason` hatches the
    field. `dimmed`: the picture is not the one that is asked for.
    """

    corners: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]] = ((), (), (), ())
    letters: tuple[str, str, str, str] | None = None
    mm_per_column: float | None = None
    measures: tuple[Drawn, ...] = ()
    lines: tuple[tuple[float | None, float | None], ...] = ()
    reason: str = ""
    dimmed: bool = False
    smooth: bool = True


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the picture lies: fitted, enlarged and moved, or one pixel on one physical pixel."""

    fitted: Fitted = field(default_factory=Fitted)
    one_to_one: bool = False


class ImagePane(QWidget):
    """Draws one picture. What the mouse does is told by signals; nothing is decided here."""

    pressed = Signal(object)  # QMouseEvent, for as long as the slot runs
    moved = Signal(object)
    released = Signal(object)
    double_clicked = Signal(object)
    wheeled = Signal(object)  # QWheelEvent
    pointer_left = Signal()
    resized = Signal()
    painted = Signal(int)  # the slice that stands on the screen now

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName(name)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)  # pictures are never mirrored (ux.md 16)
        self.picture: Picture | None = None
        self.field = Field(512, 512)
        self.dressing = Dressing()
        self.placement = Placement()
        self.painted_at = 0.0
        """When the last painting ended, by `time.perf_counter`."""
        self._image = QImage()
        self._screen = QImage()
        self._lines = QImage()

    # --- what is drawn --------------------------------------------------------------------------------------------

    def show_picture(self, picture: Picture | None, field: Field) -> None:
        """Draw this picture, fitted as this field; None draws none."""
        if picture is not self.picture:
            self._image = QImage() if picture is None else _image_of(picture.pixels)
            self._screen = self._image.convertToFormat(QImage.Format.Format_RGB32)
            lines = None if picture is None else picture.lines
            self._lines = QImage() if lines is None else _lines_of(lines)
            self.picture = picture
        self.field = field
        self.update()

    def dress(self, dressing: Dressing) -> None:
        """Draw this around and over the picture."""
        if dressing != self.dressing:
            self.dressing = dressing
            self.update()

    def place(self, placement: Placement) -> None:
        """Draw the picture here."""
        if placement != self.placement:
            self.placement = placement
            self.update()

    def image(self) -> QImage:
        """Return the picture as it is given to the painter, in its own pixels."""
        return self._image

    # --- coordinates ----------------------------------------------------------------------------------------------

    @property
    def scale_px(self) -> float:
        """How many logical pixels of the screen one column takes."""
        if self.placement.one_to_one:
            return 1 / self.devicePixelRatioF()
        return self._fitted_scale * self.placement.fitted.zoom

    @property
    def shown_zoom(self) -> float:
        """How many physical pixels of the screen one column takes: 1 is one to one."""
        return self.scale_px * self.devicePixelRatioF()

    def to_pane(self, point: Point) -> QPointF:
        """Return where a point of the slice lies in the pane."""
        scale, (across, down) = self.scale_px, self.placement.fitted.pan
        x = self.width() / 2 + (point[0] + 0.5 - self.field.columns / 2 + across) * scale
        y = self.height() / 2 + (point[1] + 0.5 - self.field.rows / 2 + down) * scale * self.field.aspect
        return QPointF(x, y)

    def to_slice(self, point: QPointF) -> Point:
        """Return which point of the slice lies at a place of the pane."""
        scale, (across, down) = self.scale_px, self.placement.fitted.pan
        column = (point.x() - self.width() / 2) / scale - across + self.field.columns / 2 - 0.5
        row = (point.y() - self.height() / 2) / (scale * self.field.aspect) - down + self.field.rows / 2 - 0.5
        return column, row

    def from_middle(self, point: QPointF) -> Point:
        """Return columns and rows from the middle of the picture to a place of the pane."""
        column, row = self.to_slice(point)
        return column + 0.5 - self.field.columns / 2, row + 0.5 - self.field.rows / 2

    @property
    def _fitted_scale(self) -> float:
        return max(min(self.width() / self.field.columns, self.height() / (self.field.rows * self.field.aspect)), 1e-3)

    def _target(self) -> QRectF:
        assert self.picture is not None  # noqa: S101 - the caller looked
        return self._rectangle(*self.picture.covers)

    def _rectangle(self, rows: int, columns: int) -> QRectF:
        rectangle = QRectF(self.to_pane((-0.5, -0.5)), self.to_pane((columns - 0.5, rows - 0.5)))
        if self.placement.one_to_one:  # on the grid of the screen, else every pixel would be a mixture
            ratio = self.devicePixelRatioF()
            rectangle.moveTo(round(rectangle.x() * ratio) / ratio, round(rectangle.y() * ratio) / ratio)
        return rectangle

    # --- painting -------------------------------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw everything."""
        painter = QPainter(self)
        try:
            painter.fillRect(event.rect(), Qt.GlobalColor.black)
            self._paint_picture(painter)
            if self.dressing.reason:
                self._paint_reason(painter)
            self._paint_lines(painter)
            for drawn in self.dressing.measures:
                self._paint_measure(painter, drawn)
            self._paint_letters(painter)
            self._paint_scale_bar(painter)
            self._paint_corners(painter)
            if self.hasFocus():
                painter.setPen(QPen(self.palette().highlight().color(), 2))
                painter.drawRect(QRectF(self.rect()).adjusted(1, 1, -1, -1))
        finally:
            painter.end()
        self.painted_at = time.perf_counter()
        if self.picture is not None and not self.dressing.dimmed:
            self.painted.emit(self.picture.slice_index)

    def _paint_picture(self, painter: QPainter) -> None:
        if self.picture is None or self._image.isNull():
            return
        smooth = self.dressing.smooth and not self.placement.one_to_one and self.shown_zoom < SMOOTH_UP_TO
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, smooth)
        painter.drawImage(self._target(), self._screen)
        if not self._lines.isNull():
            painter.drawImage(self._rectangle(self._lines.height(), self._lines.width()), self._lines)
        if self.dressing.dimmed:
            painter.fillRect(self.rect(), _DIM)

    def _paint_reason(self, painter: QPainter) -> None:
        field = QRectF(self.to_pane((-0.5, -0.5)), self.to_pane((self.field.columns - 0.5, self.field.rows - 0.5)))
        painter.fillRect(field, QBrush(_HATCH, Qt.BrushStyle.BDiagPattern))
        text = self.rect().adjusted(self.width() // 5, 0, -self.width() // 5, 0)
        flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
        behind = painter.boundingRect(text, flags, self.dressing.reason).adjusted(-10, -8, 10, 8)
        painter.fillRect(behind, Qt.GlobalColor.black)
        painter.setPen(Qt.GlobalColor.white)
        painter.drawText(text, flags, self.dressing.reason)

    def _paint_lines(self, painter: QPainter) -> None:
        if not self.dressing.lines:
            return
        painter.setPen(QPen(CROSS, 1, Qt.PenStyle.DashLine))
        for row, column in self.dressing.lines:
            if row is not None:
                y = self.to_pane((0, row)).y()
                painter.drawLine(QPointF(0, y), QPointF(self.width(), y))
            if column is not None:
                x = self.to_pane((column, 0)).x()
                painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))

    def _paint_measure(self, painter: QPainter, drawn: Drawn) -> None:
        first, second = self.to_pane(drawn.first), self.to_pane(drawn.second)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pen in (QPen(Qt.GlobalColor.black, 3.5), QPen(CHOSEN if drawn.chosen else MEASURE, 1.5)):
            painter.setPen(pen)
            _draw_shape(painter, drawn.kind, first, second)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        at = QPointF(max(first.x(), second.x()) + 6, max(first.y(), second.y()) + 2)
        if drawn.kind in ("ellipse", "rectangle"):
            at.setX(min(first.x(), second.x()))
        for place, line in enumerate(drawn.text.split("\n")):
            picture, width, height = self._outlined(line)
            left = min(max(at.x(), 0.0), max(self.width() - width, 0.0))
            painter.drawPixmap(QPointF(left, at.y() + place * height), picture)

    def _paint_letters(self, painter: QPainter) -> None:
        if self.dressing.letters is None:
            return
        for letter, (x, y) in zip(self.dressing.letters, ((0, 1), (2, 1), (1, 0), (1, 2)), strict=True):
            picture, width, height = self._outlined(letter, 1.25)
            left = (MARGIN_PX, (self.width() - width) / 2, self.width() - width - MARGIN_PX)[x]
            top = (MARGIN_PX, (self.height() - height) / 2, self.height() - height - MARGIN_PX)[y]
            painter.drawPixmap(QPointF(left, top), picture)

    def _paint_scale_bar(self, painter: QPainter) -> None:
        """Upright at the right edge, above the letter: the corners need all of the width."""
        mm = self.dressing.mm_per_column
        if not mm:
            return
        px_per_mm = self.scale_px / mm
        length = max((one for one in _LENGTHS_MM if one * px_per_mm <= self.height() / 5), default=None)
        if length is None:
            return
        text = f"{length // 10} cm" if length >= 10 else f"{length} mm"
        picture, width, height = self._outlined(text)
        x, foot = self.width() - MARGIN_PX - 2.0, self.height() / 2 - self._outlined("L", 1.25)[2]
        top = foot - length * px_per_mm
        for pen in (QPen(Qt.GlobalColor.black, 4), QPen(Qt.GlobalColor.white, 2)):
            painter.setPen(pen)
            painter.drawLine(QPointF(x, top), QPointF(x, foot))
            for end in (top, foot):
                painter.drawLine(QPointF(x - 5, end), QPointF(x, end))
        painter.drawPixmap(QPointF(x - width - 6, (top + foot - height) / 2), picture)

    def _paint_corners(self, painter: QPainter) -> None:
        for place, lines in enumerate(self.dressing.corners):
            right, bottom = place % 2 == 1, place >= 2
            step = -1 if bottom else 1  # from the edge inwards
            beside = [line for line in self.dressing.corners[place ^ 1] if line][::step]
            y = float(self.height() - MARGIN_PX if bottom else MARGIN_PX)
            for row, line in enumerate([line for line in lines if line][::step]):
                room = self._room_beside(beside[row] if row < len(beside) else "", row)
                picture, width, height = self._outlined(line, 1.0, room)
                y -= height if bottom else 0
                painter.drawPixmap(QPointF(self.width() - width - MARGIN_PX if right else MARGIN_PX, y), picture)
                y += 0 if bottom else height

    def _room_beside(self, other: str, row: int) -> float:
        """Return how wide a line may be beside that of the other corner; in the row at the edge there is the letter."""
        half = self.width() / 2 - 2.5 * MARGIN_PX
        if row == 0:
            return half
        return self.width() - 3 * MARGIN_PX - (min(self._outlined(other)[1], half) if other else 0.0)

    def _outlined(self, text: str, size: float = 1.0, widest: float = 1e6) -> tuple[QPixmap, float, float]:
        font = QFont(self.font())
        font.setPointSizeF(font.pointSizeF() * size if font.pointSizeF() > 0 else 9 * size)
        return _outlined(text, font.toString(), round(widest), self.devicePixelRatioF())

    # --- the mouse ------------------------------------------------------------------------------------------------

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell."""
        self.pressed.emit(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell."""
        self.moved.emit(event)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Tell."""
        self.released.emit(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Tell."""
        self.double_clicked.emit(event)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Tell."""
        self.wheeled.emit(event)
        event.accept()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Tell: the zoom in the corner is another one now."""
        super().resizeEvent(event)
        self.resized.emit()

    def leaveEvent(self, event: object) -> None:  # noqa: ARG002
        """Tell."""
        self.pointer_left.emit()

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Draw the focus ring."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        """Take the focus ring away."""
        super().focusOutEvent(event)
        self.update()

    def sizeHint(self) -> QSize:
        """A square of a middling size."""
        return QSize(512, 512)

    def minimumSizeHint(self) -> QSize:
        """Small enough for four panes on the smallest screen."""
        return QSize(160, 160)


def _image_of(pixels: NDArray[np.uint8]) -> QImage:
    """Return a QImage over the array's memory; whoever keeps the one keeps the other (ImagePane does)."""
    rows, columns = pixels.shape[:2]
    kind = QImage.Format.Format_Grayscale8 if pixels.ndim == 2 else QImage.Format.Format_RGBX8888
    return QImage(np.ascontiguousarray(pixels).data, columns, rows, columns * (1 if pixels.ndim == 2 else 4), kind)


def _lines_of(bits: NDArray[np.bool_]) -> QImage:
    """Return set pixels in the colour of overlays, all others clear."""
    rows, columns = bits.shape
    colours = np.where(bits, np.uint32(OVERLAY.rgba()), np.uint32(0))
    image = QImage(colours.data, columns, rows, 4 * columns, QImage.Format.Format_ARGB32_Premultiplied)
    return image.copy()  # an image of its own memory: the array goes


def _draw_shape(painter: QPainter, kind: str, first: QPointF, second: QPointF) -> None:
    box = QRectF(first, second).normalized()
    if kind == "ellipse":
        painter.drawEllipse(box)
    elif kind == "rectangle":
        painter.drawRect(box)
    elif kind == "distance":
        painter.drawLine(first, second)
        for end in (first, second):
            painter.drawEllipse(end, 2.5, 2.5)
    else:
        painter.drawLine(first - QPointF(6, 0), first + QPointF(6, 0))
        painter.drawLine(first - QPointF(0, 6), first + QPointF(0, 6))


@lru_cache(maxsize=256)
def _outlined(text: str, font_text: str, widest: int, ratio: float) -> tuple[QPixmap, float, float]:
    """Return a line of white text with a dark outline as a pixmap, its width and its height.

    Most lines stay the same from slice to slice: drawing them once makes the painting three times as quick.
    """
    font = QFont()
    font.fromString(font_text)
    metrics = QFontMetricsF(font)
    shown = (
        metrics.elidedText(text, Qt.TextElideMode.ElideRight, widest)
        if metrics.horizontalAdvance(text) > widest
        else text
    )
    width, height = metrics.horizontalAdvance(shown) + 4, metrics.height() + 1
    picture = QPixmap(QSize(int(width * ratio) + 1, int(height * ratio) + 1))
    picture.setDevicePixelRatio(ratio)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    try:
        painter.setFont(font)
        box = QRect(0, 0, int(width), int(height))
        painter.setPen(QColor(0, 0, 0, 220))
        for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (1, 1), (-1, 1), (1, -1)):
            painter.drawText(box.translated(x + 2, y), Qt.AlignmentFlag.AlignVCenter, shown)
        painter.setPen(QColor(236, 236, 236))
        painter.drawText(box.translated(2, 0), Qt.AlignmentFlag.AlignVCenter, shown)
    finally:
        painter.end()
    return picture, width, height
