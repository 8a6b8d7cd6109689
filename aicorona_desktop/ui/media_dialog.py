"""A disc or stick with DICOM was put in: asks once whether it is to be read (issue 12)."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication, Signal
from PySide6.QtWidgets import QCheckBox, QDialogButtonBox, QLabel, QWidget

from aicorona_desktop.intake.media import Medium, MediumKind, MediumLook
from aicorona_desktop.ui.dialogs import Sheet
from aicorona_desktop.ui.plain import plain
from aicorona_desktop.ui.worklist_words import number_text

translate = QCoreApplication.translate

MB = 1_000_000
GB = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MediumSeen:
    """A medium that has come, its fingerprint, and what a quick look at it found."""

    medium: Medium
    fingerprint: str
    look: MediumLook


class MediumSheet(Sheet):
    """Names the medium and what is on it; `answered` says whether to read it, and whether never to ask again."""

    answered = Signal(bool, bool)  # read it, don't ask about this kind any more

    def __init__(self, seen: MediumSeen, parent: QWidget | None = None, *, covered: bool = False) -> None:
        """`covered`: names are hidden, and people put patients' names on discs."""
        super().__init__(title_words(seen.medium.kind), parent, (62, 12))
        self.seen = seen
        self.add_heading(question_words(seen, covered=covered))
        self.explained = plain(QLabel(explained_words(seen.medium.kind), self))
        self.explained.setWordWrap(True)
        self.body.addWidget(self.explained)
        self.body.addStretch(1)
        self.never = QCheckBox(never_words(seen.medium.kind), self)
        self.body.addWidget(self.never)
        box = QDialogButtonBox(self)
        self.read = box.addButton(translate("MediumSheet", "Import"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.later = box.addButton(translate("MediumSheet", "Not now"), QDialogButtonBox.ButtonRole.RejectRole)
        self.read.setDefault(True)
        box.accepted.connect(self.accept)
        box.rejected.connect(self.reject)
        self.body.addWidget(box)
        self.never.toggled.connect(lambda never: self.read.setEnabled(not never))
        self.finished.connect(lambda result: self.answered.emit(bool(result), self.never.isChecked()))
        self.read.setFocus()


def title_words(kind: MediumKind) -> str:
    """Return the title of the question."""
    if kind is MediumKind.DISC:
        return translate("MediumSheet", "A disc was put in")
    return translate("MediumSheet", "A stick or card was put in")


def question_words(seen: MediumSeen, *, covered: bool = False) -> str:
    """Return the question: how much is on which medium."""
    look, kind = seen.look, seen.medium.kind
    of_disc = kind is MediumKind.DISC
    if covered or not seen.medium.label:
        name = translate("MediumSheet", "this disc") if of_disc else translate("MediumSheet", "this stick")
    else:
        form = translate("MediumSheet", "disc “{name}”") if of_disc else translate("MediumSheet", "stick “{name}”")
        name = form.replace("{name}", seen.medium.shown)
    if look.whole:
        words = translate("MediumSheet", "Import {count} files ({size}) from {medium}?")
    else:
        words = translate("MediumSheet", "Import more than {count} files (over {size}) from {medium}?")
    return words.format(count=number_text(look.files), size=size_words(look.size_bytes), medium=name)


def explained_words(kind: MediumKind) -> str:
    """Return what importing does, and what it doesn't."""
    if kind is MediumKind.DISC:
        return translate(
            "MediumSheet",
            "It holds DICOM images. They are copied to this computer first; then the disc can be taken out."
            " It is only read: nothing on it is started, and nothing is written to it.",
        )
    return translate(
        "MediumSheet",
        "It holds DICOM images. They are copied to this computer first; then the stick can be taken out."
        " It is only read: nothing on it is started, changed or deleted.",
    )


def never_words(kind: MediumKind) -> str:
    """Return the words of the box that ends the asking."""
    if kind is MediumKind.DISC:
        return translate("MediumSheet", "Don't ask about discs any more (Settings, Intake brings it back)")
    return translate("MediumSheet", "Don't ask about sticks any more (Settings, Intake brings it back)")


def size_words(size_bytes: int) -> str:
    """Return a size as people read it."""
    if size_bytes >= GB:
        return f"{size_bytes / GB:.1f} GB"
    return f"{max(1, round(size_bytes / MB))} MB"
