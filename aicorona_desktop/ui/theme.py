"""Colours and sizes of the window, dark and light: one value that palette, style sheet and painted parts share.

The style is Qt's Fusion with our palette and sheet. Qlementine was weighed: it has one author, is built against one
Qt release at a time (a version bump of Qt waits for it) and adds a compiled part to the installer; what it gives
over Fusion, this sheet gives as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from string import Template

from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtGui import QColor, QFontDatabase, QGuiApplication, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QApplication, QFocusFrame, QStyleFactory, QWidget

from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.core.user_settings import Theme as Wanted
from aicorona_desktop.ui.choices import UserChoices

SMALLEST_PERCENT, LARGEST_PERCENT, STEP_PERCENT = 80, 200, 10
TARGET_PX = 32
RING_PX = 2
BOX_PX = 16
ICON_PX = 18


@dataclass(frozen=True, slots=True)
class Theme:
    """Neutral greys and the four state colours of a set that colour-blind people tell apart (ux.md 15).

    `attention`, `caution`, `calm` and `good` never stand alone: each has a shape and a word beside it. `image` and
    `image_rim` are the same in both themes, so that a picture never looks different.
    """

    dark: bool
    window: str
    base: str
    raised: str
    text: str
    muted: str
    line: str
    hairline: str
    accent: str
    selection: str
    selection_text: str
    attention: str
    caution: str
    calm: str
    good: str
    idle: str
    image: str = "#000000"
    image_rim: str = "#262626"
    image_text: str = "#e8e8e8"

    def colour(self, name: str) -> QColor:
        """Return one of the colours by its name."""
        return QColor(getattr(self, name))


DARK = Theme(
    dark=True,
    window="#202020",
    base="#191919",
    raised="#2d2d2d",
    text="#e8e8e8",
    muted="#b0b0b0",
    line="#858585",
    hairline="#3a3a3a",
    accent="#56b4e9",
    selection="#17486a",
    selection_text="#ffffff",
    attention="#ef7a22",
    caution="#e69f00",
    calm="#56b4e9",
    good="#1fb589",
    idle="#a0a0a0",
)
LIGHT = Theme(
    dark=False,
    window="#f1f1f1",
    base="#fafafa",
    raised="#ffffff",
    text="#1b1b1b",
    muted="#565656",
    line="#818181",
    hairline="#d5d5d5",
    accent="#00649f",
    selection="#cfe5f4",
    selection_text="#10222e",
    attention="#a83c00",
    caution="#9a7200",
    calm="#00649f",
    good="#00704f",
    idle="#636363",
)

_SHEET = Template("""
* { outline: 0; }
QToolTip { background: $raised; color: $text; border: 1px solid $line; padding: 4px; }
QPushButton, QToolButton { min-height: ${inner}px; padding: 3px 12px; border: 1px solid $line; border-radius: 6px;
  background: $raised; color: $text; }
QToolButton { padding: 3px 8px; }
QPushButton { icon-size: ${icon}px; }
QPushButton:hover, QToolButton:hover { border-color: $accent; }
QPushButton:pressed, QToolButton:pressed, QPushButton:checked, QToolButton:checked { background: $selection;
  color: $selection_text; border-color: $accent; }
QPushButton:disabled, QToolButton:disabled { color: $muted; border-color: $hairline; background: $window; }
QPushButton:default { border: 2px solid $accent; }
QPushButton[flat="true"], QToolButton[autoRaise="true"] { border-color: transparent; background: transparent; }
QPushButton[flat="true"]:hover, QToolButton[autoRaise="true"]:hover { border-color: $line; }
QToolButton[autoRaise="true"]:checked { background: $selection; color: $selection_text; border-color: transparent; }
QToolButton::menu-indicator { image: none; }
QLineEdit, QPlainTextEdit, QTextEdit { border: 1px solid $line; border-radius: 6px; padding: 2px 8px;
  background: $base; color: $text; selection-background-color: $selection; selection-color: $selection_text; }
QLineEdit { min-height: ${inner}px; }
QComboBox, QSpinBox, QDoubleSpinBox { min-height: ${inner}px; }
QLineEdit > QToolButton { min-height: 0; padding: 0; border: 0; background: transparent; }
QCheckBox, QRadioButton { min-height: ${target}px; spacing: 8px; }
QCheckBox::indicator, QRadioButton::indicator { width: ${box}px; height: ${box}px; border: 1px solid $line;
  background: $base; }
QCheckBox::indicator { border-radius: 4px; }
QRadioButton::indicator { border-radius: ${round}px; }
QCheckBox::indicator:hover, QRadioButton::indicator:hover { border-color: $accent; }
QCheckBox::indicator:checked { border-color: $accent; background: $ticked; image: url("$tick"); }
QRadioButton::indicator:checked { border-color: $accent; background: qradialgradient(cx: 0.5, cy: 0.5, radius: 0.5,
  fx: 0.5, fy: 0.5, stop: 0 $accent, stop: 0.5 $accent, stop: 0.6 $base, stop: 1 $base); }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: $hairline; }
QMenu::item { padding: 6px 24px 6px 28px; min-height: 20px; }
QMenu::item:selected { background: $selection; color: $selection_text; }
QMenu::item:disabled { color: $muted; }
QMenuBar { background: transparent; }
QMenuBar::item { padding: 7px 9px; border-radius: 6px; background: transparent; }
QMenuBar::item:selected { background: $selection; color: $selection_text; }
QHeaderView::section { background: $window; color: $muted; border: 0; border-bottom: 1px solid $line;
  padding: 4px 6px; min-height: 22px; }
QAbstractItemView { background: $base; alternate-background-color: $window; border: 0;
  selection-background-color: $selection; selection-color: $selection_text; }
QScrollBar:vertical { width: 14px; background: $window; }
QScrollBar:horizontal { height: 14px; background: $window; }
QScrollBar::handle { background: $line; border-radius: 4px; margin: 3px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0; height: 0; }
QSplitter::handle { background: $hairline; }
QDialog QListView::item { min-height: 26px; padding: 0 4px; }
#series_list::item { padding: 0 6px; }
QTabWidget::pane { border: 1px solid $hairline; background: $window; }
QProgressBar { border: 1px solid $line; border-radius: 4px; background: $base; text-align: center; color: $text; }
QProgressBar::chunk { background: $selection; }
QGroupBox { border: 1px solid $hairline; border-radius: 8px; margin-top: 1.2em; padding: 8px; }
QGroupBox::title { subcontrol-origin: margin; left: 8px; padding: 0 4px; color: $muted; }
#header, #footer { background: $window; }
#header { border-bottom: 1px solid $hairline; }
#footer { border-top: 1px solid $hairline; }
#footer QLabel, #footer QPushButton { color: $muted; }
#footer QPushButton#footerNotice { color: $text; }
#notice { background: $raised; border-top: 1px solid $hairline; }
#orderPill { background: $selection; color: $selection_text; border-color: $accent; border-radius: 12px; }
""")


def palette_of(theme: Theme) -> QPalette:
    """Return the palette that widgets without a rule in the sheet are drawn with."""
    palette = QPalette()
    roles = {
        QPalette.ColorRole.Window: theme.window,
        QPalette.ColorRole.WindowText: theme.text,
        QPalette.ColorRole.Base: theme.base,
        QPalette.ColorRole.AlternateBase: theme.window,
        QPalette.ColorRole.ToolTipBase: theme.raised,
        QPalette.ColorRole.ToolTipText: theme.text,
        QPalette.ColorRole.Text: theme.text,
        QPalette.ColorRole.PlaceholderText: theme.muted,
        QPalette.ColorRole.Button: theme.raised,
        QPalette.ColorRole.ButtonText: theme.text,
        QPalette.ColorRole.BrightText: theme.attention,
        QPalette.ColorRole.Link: theme.accent,
        QPalette.ColorRole.LinkVisited: theme.accent,
        QPalette.ColorRole.Highlight: theme.selection,
        QPalette.ColorRole.HighlightedText: theme.selection_text,
        QPalette.ColorRole.Accent: theme.accent,
        QPalette.ColorRole.Light: theme.raised,
        QPalette.ColorRole.Midlight: theme.hairline,
        QPalette.ColorRole.Mid: theme.line,
        QPalette.ColorRole.Dark: theme.line,
        QPalette.ColorRole.Shadow: theme.image,
    }
    for role, colour in roles.items():
        palette.setColor(role, QColor(colour))
    for role in (QPalette.ColorRole.WindowText, QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText):
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(theme.muted))
    return palette


def sheet_of(theme: Theme, text_percent: int = 100) -> str:
    """Return the style sheet, in device-independent pixels; what holds text grows with it by itself."""
    colours = {name: getattr(theme, name) for name in Theme.__slots__ if name != "dark"}
    box = BOX_PX * text_percent // 100
    return _SHEET.substitute(
        colours,
        target=TARGET_PX,
        inner=TARGET_PX - 8,
        icon=ICON_PX * text_percent // 100,
        box=box,
        round=box // 2 + 1,
        ticked=theme.accent if theme.dark else theme.selection,  # the tick is black on both
        tick=(resources_dir() / "icons" / "tick.svg").as_posix(),
    )


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, 0 to 1 (WCAG 2.2)."""
    shade = QColor(colour)
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (shade.redF(), shade.greenF(), shade.blueF())
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, 1 to 21 (WCAG 2.2)."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


class ThemeKeeper(QObject):
    """Gives the application its look, and another one when the system or the user asks for it."""

    changed = Signal()

    def __init__(self, application: QApplication, user: UserChoices) -> None:
        super().__init__(user)
        self._application = application
        self._user = user
        self._points = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).pointSizeF()
        self.theme = LIGHT
        fusion = QStyleFactory.create("Fusion")
        if fusion is not None:
            application.setStyle(fusion)
        QGuiApplication.styleHints().colorSchemeChanged.connect(self._scheme_changed)
        user.changed.connect(self._user_changed)
        self.apply()

    def apply(self) -> None:
        """Set palette, sheet and text size as they are wanted now."""
        self.theme = DARK if self._is_dark() else LIGHT
        font = self._application.font()
        font.setPointSizeF(self._points * self._user.value.text_percent / 100)
        self._application.setFont(font)
        self._application.setPalette(palette_of(self.theme))
        self._application.setStyleSheet(sheet_of(self.theme, self._user.value.text_percent))
        self.changed.emit()

    def resize_text(self, steps: int) -> None:
        """Make text larger or smaller by steps of a tenth; 0 puts it back to its normal size."""
        percent = 100 if steps == 0 else self._user.value.text_percent + steps * STEP_PERCENT
        self._user.change(text_percent=min(max(percent, SMALLEST_PERCENT), LARGEST_PERCENT))

    def _is_dark(self) -> bool:
        wanted = self._user.value.theme
        if wanted is Wanted.SYSTEM:
            return QGuiApplication.styleHints().colorScheme() == Qt.ColorScheme.Dark
        return wanted is Wanted.DARK

    def _scheme_changed(self) -> None:
        if self._user.value.theme is Wanted.SYSTEM and self._is_dark() != self.theme.dark:
            self.apply()

    def _user_changed(self, names: frozenset[str]) -> None:
        if names & {"theme", "text_percent"}:
            self.apply()


class FocusRing(QFocusFrame):
    """A ring of two pixels around whatever has the focus, once keys are used; the mouse needs none."""

    def __init__(self, window: QWidget, keeper: ThemeKeeper) -> None:
        super().__init__(window)
        self._window = window
        self._keeper = keeper
        self._by_key = False
        self.hide()
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._follow)

    def set_by_key(self, by_key: bool) -> None:
        """Say whether the hand is on the keyboard or on the mouse."""
        self._by_key = by_key
        self._follow(None, QApplication.focusWidget())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Draw the ring."""
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(self._keeper.theme.colour("accent"), RING_PX))
            half = RING_PX / 2
            painter.drawRoundedRect(self.rect().toRectF().adjusted(half, half, -half, -half), 6, 6)

    def _follow(self, _old: QWidget | None, new: QWidget | None) -> None:
        inside = new is not None and new.window() is self._window.window() and self._by_key
        self.setWidget(new if inside else None)  # type: ignore[arg-type] # None takes the ring away
