"""Menus whose greyed entries say why they are greyed, under the pointer and under the keys (ux.md 13)."""

from __future__ import annotations

from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QToolTip, QWidget


class TellingMenu(QMenu):
    """A menu that shows what an entry does, or why it can't be done now."""

    def __init__(self, parent: QWidget, title: str = "") -> None:
        super().__init__(title, parent)
        self.setToolTipsVisible(True)
        self.hovered.connect(self._tell)

    def _tell(self, action: QAction) -> None:
        """Say at once why an entry is greyed: the keys, unlike the pointer, don't rest on it."""
        if action.isEnabled() or action.isSeparator():
            QToolTip.hideText()
        else:
            QToolTip.showText(self.mapToGlobal(self.actionGeometry(action).bottomLeft()), action.toolTip(), self)
