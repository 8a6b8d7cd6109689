"""The line at the top: the menus, the places one click apart, and the two buttons needed most."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QCoreApplication, QSize, Qt
from PySide6.QtGui import QFontMetrics, QResizeEvent
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFrame,
    QHBoxLayout,
    QMenuBar,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.menus import TellingMenu
from aicorona_desktop.ui.theme import ThemeKeeper

SEPARATOR = ""
TOOLS = {"open_folder": "folder", "hide_names": "eye-off", "settings": "settings", "help": "help"}


class Header(QFrame):
    """Menus at the left, places in the middle, tools at the right; buttons lose their words where room is short."""

    def __init__(self, actions: Actions, keeper: ThemeKeeper, places: Iterable[str], parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("header")
        self._actions = actions
        self._keeper = keeper
        self.menu_bar = QMenuBar(self)
        self.menu_bar.setNativeMenuBar(False)
        self.menu_bar.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
        self._places = {name: self._button(f"place.{name}", words=True) for name in places}
        self._tools = {name: self._button(name, words=False) for name in TOOLS}
        group = QButtonGroup(self)
        row = QHBoxLayout(self)
        row.setContentsMargins(8, 4, 8, 4)
        row.setSpacing(4)
        row.addWidget(self.menu_bar)
        row.addStretch(1)
        for button in self._places.values():
            button.setCheckable(True)
            group.addButton(button)
            row.addWidget(button)
        row.addStretch(1)
        for button in self._tools.values():
            row.addWidget(button)
        self._tools["hide_names"].setCheckable(True)
        actions["hide_names"].toggled.connect(self._tools["hide_names"].setChecked)
        self.fill_menus(tuple(self._places))
        keeper.changed.connect(self._restyle)
        self._restyle()

    def show_place(self, name: str) -> None:
        """Mark the place that is in front."""
        self._places[name].setChecked(True)

    def place_button(self, name: str) -> QToolButton:
        """Return the button of a place."""
        return self._places[name]

    def fill_menus(self, places: tuple[str, ...]) -> None:
        """Make the menus anew."""
        self.menu_bar.clear()
        for title, names in _menus(places):
            menu = TellingMenu(self.menu_bar, title)
            for name in names:
                if name == SEPARATOR:
                    menu.addSeparator()
                else:
                    menu.addAction(self._actions[name])
            self.menu_bar.addMenu(menu)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Show the words of the places where there is room for them."""
        super().resizeEvent(event)
        self._fit()

    def _button(self, name: str, *, words: bool) -> QToolButton:
        button = QToolButton(self, autoRaise=True)
        style = Qt.ToolButtonStyle.ToolButtonTextBesideIcon if words else Qt.ToolButtonStyle.ToolButtonIconOnly
        button.setToolButtonStyle(style)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        button.clicked.connect(self._actions[name].trigger)
        self._actions[name].changed.connect(lambda: self._tell(button, name))
        return button

    def _tell(self, button: QToolButton, name: str) -> None:
        text = self._actions.text(name).rstrip("…")
        button.setText(text)
        button.setAccessibleName(text)
        button.setToolTip(self._actions.tooltip(name))
        button.setEnabled(self._actions[name].isEnabled())

    def _restyle(self) -> None:
        # Its own font is still the one before, as long as the sheet of the new look was not applied to it.
        side = max(20, round(QFontMetrics(QApplication.font()).height() * 1.2))
        for name, button in (
            *((f"place.{name}", button) for name, button in self._places.items()),
            *self._tools.items(),
        ):
            button.setIconSize(QSize(side, side))
            button.setIcon(icon(TOOLS.get(name, name.removeprefix("place.")), self._keeper.theme))
            self._tell(button, name)
        self._fit()

    def _fit(self) -> None:
        """Leave the words away where menus, places and tools would not fit beside each other."""
        buttons = tuple(self._places.values())
        for button in buttons:
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        others = self.menu_bar.sizeHint().width() + sum(one.sizeHint().width() for one in self._tools.values())
        wanted = others + sum(one.sizeHint().width() for one in buttons) + 4 * (len(buttons) + len(self._tools) + 4)
        if wanted > self.width():
            for button in buttons:
                button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)


def _menus(places: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    def words(text: str) -> str:
        return QCoreApplication.translate("Menus", text)

    return (
        (
            words("&File"),
            (
                *("open_folder", "open_files", "import_disc", "watch_folder", "stop_import", SEPARATOR),
                *("report_page", "export", "copy_picture", SEPARATOR),
                *("back_up", "restore_backup", "storage", SEPARATOR, "quit"),
            ),
        ),
        (words("&Edit"), ("undo", "redo", SEPARATOR, "search", SEPARATOR, "settings")),
        (
            words("&View"),
            (
                *(f"place.{name}" for name in places),
                *(SEPARATOR, "refresh", SEPARATOR, "hide_names", "lock", SEPARATOR),
                *("text_larger", "text_smaller", "text_reset", SEPARATOR, "full_screen", "restore_layout"),
            ),
        ),
        (words("&Help"), ("help", "key_sheet", "about")),
    )
