"""Every key of the program on one sheet, made from the actions, with a search."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication, Qt
from PySide6.QtWidgets import QHeaderView, QLineEdit, QTreeWidget, QTreeWidgetItem, QWidget

from aicorona_desktop.ui.actions import EVERYWHERE, HISTORY, VERIFICATION, VIEWER, WORKLIST, Actions
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.help_sheet import place_words, shown_keys

PLACES = (EVERYWHERE, WORKLIST, VIEWER, HISTORY, VERIFICATION)
NAME_ROLE = Qt.ItemDataRole.UserRole


class KeySheet(Sheet):
    """The keys by place; typing narrows them down."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        title = QCoreApplication.translate("KeySheet", "Keys")
        super().__init__(title, parent, (120, 34))
        self.search = QLineEdit(self, placeholderText=QCoreApplication.translate("KeySheet", "Search"))
        self.search.setAccessibleName(QCoreApplication.translate("KeySheet", "Search the keys"))
        self.search.setClearButtonEnabled(True)
        self.tree = KeyTree(actions, self)
        self.search.textChanged.connect(self.tree.narrow)
        self.body.addWidget(self.search)
        self.body.addWidget(self.tree, 1)
        self.add_close()


class KeyTree(QTreeWidget):
    """Actions below their places, with keys and what they do; the name of the action is kept beside its words."""

    def __init__(self, actions: Actions, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._actions = actions
        self.setColumnCount(3)
        self.setHeaderLabels(
            [
                QCoreApplication.translate("KeySheet", "Action"),
                QCoreApplication.translate("KeySheet", "Keys"),
                QCoreApplication.translate("KeySheet", "What it does"),
            ]
        )
        self.setAccessibleName(QCoreApplication.translate("KeySheet", "Actions and keys"))
        self.setRootIsDecorated(False)
        self.setItemsExpandable(False)
        self.setIndentation(0)
        self.setUniformRowHeights(True)
        self.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self.fill()
        actions.keys_changed.connect(self.fill)

    def fill(self) -> None:
        """List everything anew."""
        chosen = self.chosen()
        self.clear()
        for place in PLACES:
            specs = self._actions.of(place)
            if not specs:
                continue
            top = QTreeWidgetItem(self, [place_words(place)])
            top.setFirstColumnSpanned(True)
            font = top.font(0)
            font.setBold(True)
            top.setFont(0, font)
            for spec in specs:
                words = self._actions.text(spec.name).rstrip("…")
                tip = QCoreApplication.translate("actions", spec.tooltip)
                item = QTreeWidgetItem(top, [f"   {words}", shown_keys(self._actions, spec.name), tip])
                item.setData(0, NAME_ROLE, spec.name)
                if spec.name == chosen:
                    self.setCurrentItem(item)
        self.expandAll()

    def narrow(self, text: str) -> None:
        """Show only what holds a text in any column; a place without such an action goes."""
        wanted = text.casefold()
        for number in range(self.topLevelItemCount()):
            top = self.topLevelItem(number)
            if top is None:
                continue
            items = [item for index in range(top.childCount()) if (item := top.child(index)) is not None]
            for item in items:
                item.setHidden(not any(wanted in item.text(column).casefold() for column in range(3)))
            top.setHidden(all(item.isHidden() for item in items))

    def chosen(self) -> str | None:
        """Return the name of the action in the chosen row."""
        item = self.currentItem()
        return item.data(0, NAME_ROLE) if item is not None else None
