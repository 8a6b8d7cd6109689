"""The scale of the map on the screen, with numbers, and the one sentence that belongs to every map (ux.md 5.5)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QCoreApplication, QLocale, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QFontMetrics, QImage, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from aicorona_desktop.imaging import colour_maps
from aicorona_desktop.imaging.overlay import CONTOURS, FILLED_FROM
from aicorona_desktop.ui.study_words import class_name


def map_sentence() -> str:
    """Return what has to stand beside every map."""
    return QCoreApplication.translate("ColourBar", "Shows what moved the score, not where disease is.")


@dataclass(frozen=True, slots=True)
class Scale:
    """What the bar shows: one scale for all slices of a study and one class, zero fixed.

    `lowest` and `largest` are the study's own ends in units of the logit, with zero between them; `filled` and
    `lined` say how the map is drawn.
    """

    lowest: float
    largest: float
    class_name: str
    colour_map: str = colour_maps.DEFAULT
    filled: bool = True
    lined: bool = True


class ColourBar(QWidget):
    """Stands beside the picture whenever a map is shown, and is hidden whenever none is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        # What is said of pictures stays from left to right in every language (ux.md 16).
        self.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        self.setObjectName("colour_bar")
        self._class = QLabel(self, wordWrap=True, alignment=Qt.AlignmentFlag.AlignHCenter)
        self._strip = _Strip(self)
        self._sentence = QLabel(map_sentence(), self, wordWrap=True, alignment=Qt.AlignmentFlag.AlignHCenter)
        layout = QVBoxLayout(self)
        layout.addWidget(self._class)
        layout.addWidget(self._strip, 1)
        layout.addWidget(self._sentence)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Expanding)
        self.hide()

    @property
    def scale(self) -> Scale | None:
        """What is shown now."""
        return self._strip.scale

    def show_scale(self, scale: Scale | None) -> None:
        """Show this scale; None: no map is on the screen."""
        self._strip.scale = scale
        self.setVisible(scale is not None)
        if scale is None:
            return
        name = class_name(scale.class_name)
        self._class.setText(name)
        self._sentence.setText(map_sentence())
        text = QCoreApplication.translate("ColourBar", "Colours of the map of {name}, from 0 to {largest}. {sentence}")
        self.setAccessibleName(
            text.format(name=name, largest=number(scale.largest, scale.largest), sentence=map_sentence())
        )
        self._strip.update()


class _Strip(QWidget):
    """The colours from zero at the foot to the largest value at the top; the numbers stand at their right."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.scale: Scale | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        metrics = self.fontMetrics()
        return QSize(metrics.horizontalAdvance("+00.00 ") + 3 * metrics.height(), 12 * metrics.height())

    def minimumSizeHint(self) -> QSize:
        return QSize(self.sizeHint().width(), 6 * self.fontMetrics().height())

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.scale is None:
            return
        painter = QPainter(self)
        bar = _bar(self.rect(), self.fontMetrics())
        painter.setPen(QPen(self.palette().windowText(), 1))
        if self.scale.largest > 0:
            _draw_colours(painter, bar, self.scale)
        painter.drawRect(bar)
        for share, text in _marks(self.scale):
            _draw_mark(painter, bar, share, text)


def number(value: float, largest: float) -> str:
    """Return a value of a map in the language's digits marks, as exact as the scale needs."""
    decimals = 2 if largest < 10 else 1
    return QLocale().toString(value, "f", decimals)


def _bar(whole: QRect, metrics: QFontMetrics) -> QRectF:
    half_a_line = metrics.height() / 2 + 1
    return QRectF(whole.left() + 1, half_a_line, 1.5 * metrics.height(), whole.height() - 2 * half_a_line)


def _marks(scale: Scale) -> list[tuple[float, str]]:
    if scale.largest <= 0:
        nothing = QCoreApplication.translate("ColourBar", "nothing speaks for it")
        return [(0.0, nothing)]
    return [(share, number(share * scale.largest, scale.largest)) for share in (0.0, *CONTOURS, 1.0)]


def _draw_mark(painter: QPainter, bar: QRectF, share: float, text: str) -> None:
    y, tick = bar.bottom() - share * bar.height(), bar.width() / 4
    painter.drawLine(round(bar.right()), round(y), round(bar.right() + tick), round(y))
    height = painter.fontMetrics().height()
    place = QRectF(bar.right() + 1.5 * tick, y - height / 2, 10_000, height)
    painter.drawText(place, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft, text)


def _draw_colours(painter: QPainter, bar: QRectF, scale: Scale) -> None:
    """Draw what the map draws: the fill from a quarter on, the lines at their levels; below it nothing."""
    table = np.ascontiguousarray(colour_maps.table(scale.colour_map)[::-1])
    picture = QImage(table.data, 1, 256, 3, QImage.Format.Format_RGB888)
    if scale.filled:
        part = 1 - FILLED_FROM
        filled = QRectF(bar.left(), bar.top(), bar.width(), part * bar.height())
        painter.drawImage(filled, picture, QRectF(0, 0, 1, part * 256))
    if scale.lined:
        for level in CONTOURS:
            y = bar.bottom() - level * bar.height()
            colour = picture.pixelColor(0, 255 - round(255 * level))
            painter.fillRect(QRectF(bar.left(), y - 1, bar.width(), 3), colour)
