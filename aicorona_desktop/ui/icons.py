"""The program's own drawings: SVG with one colour, which is replaced by one of the theme."""

from __future__ import annotations

from functools import lru_cache

from PySide6.QtCore import QByteArray, Qt
from PySide6.QtGui import QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.ui.theme import Theme

DRAWN_IN = b"#000000"  # what the drawings hold in place of a colour of the theme
SIDES_PX = (20, 24, 32, 48, 64)  # up to an icon of 24 at 250 %; Qt takes the next larger one


def icon(name: str, theme: Theme, colour: str = "text") -> QIcon:
    """Return a drawing in a colour of the theme; `name` is that of the file in the icons' folder."""
    return _icon(name, getattr(theme, colour), theme.line)


def program_icon() -> QIcon:
    """Return the sign of the program, in its own colours."""
    return QIcon(str(resources_dir() / "icons" / "program.svg"))


@lru_cache(maxsize=128)
def renderer(name: str, colour: str) -> QSvgRenderer:
    """Return a drawing in a colour, for whoever paints it at a size of his own."""
    drawing = (resources_dir() / "icons" / f"{name}.svg").read_bytes()
    return QSvgRenderer(QByteArray(drawing.replace(DRAWN_IN, colour.encode())))


@lru_cache(maxsize=128)
def _icon(name: str, colour: str, disabled: str) -> QIcon:
    made = QIcon()
    for side in SIDES_PX:
        made.addPixmap(_picture(name, colour, side), QIcon.Mode.Normal)
        made.addPixmap(_picture(name, disabled, side), QIcon.Mode.Disabled)
    return made


def _picture(name: str, colour: str, side: int) -> QPixmap:
    picture = QPixmap(side, side)
    picture.fill(Qt.GlobalColor.transparent)
    with QPainter(picture) as painter:
        renderer(name, colour).render(painter)
    return picture
