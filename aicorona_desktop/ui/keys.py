"""Keys by their place on the keyboard: the one spot where a key press becomes an action.

Qt's shortcuts know a letter only as the present layout writes it, so that `M` is out of reach under a Cyrillic
layout and elsewhere under AZERTY. Here letters, digits and signs are taken by where they lie on a US keyboard;
together with Ctrl, Alt or Meta a Latin letter is taken as the layout writes it, as every other program does.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, QKeyCombination, QObject, Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeyEvent, QKeySequence
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QAbstractSlider,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QLineEdit,
    QPlainTextEdit,
    QTabBar,
    QTextEdit,
    QWidget,
)

from aicorona_desktop.ui.actions import Actions

PLACE_KEYS = "keysOfPlace"
"""A widget with this property set leaves Up, Down, Space and their like to the actions of its place."""
PRESSED_BY_KEYS = "pressedByKeys"
"""One with this property set is pressed by Space and Enter, as a button is."""

XKB_OFFSET = 8  # X11 and Wayland count the kernel's key codes from 8 on
_ROWS = {2: "1234567890-=", 16: "QWERTYUIOP[]", 30: "ASDFGHJKL;'`", 43: "\\ZXCVBNM,./"}
US_KEYS = {first + step: character for first, row in _ROWS.items() for step, character in enumerate(row)}
"""Scan codes of the main block (PC set 1, which the Linux kernel follows) and what a US keyboard has there."""

_NAVIGATION = frozenset(
    {
        *(Qt.Key.Key_Up, Qt.Key.Key_Down, Qt.Key.Key_Left, Qt.Key.Key_Right),
        *(Qt.Key.Key_Home, Qt.Key.Key_End, Qt.Key.Key_PageUp, Qt.Key.Key_PageDown),
        *(Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter),
    }
)
_PRESSES = frozenset({Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Enter})
_STRONG = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.AltModifier | Qt.KeyboardModifier.MetaModifier
_TEXT = (QLineEdit, QTextEdit, QPlainTextEdit, QAbstractSpinBox)


def us_character(scan_code: int, platform: str) -> str:
    """Return what a US keyboard has at the place of a key; "" for keys outside the main block, or when unknown."""
    if platform in ("xcb", "wayland"):
        return US_KEYS.get(scan_code - XKB_OFFSET, "")
    return US_KEYS.get(scan_code, "") if platform == "windows" else ""


def spellings(event: QKeyEvent, platform: str) -> tuple[str, ...]:
    """Return the names that a key press may go by, in portable spelling, the likeliest first."""
    modifiers = event.modifiers() & ~(Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.GroupSwitchModifier)
    written = event.key()
    place = us_character(event.nativeScanCode(), platform)
    latin = Qt.Key.Key_A <= written <= Qt.Key.Key_Z
    if place and not (modifiers & _STRONG and latin):
        by_place = [ord(place)]
        if place == "=" and not modifiers & Qt.KeyboardModifier.ShiftModifier:
            by_place.append(Qt.Key.Key_Plus)  # zoom in, without reaching for Shift
        by_layout = [] if place.isalpha() else [written]
    else:
        by_place, by_layout = [], [written]
    found = [_portable(key, modifiers) for key in (*by_place, *by_layout)]
    if not latin and modifiers & Qt.KeyboardModifier.ShiftModifier and not (place.isalnum()):
        found += [_portable(key, modifiers & ~Qt.KeyboardModifier.ShiftModifier) for key in by_layout]
    return tuple(dict.fromkeys(filter(None, found)))


class KeyRouter(QObject):
    """Watches the key presses of a window and asks for the action that a key stands for at the present place.

    A field that takes text keeps what it can write, lists and buttons keep the keys that move in them or press
    them, menus and dialogs keep everything. `by_key` says when the hand moves between mouse and keyboard. A key
    whose action is greyed says why.
    """

    by_key = Signal(bool)
    refused = Signal(str)  # why the action of a key can't be done now

    def __init__(self, window: QWidget, actions: Actions, place: Callable[[], str]) -> None:
        super().__init__(window)
        self._window = window
        self._actions = actions
        self._place = place
        self._held: dict[tuple[int, int], str] = {}
        self._by_key = False
        application = QCoreApplication.instance()
        if application is not None:
            application.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take the key presses that stand for an action; leave all else alone."""
        kind = event.type()
        if kind in (QEvent.Type.KeyPress, QEvent.Type.MouseButtonPress):
            self._note_hand(by_key=kind == QEvent.Type.KeyPress)
        if kind == QEvent.Type.KeyPress and isinstance(watched, QWidget) and isinstance(event, QKeyEvent):
            return self._is_ours(watched) and self._press(watched, event)
        if kind == QEvent.Type.KeyRelease and self._held and isinstance(event, QKeyEvent):
            return self._release(event)
        if kind == QEvent.Type.WindowDeactivate and watched is self._window:
            self._let_all_go()
        return False

    def end(self) -> None:
        """Watch no longer; before the window goes."""
        self._let_all_go()
        application = QCoreApplication.instance()
        if application is not None:
            application.removeEventFilter(self)

    def _note_hand(self, *, by_key: bool) -> None:
        if by_key != self._by_key:
            self._by_key = by_key
            self.by_key.emit(by_key)

    def _is_ours(self, widget: QWidget) -> bool:
        return (
            widget.window() is self._window
            and QApplication.activeModalWidget() is None
            and QApplication.activePopupWidget() is None
        )

    def _press(self, widget: QWidget, event: QKeyEvent) -> bool:
        pressed = _identity(event)
        if event.isAutoRepeat() and pressed in self._held:
            self._actions.ask(self._held[pressed], repeat=True)
            return True
        focus = QApplication.focusWidget()
        if keeps(focus if focus is not None and widget.isAncestorOf(focus) else widget, event):
            return False
        for key in spellings(event, QGuiApplication.platformName()):
            name = self._actions.find(key, self._place())
            if name is not None and not self._actions[name].isEnabled():
                if not event.isAutoRepeat():
                    self.refused.emit(self._actions.why(name))
                return True
            if name is not None:
                self._held[pressed] = name
                self._actions.ask(name)
                return True
        return False

    def _release(self, event: QKeyEvent) -> bool:
        if event.isAutoRepeat():
            return _identity(event) in self._held
        name = self._held.pop(_identity(event), None)
        if name is not None:
            self._actions.let_go(name)
        return name is not None

    def _let_all_go(self) -> None:
        """A key let go in another window is never told: nothing may stay held, least of all a name."""
        held, self._held = self._held, {}
        for name in held.values():
            self._actions.let_go(name)


def keeps(widget: QWidget, event: QKeyEvent) -> bool:
    """Whether a widget that has the focus wants a key for itself."""
    if bool(widget.property(PLACE_KEYS)):
        return False
    key, strong = Qt.Key(event.key()), bool(event.modifiers() & _STRONG)
    if isinstance(widget, _TEXT) or (isinstance(widget, QComboBox) and widget.isEditable()):
        return _is_for_text(widget, event)
    if isinstance(widget, (QComboBox, QAbstractItemView, QAbstractSlider, QTabBar)):
        return key in _NAVIGATION and not strong
    presses = isinstance(widget, QAbstractButton) or bool(widget.property(PRESSED_BY_KEYS))
    return presses and key in _PRESSES and not strong


def _is_for_text(widget: QWidget, event: QKeyEvent) -> bool:
    """Ask the widget as Qt would: does this key write or edit? Function keys and Esc it never needs."""
    if event.key() == Qt.Key.Key_Escape:
        return False
    asked = QKeyEvent(QEvent.Type.ShortcutOverride, event.key(), event.modifiers(), event.text())
    asked.ignore()
    QCoreApplication.sendEvent(widget, asked)
    if asked.isAccepted():
        return True
    writes = bool(event.text()) and event.text().isprintable()
    return not event.modifiers() & _STRONG and (writes or Qt.Key(event.key()) in _NAVIGATION)


def _identity(event: QKeyEvent) -> tuple[int, int]:
    """Which key it is, the same for press, repeat and release, whatever the modifiers are by then."""
    return event.nativeScanCode(), 0 if event.nativeScanCode() else event.key()


def _portable(key: int, modifiers: Qt.KeyboardModifier) -> str:
    if key in (0, Qt.Key.Key_unknown, Qt.Key.Key_Shift, Qt.Key.Key_Control, Qt.Key.Key_Alt, Qt.Key.Key_Meta):
        return ""
    combination = QKeyCombination(modifiers, Qt.Key(key))
    return QKeySequence(combination).toString(QKeySequence.SequenceFormat.PortableText)
