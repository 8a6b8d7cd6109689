"""Foreign text on the screen: shown letter by letter, never taken for markup."""

from __future__ import annotations

import html

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel


def plain(label: QLabel) -> QLabel:
    """Have a label show its text as it is: names of patients, files and folders may look like markup."""
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def plain_tip(text: str) -> str:
    """Return a text for a tooltip, where Qt guesses whether it is markup."""
    return f"<qt>{html.escape(text)}</qt>" if "<" in text else text
