"""What each button and wheel does, in the settings: single bindings over the scheme, two never the same."""

from __future__ import annotations

from types import MappingProxyType

from PySide6.QtCore import QCoreApplication, QSignalBlocker
from PySide6.QtWidgets import QComboBox, QFormLayout, QFrame, QLabel, QPushButton, QVBoxLayout, QWidget

from aicorona_desktop.ui.choices import UserChoices
from aicorona_desktop.ui.mouse import BUTTONS, NOTHING, SCHEMES, WHEELS, bindings_of, choices, conflict, stored

translate = QCoreApplication.translate


class MouseEditor(QFrame):
    """One line a button and wheel; what another one does already is refused with that one's name."""

    def __init__(self, user: UserChoices, parent: QWidget) -> None:
        super().__init__(parent)
        self._user = user
        self.setAccessibleName(translate("Settings", "Buttons and wheel over the picture"))
        self.boxes = {name: self._made_box(name) for name in (*BUTTONS, *WHEELS)}
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        self.restore = QPushButton(translate("Settings", "Restore buttons and wheel"), self)
        self.restore.clicked.connect(lambda: user.restore("mouse_bindings"))
        lines = QFormLayout()
        for name, box in self.boxes.items():
            lines.addRow(binding_text(name), box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(QLabel(self.accessibleName(), self))
        column.addLayout(lines)
        column.addWidget(self.restore)
        column.addWidget(self.words)
        user.changed.connect(self._changed)
        self._show()

    def take(self, name: str, value: str) -> None:
        """Let a button or wheel do this from now on, unless another one does."""
        user = self._user.value
        bindings = bindings_of(user.mouse_scheme, user.mouse_bindings)
        other = conflict(bindings, name, value)
        if other is None:
            changed = {each: stored(bindings, each) for each in self.boxes} | {name: value}
            shipped = SCHEMES[user.mouse_scheme]
            kept = {each: one for each, one in changed.items() if one != stored(shipped, each)}
            self._user.change(mouse_bindings=MappingProxyType(kept))
            self.words.setText("")
        else:
            text = translate("Settings", "“{what}” belongs to: {other}. Give that another task first.")
            self.words.setText(text.format(what=task_text(value), other=binding_text(other)))
        self._show()

    def _made_box(self, name: str) -> QComboBox:
        box = QComboBox(self)
        box.setAccessibleName(binding_text(name))
        for value in choices(name):
            box.addItem(task_text(value), value)
        box.activated.connect(lambda _: self.take(name, str(box.currentData())))
        return box

    def _changed(self, names: frozenset[str]) -> None:
        if names & {"mouse_scheme", "mouse_bindings"}:
            self._show()

    def _show(self) -> None:
        user = self._user.value
        bindings = bindings_of(user.mouse_scheme, user.mouse_bindings)
        for name, box in self.boxes.items():
            with QSignalBlocker(box):
                box.setCurrentIndex(box.findData(stored(bindings, name)))
        own = bindings != SCHEMES[user.mouse_scheme]
        self.restore.setEnabled(own)
        self.restore.setToolTip("" if own else translate("Settings", "All of it is as the scheme has it."))


def binding_text(name: str) -> str:
    """Return what a person reads for a button or wheel."""
    return {
        "left": translate("Settings", "Left drag"),
        "middle": translate("Settings", "Middle drag"),
        "right": translate("Settings", "Right drag"),
        "wheel": translate("Settings", "Wheel"),
        "shift_wheel": translate("Settings", "Shift and wheel"),
        "control_wheel": translate("Settings", "Ctrl and wheel"),
    }[name]


def task_text(value: str) -> str:
    """Return what a person reads for what a button or wheel does."""
    return {
        "window": translate("Settings", "Window"),
        "scroll": translate("Settings", "Scroll"),
        "pan": translate("Settings", "Pan"),
        "zoom": translate("Settings", "Zoom"),
        "slice": translate("Settings", "Slice by slice"),
        "ten_slices": translate("Settings", "Ten slices"),
        NOTHING: translate("Settings", "Nothing"),
    }[value]
