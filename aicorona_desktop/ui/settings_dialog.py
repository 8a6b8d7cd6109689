"""The settings: a search, one level of groups, each with its default mark; every change takes effect at once."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QCoreApplication, QEvent, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QAction, QGuiApplication, QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.ui import settings_pages as pages
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.backups import SecondPlace
from aicorona_desktop.ui.choices import SiteChoices, UserChoices
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.key_sheet import KeyTree
from aicorona_desktop.ui.keys import spellings
from aicorona_desktop.ui.mouse_editor import MouseEditor
from aicorona_desktop.ui.preset_editor import PresetEditor
from aicorona_desktop.ui.receiver_page import ReceiverPage
from aicorona_desktop.ui.settings_pages import Choice, Number, Setting, Switch, Words
from aicorona_desktop.ui.storage_page import StoragePage
from aicorona_desktop.ui.theme import ThemeKeeper
from aicorona_desktop.ui.watched_folders import WatchedFolders

translate = QCoreApplication.translate
CHOICE_LETTERS = 24
BACKUP_ACTIONS = ("back_up", "restore_backup")


class SettingsDialog(Sheet):
    """All settings. `facts` are lines about the model and the device, shown in their group."""

    def __init__(
        self,
        *,
        site: SiteChoices,
        user: UserChoices,
        actions: Actions,
        keeper: ThemeKeeper,
        facts: dict[str, str],
        group: str = pages.INTAKE,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(translate("Settings", "Settings"), parent, (110, 34))
        self.rows = {one.name: SettingRow(one, site if one.of_site else user, keeper, self) for one in pages.settings()}
        self.watched = WatchedFolders(site, keeper, self)
        self.receiver = ReceiverPage(site, keeper, self)
        self.storage = StoragePage(site, keeper, self)
        self._groups: dict[str, list[QWidget]] = {
            pages.INTAKE: [self.watched, self.receiver],
            pages.KEYS: [MouseEditor(user, self), KeyEditor(actions, user, self)],
            pages.VIEWER: [PresetEditor(user, self)],
            pages.STORAGE: [self.storage],
            pages.MODEL: [_facts_label(facts, self)],
            pages.BACKUP: [
                _backup_words(self),
                *(_button_of(actions[name], self) for name in BACKUP_ACTIONS),
                SecondPlace(site, self),
            ],
        }
        self.search = QLineEdit(self, placeholderText=translate("Settings", "Search"))
        self.search.setAccessibleName(translate("Settings", "Search the settings"))
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._narrow)
        self.list = QListWidget(self)
        self.list.setAccessibleName(translate("Settings", "Groups of settings"))
        self.trouble = QLabel(self)
        self.trouble.setWordWrap(True)
        self.trouble.hide()
        self._titles: dict[str, QLabel] = {}
        self.page = self._made_page()
        self._lay_out()
        self.list.currentItemChanged.connect(self._show_group)
        self.go_to(group)
        self.add_close()

    def go_to(self, group: str) -> None:
        """Show a group."""
        self.search.clear()
        for number in range(self.list.count()):
            item = self.list.item(number)
            if item.data(Qt.ItemDataRole.UserRole) == group:
                self.list.setCurrentItem(item)

    def tell(self, sentence: str) -> None:
        """Say why a change was not taken."""
        self.trouble.setText(sentence)
        self.trouble.setVisible(bool(sentence))

    def shown_settings(self) -> tuple[str, ...]:
        """Return the names of the settings that are on the page now."""
        return tuple(name for name, row in self.rows.items() if not row.isHidden())

    def _made_page(self) -> QScrollArea:
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(12, 0, 12, 12)
        column.setSpacing(6)
        for group, words in pages.groups():
            item = QListWidgetItem(words, self.list)
            item.setData(Qt.ItemDataRole.UserRole, group)
            title = self._titles[group] = QLabel(words, inner)
            font = title.font()
            font.setBold(True)
            title.setFont(font)
            column.addWidget(title)
            for row in self.rows.values():
                if row.setting.group == group:
                    column.addWidget(row)
            for widget in self._groups.get(group, []):
                column.addWidget(widget)
        column.addStretch(1)
        area = QScrollArea(self)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setWidget(inner)
        return area

    def _lay_out(self) -> None:
        letters = self.fontMetrics().averageCharWidth()
        self.list.setMaximumWidth(letters * 26)
        row = QHBoxLayout()
        row.addWidget(self.list)
        row.addWidget(self.page, 1)
        self.body.addWidget(self.search)
        self.body.addLayout(row, 1)
        self.body.addWidget(self.trouble)

    def _show_group(self) -> None:
        item = self.list.currentItem()
        if item is not None and not self.search.text():
            self._show(lambda group, _words: group == item.data(Qt.ItemDataRole.UserRole))

    def _narrow(self, text: str) -> None:
        wanted = text.casefold()
        if not wanted:
            self._show_group()
            return
        self._show(lambda _group, words: wanted in words.casefold())

    def _show(self, wanted: Callable[[str, str], bool]) -> None:
        for group, title in self._titles.items():
            rows = [row for row in self.rows.values() if row.setting.group == group]
            for row in rows:
                row.setVisible(wanted(group, f"{title.text()} {row.setting.words} {row.setting.explained}"))
            for widget in self._groups.get(group, []):
                widget.setVisible(wanted(group, f"{title.text()} {widget.accessibleName()}"))
            title.setVisible(any(not one.isHidden() for one in (*rows, *self._groups.get(group, []))))


class SettingRow(QWidget):
    """One setting: its words, its editor, whether it stands as shipped, and the way back."""

    def __init__(
        self, setting: Setting, choices: SiteChoices | UserChoices, keeper: ThemeKeeper, dialog: SettingsDialog
    ) -> None:
        super().__init__(dialog)
        self.setting = setting
        self._choices = choices
        self._dialog = dialog
        self._default = getattr(Settings() if setting.of_site else UserSettings(), setting.name)
        self.mark = QLabel(translate("Settings", "default"), self)
        self.mark.setForegroundRole(self.palette().ColorRole.PlaceholderText)
        self.restore = QToolButton(self, autoRaise=True)
        self.restore.setIcon(icon("restore", keeper.theme))
        words = translate("Settings", "Restore the default of “{name}”").format(name=setting.words)
        self.restore.setToolTip(words)
        self.restore.setAccessibleName(words)
        self.restore.clicked.connect(lambda: self._take(self._default))
        self.editor = self._made_editor()
        self.editor.setAccessibleName(setting.words)
        self.editor.setAccessibleDescription(self._explained())
        self._lay_out()
        choices.changed.connect(self._changed)
        self._show_value()

    def value(self) -> object:
        """Return the value that the editor shows."""
        return getattr(self._choices.value, self.setting.name)

    def _explained(self) -> str:
        later = translate("Settings", "Takes effect at the next start.")
        return f"{self.setting.explained} {later}" if self.setting.needs_start else self.setting.explained

    def _lay_out(self) -> None:
        title, explained = QLabel(self.setting.words, self), QLabel(self._explained(), self)
        explained.setForegroundRole(self.palette().ColorRole.PlaceholderText)
        for label in (title, explained):
            label.setWordWrap(True)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(title)
        words.addWidget(explained)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 4, 0, 4)
        row.addLayout(words, 3)
        row.addWidget(self.editor, 2)
        row.addWidget(self.mark)
        row.addWidget(self.restore)

    def _made_editor(self) -> QWidget:
        match self.setting.kind:
            case Switch():
                box = QCheckBox(self)
                box.toggled.connect(self._take)
                return box
            case Number(smallest, largest, step, unit):
                spin = QDoubleSpinBox(self, decimals=0, minimum=smallest, maximum=largest, singleStep=step)
                spin.setSuffix(unit)
                spin.setKeyboardTracking(False)
                spin.valueChanged.connect(self._take_number)
                return spin
            case Choice(options):
                combo = QComboBox(self)
                # As wide as its column and no wider: the words beside it need room, the list below shows all of it.
                combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
                combo.setMinimumContentsLength(CHOICE_LETTERS)
                for value, words in options:
                    combo.addItem(words, value)
                combo.activated.connect(lambda index: self._take(options[index][0]))
                return combo
            case Words(longest):
                line = QLineEdit(self, maxLength=longest)
                line.editingFinished.connect(lambda: self._take(line.text().strip()))
                return line

    def _take_number(self, value: float) -> None:
        self._take(int(value) if isinstance(self._default, int) else value)

    def _take(self, value: object) -> None:
        try:
            self._choices.change(**{self.setting.name: value})
        except AicoronaError as error:
            self._dialog.tell(str(error))
        else:
            self._dialog.tell("")
        self._show_value()

    def _changed(self, names: frozenset[str]) -> None:
        if self.setting.name in names:
            self._show_value()

    def _show_value(self) -> None:
        value = self.value()
        with QSignalBlocker(self.editor):
            match self.editor:
                case QCheckBox():
                    self.editor.setChecked(bool(value))
                case QDoubleSpinBox():
                    self.editor.setValue(float(str(value)))
                case QLineEdit():
                    self.editor.setText(str(value))
                case QComboBox():
                    kind = self.setting.kind
                    options = [one for one, _ in kind.options] if isinstance(kind, Choice) else []
                    self.editor.setCurrentIndex(options.index(value) if value in options else -1)
        shipped = value == self._default
        self.mark.setVisible(shipped)
        self.restore.setVisible(not shipped)


class KeyEditor(QFrame):
    """The keys of all actions: choose one, press its new key; a key in use is refused with the other's name."""

    refused = Signal(str)

    def __init__(self, actions: Actions, user: UserChoices, parent: QWidget) -> None:
        super().__init__(parent)
        self._actions = actions
        self._user = user
        self.setAccessibleName(translate("Settings", "Keys"))
        self.tree = KeyTree(actions, self)
        self.tree.setMinimumHeight(self.fontMetrics().lineSpacing() * 14)
        self.field = KeyField(self)
        self.field.pressed.connect(self.give)
        self.words = QLabel(translate("Settings", "Choose an action, then press its new key in the field."), self)
        self.words.setWordWrap(True)
        restore = QPushButton(translate("Settings", "Restore all keys"), self)
        restore.clicked.connect(self._restore)
        row = QHBoxLayout()
        row.addWidget(self.field, 1)
        row.addWidget(restore)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        column.addWidget(self.tree)
        column.addLayout(row)
        column.addWidget(self.words)

    def give(self, key: str) -> None:
        """Give the chosen action a key; none at all with an empty text."""
        name = self.tree.chosen()
        if name is None:
            self.words.setText(translate("Settings", "Choose an action in the list first."))
            return
        try:
            self._actions.rebind(name, (key,) if key else ())
        except AicoronaError as error:
            self.words.setText(str(error))
            self.refused.emit(str(error))
            return
        self._user.keep_keys(self._actions.own_keys())
        self.words.setText(translate("Settings", "Changed."))

    def _restore(self) -> None:
        self._actions.restore_keys()
        self._user.keep_keys(self._actions.own_keys())
        self.words.setText(translate("Settings", "All keys are as shipped."))


class KeyField(QLineEdit):
    """A field that shows the key pressed in it, by its place on the keyboard; Backspace takes the key away."""

    pressed = Signal(str)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent, readOnly=True, placeholderText=translate("Settings", "Press a key"))
        self.setAccessibleName(translate("Settings", "New key of the chosen action"))

    def event(self, event: QEvent) -> bool:
        """Take every key, those of menus and of focus as well; Tab still leaves the field."""
        if event.type() == QEvent.Type.ShortcutOverride:
            event.accept()
            return True
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent) and event.key() != Qt.Key.Key_Tab:
            self._take(event)
            return True
        return bool(super().event(event))

    def _take(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Backspace and not event.modifiers():
            self.clear()
            self.pressed.emit("")
            return
        found = spellings(event, QGuiApplication.platformName())
        if found:
            self.setText(found[0])
            self.pressed.emit(found[0])


def _backup_words(parent: QWidget) -> QLabel:
    label = QLabel(
        translate(
            "Settings",
            "A copy of the history is made and proved every day while the program is open, and before each new version "
            "changes its form. Seven are kept beside the history.",
        ),
        parent,
    )
    label.setWordWrap(True)
    return label


def _button_of(action: QAction, parent: QWidget) -> QPushButton:
    """Return a button that does what an action does, and is greyed with it."""
    button = QPushButton(action.text(), parent)
    button.setToolTip(action.toolTip())
    button.setAccessibleName(action.text())
    button.setEnabled(action.isEnabled())
    button.clicked.connect(action.trigger)
    return button


def _facts_label(facts: dict[str, str], parent: QWidget) -> QLabel:
    label = QLabel("\n".join(f"{name}: {value}" for name, value in facts.items()), parent)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setAccessibleName(translate("Settings", "What is in use"))
    return label
