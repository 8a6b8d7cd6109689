"""The DICOM receiver in the settings: switch, titles, port, address, who may send, and how it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QCoreApplication, QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.receiving import THIS_COMPUTER, Caller, ReceiverSettings, ReceiverStanding, ReceiverState
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.icons import icon
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.theme import ThemeKeeper

translate = QCoreApplication.translate

EVERYWHERE = "0.0.0.0"  # noqa: S104 - offered, never the default


class ReceiverPage(QFrame):
    """Everything about the receiver; each change takes effect at once, one that can't be used is said below."""

    def __init__(self, site: SiteChoices, keeper: ThemeKeeper, parent: QWidget) -> None:
        super().__init__(parent)
        self._site = site
        self._state: Callable[[], ReceiverState] = ReceiverState
        self.setAccessibleName(translate("Receiver", "DICOM receiver"))
        self.on = QCheckBox(translate("Receiver", "Receive studies that other programs send"), self)
        self.title = QLineEdit(self, maxLength=16)
        self.title.setAccessibleName(translate("Receiver", "AE title of this program"))
        self.port = QSpinBox(self, minimum=1, maximum=65535)
        self.port.setAccessibleName(translate("Receiver", "Port"))
        self.port.setKeyboardTracking(False)
        self.bind = QComboBox(self)
        self.bind.setEditable(True)
        self.bind.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.bind.setAccessibleName(translate("Receiver", "Address to listen on"))
        self.bind.addItem(translate("Receiver", "127.0.0.1 (this computer alone)"), THIS_COMPUTER)
        self.bind.addItem(translate("Receiver", "0.0.0.0 (every address of this computer)"), EVERYWHERE)
        self.callers = _table(self)
        self.caller = QLineEdit(self, maxLength=16, placeholderText=translate("Receiver", "AE title of the sender"))
        self.caller.setAccessibleName(translate("Receiver", "AE title of the sender"))
        self.addresses = QLineEdit(self, placeholderText=translate("Receiver", "Its address, such as 192.168.1.20"))
        self.addresses.setAccessibleName(translate("Receiver", "Address of the sender"))
        self.add = QPushButton(icon("plus", keeper.theme), translate("Receiver", "Allow sender"), self)
        self.remove = QPushButton(icon("minus", keeper.theme), translate("Receiver", "Remove"), self)
        self.trouble, self.reach, self.test, self.standing = (_words(self) for _ in range(4))
        self._lay_out()
        self._connect()
        self._show_values()

    def follow(self, state: Callable[[], ReceiverState], changed: Any) -> None:
        """Show how the receiver stands, now and whenever the signal `changed` comes."""
        self._state = state
        changed.connect(self._show_state)
        self._show_state()

    def _lay_out(self) -> None:
        title = QLabel(self.accessibleName(), self)
        explained = _words(self)
        explained.setText(
            translate(
                "Receiver",
                "Scanners and archives can send studies (DICOM C-STORE). Each object is acknowledged once it stands "
                "on the disk. Nobody may send who is not in the list below.",
            )
        )
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.addRow(translate("Receiver", "AE title of this program"), self.title)
        form.addRow(translate("Receiver", "Port"), self.port)
        form.addRow(translate("Receiver", "Listen on"), self.bind)
        more = QHBoxLayout()
        more.addWidget(self.caller, 1)
        more.addWidget(self.addresses, 1)
        more.addWidget(self.add)
        less = QHBoxLayout()
        less.addWidget(self.remove)
        less.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 4)
        for one in (title, explained, self.on, self.standing):
            column.addWidget(one)
        column.addLayout(form)
        column.addWidget(self.reach)
        column.addWidget(self.callers)
        column.addLayout(more)
        column.addLayout(less)
        column.addWidget(self.trouble)
        column.addWidget(self.test)

    def _connect(self) -> None:
        self.on.toggled.connect(lambda on: self._take(on=on))
        self.title.editingFinished.connect(lambda: self._take(ae_title=self.title.text().strip()))
        self.port.valueChanged.connect(lambda port: self._take(port=port))
        self.bind.activated.connect(lambda index: self._take(bind=self.bind.itemData(index)))
        line = self.bind.lineEdit()
        if line is not None:
            line.editingFinished.connect(lambda: self._take(bind=line.text().partition(" ")[0]))
        self.add.clicked.connect(self.allow)
        self.addresses.returnPressed.connect(self.allow)
        self.remove.clicked.connect(self._remove)
        self.callers.itemSelectionChanged.connect(self._enable)
        self._site.changed.connect(self._site_changed)  # a method of this widget: the settings outlive it

    def _site_changed(self, names: frozenset[str]) -> None:
        if "receiver" in names:
            self._show_values()

    @property
    def _value(self) -> ReceiverSettings:
        return self._site.value.receiver

    def allow(self) -> None:
        """Allow the sender that is written in the two fields."""
        addresses = tuple(self.addresses.text().replace(",", " ").split())
        try:
            caller = Caller(self.caller.text().strip(), addresses)
        except AicoronaError as error:
            self._say(str(error))
            return
        others = tuple(one for one in self._value.callers if one.ae_title != caller.ae_title)
        if self._take(callers=(*others, caller)):
            self.caller.clear()
            self.addresses.clear()
            self.caller.setFocus()

    def _remove(self) -> None:
        row = self.callers.currentRow()
        if row >= 0:
            self._take(callers=tuple(one for number, one in enumerate(self._value.callers) if number != row))

    def _take(self, **new: Any) -> bool:
        try:
            value = replace(self._value, **new)
        except AicoronaError as error:
            self._say(str(error))
            self._show_values()
            return False
        self._say("")
        self._site.change(receiver=value)
        return True

    def _say(self, sentence: str) -> None:
        self.trouble.setText(sentence)
        self.trouble.setVisible(bool(sentence))

    def _show_values(self) -> None:
        value = self._value
        for editor in (self.on, self.title, self.port, self.bind):
            editor.blockSignals(True)
        self.on.setChecked(value.on)
        self.title.setText(value.ae_title)
        self.port.setValue(value.port)
        index = self.bind.findData(value.bind)
        self.bind.setCurrentIndex(index)
        if index < 0:
            self.bind.setEditText(value.bind)
        for editor in (self.on, self.title, self.port, self.bind):
            editor.blockSignals(False)
        self._show_callers()
        self.reach.setText(reach_words(value))
        self.test.setText(echo_words(value))
        self._show_state()

    def _show_callers(self) -> None:
        with QSignalBlocker(self.callers):
            self.callers.setRowCount(len(self._value.callers))
            for row, caller in enumerate(self._value.callers):
                where = ", ".join(caller.addresses) or translate("Receiver", "any address")
                for column, text in enumerate((caller.ae_title, where)):
                    self.callers.setItem(row, column, QTableWidgetItem(text))
        self._enable()

    def _show_state(self) -> None:
        state = self._state()
        text = state_words(state)
        self.standing.setText(text)
        self.standing.setVisible(bool(text))

    def _enable(self) -> None:
        chosen = bool(self.callers.selectedItems())
        self.remove.setEnabled(chosen)
        self.remove.setToolTip("" if chosen else translate("Receiver", "Choose a sender in the list first."))


def reach_words(value: ReceiverSettings) -> str:
    """Return what the address that is listened on means, and what is missing."""
    if not value.callers:
        return translate("Receiver", "No sender is allowed yet: every call is turned away.")
    if value.is_local:
        return translate("Receiver", "Programs of this computer alone can reach the receiver.")
    return translate(
        "Receiver",
        "Other computers of the network can reach this port, and what they send travels unencrypted. An AE title can "
        "be made up by anybody: give each sender its address, and let the firewall of this computer allow those alone.",
    )


def echo_words(value: ReceiverSettings) -> str:
    """Return how to find out whether a sender reaches the receiver."""
    words = translate(
        "Receiver",
        "To test it, have the sender verify this destination (“C-ECHO”, “DICOM ping”): AE title {title}, port {port}, "
        "the address of this computer. A sender that is not in the list is told that its AE title is not recognised.",
    )
    return words.format(title=value.ae_title, port=value.port)


def state_words(state: ReceiverState) -> str:
    """Return in a few words how the receiver stands; "" while it is off."""
    if state.sentence:
        return state.sentence
    if state.standing is ReceiverStanding.STARTING:
        return translate("Receiver", "The receiver starts")
    if state.standing is ReceiverStanding.LISTENING:
        words = translate("Receiver", "Receiving on port {port}: %n object(s) today", "", state.objects_today)
        return words.replace("{port}", str(state.port))
    return ""


def _table(parent: QWidget) -> QTableWidget:
    table = QTableWidget(0, 2, parent)
    table.setAccessibleName(translate("Receiver", "Allowed senders"))
    table.setHorizontalHeaderLabels(
        [translate("Receiver", "Sender (AE title)"), translate("Receiver", "May call from")]
    )
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
    table.verticalHeader().hide()
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setTabKeyNavigation(False)
    table.setFixedHeight(table.fontMetrics().lineSpacing() * 7)
    return table


def _words(parent: QWidget) -> QLabel:
    label = plain(QLabel(parent))
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
