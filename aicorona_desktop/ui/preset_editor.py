"""The window presets in the settings: all of them with their keys, those with numbers of their own to be changed."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.user_settings import Preset
from aicorona_desktop.ui.choices import UserChoices
from aicorona_desktop.ui.presets import (
    COMPUTED,
    KEYS,
    MODEL,
    MODEL_NOTE,
    NAMES,
    OWN_KEYS,
    KeyedPreset,
    free_keys,
    presets,
    with_key,
)

translate = QCoreApplication.translate

LINES_SEEN = 13
LONGEST_NAME = 40


class PresetEditor(QFrame):
    """Own window presets and changed numbers and keys of those that ship; computed ones cannot be changed."""

    def __init__(self, user: UserChoices, parent: QWidget) -> None:
        super().__init__(parent)
        self._user = user
        self.setAccessibleName(translate("Settings", "Window presets"))
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.accessibleName())
        self.list.setMaximumHeight(self.fontMetrics().lineSpacing() * LINES_SEEN)
        self.name = QLineEdit(self, placeholderText=translate("Settings", "Name"), maxLength=LONGEST_NAME)
        self.width_field = self._number(1, 8000, translate("Settings", "Width"))
        self.level_field = self._number(-2000, 4000, translate("Settings", "Level"))
        self.key = QComboBox(self)
        self.key.addItem(translate("Settings", "No key"), "")
        for key in (*KEYS, *OWN_KEYS):
            self.key.addItem(key, key)
        self.name.setAccessibleName(translate("Settings", "Name of the preset"))
        self.key.setAccessibleName(translate("Settings", "Key of the preset"))
        self.take_back = QPushButton(translate("Settings", "Remove preset"), self)
        self.words = QLabel(self)
        self.words.setWordWrap(True)
        self._lay_out()
        self.take_back.clicked.connect(self._take_back)
        self.list.currentRowChanged.connect(self._choose)
        user.changed.connect(self._changed)
        self._fill()

    def _lay_out(self) -> None:
        keep = QPushButton(translate("Settings", "Keep preset"), self)
        keep.clicked.connect(self.keep)
        restore = QPushButton(translate("Settings", "Restore presets"), self)
        restore.clicked.connect(lambda: self._user.restore("presets"))
        fields, buttons = QHBoxLayout(), QHBoxLayout()
        fields.addWidget(self.name, 1)
        for widget in (self.width_field, self.level_field, self.key):
            fields.addWidget(widget)
        for button in (keep, self.take_back, restore):
            buttons.addWidget(button)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(QLabel(self.accessibleName(), self))
        column.addWidget(self.list)
        column.addLayout(fields)
        column.addLayout(buttons)
        column.addWidget(self.words)

    def keep(self) -> None:
        """Keep the numbers in the fields under the name in the field: a new preset, or a changed one.

        A new one without a key gets the first that is free; a key in use is refused with the name of the other.
        """
        stored, key = self._stored_name(self.name.text().strip()), str(self.key.currentData())
        everything = self._all()
        if stored in COMPUTED:
            self.words.setText(_cannot_be_changed(stored))
            return
        if all(one.name != stored for one in everything) and key in ("", self._chosen_key()):
            key = next(iter(free_keys(everything)), "")  # the field still has that of the preset in the list
        holder = with_key(key, everything) if key else None
        if holder is not None and holder.name != stored:
            text = translate("Settings", "Key {key} calls “{name}”. Give that preset another key first.")
            self.words.setText(text.format(key=key, name=holder.text))
            return
        try:
            new = Preset(stored, self.width_field.value(), self.level_field.value(), key)
        except AicoronaError as error:
            self.words.setText(str(error))
            return
        self._user.change(presets=(*self._others(stored), new))
        self.words.setText(translate("Settings", "Kept."))

    def _chosen_key(self) -> str:
        number = self.list.currentRow()
        return self._all()[number].key if number >= 0 else ""

    def _take_back(self) -> None:
        """Remove the chosen preset, or put a shipped one back as it was."""
        number = self.list.currentRow()
        if number >= 0:
            self._user.change(presets=self._others(self._all()[number].name))

    def _others(self, name: str) -> tuple[Preset, ...]:
        return tuple(one for one in self._user.value.presets if one.name != name)

    def _all(self) -> tuple[KeyedPreset, ...]:
        return presets(self._user.value.presets)

    def _stored_name(self, shown: str) -> str:
        return next((one.name for one in self._all() if one.text == shown), shown)

    def _changed(self, names: frozenset[str]) -> None:
        if "presets" in names:
            self._fill()

    def _fill(self) -> None:
        row = self.list.currentRow()
        self.list.clear()
        for one in self._all():
            numbers = f"{one.window.width_hu:.0f} / {one.window.centre_hu:.0f}" if one.window else "-"
            self.list.addItem(f"{one.key or ' '}   {one.text}   {numbers}")
        self.list.setCurrentRow(min(row, self.list.count() - 1))
        self._choose(self.list.currentRow())

    def _choose(self, number: int) -> None:
        one = self._all()[number] if number >= 0 else None
        own = one is not None and one.name not in NAMES
        changed = one is not None and one.name in {each.name for each in self._user.value.presets}
        remove, restore = translate("Settings", "Remove preset"), translate("Settings", "Restore preset")
        self.take_back.setText(remove if own or one is None else restore)
        self.take_back.setEnabled(changed)
        nothing = translate("Settings", "Choose a preset of your own, or one that was changed.")
        self.take_back.setToolTip("" if changed else nothing)
        if one is None:
            return
        self.name.setText(one.text)
        self.key.setCurrentIndex(max(self.key.findData(one.key), 0))
        self.words.setText(_cannot_be_changed(one.name) if one.name in COMPUTED else "")
        if one.window is not None:
            self.width_field.setValue(one.window.width_hu)
            self.level_field.setValue(one.window.centre_hu)

    def _number(self, smallest: float, largest: float, words: str) -> QDoubleSpinBox:
        spin = QDoubleSpinBox(self, decimals=0, minimum=smallest, maximum=largest, singleStep=10)
        spin.setSuffix(" HU")
        spin.setPrefix(f"{words} ")
        spin.setAccessibleName(words)
        return spin


def _cannot_be_changed(name: str) -> str:
    sentence = translate("Settings", "This preset is computed and cannot be changed.")
    if name != MODEL:
        return sentence
    what = translate("presets", str(MODEL_NOTE))
    return f"{sentence} {what[:1].upper()}{what[1:]}."
