"""The ways in that ask with a dialog: a folder, files, a disc, a folder to watch."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QCoreApplication, QObject, QStorageInfo, Signal
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog, QListWidget, QListWidgetItem, QWidget

from aicorona_desktop.intake.media import medium_at
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.dialogs import Sheet

translate = QCoreApplication.translate

NOT_A_DISC = frozenset({"tmpfs", "devtmpfs", "overlay", "squashfs", "proc", "sysfs", "efivarfs", "autofs", "ramfs"})


class Intake(QObject):
    """Asks where the files lie; `wanted` names them, `disc_wanted` a disc, `watch_wanted` a folder to look into."""

    wanted = Signal(object)  # tuple[Path, ...]
    disc_wanted = Signal(object)  # intake.media.Medium
    watch_wanted = Signal(object)  # Path
    refused = Signal(str)

    def __init__(self, window: QWidget, actions: Actions) -> None:
        super().__init__(window)
        self._window = window
        actions["open_folder"].triggered.connect(self._ask_folder)
        actions["open_files"].triggered.connect(self._ask_files)
        actions["import_disc"].triggered.connect(self.ask_disc)
        actions["watch_folder"].triggered.connect(self._ask_watch)

    def ask_disc(self) -> DiscSheet:
        """Show the discs that are there."""
        sheet = DiscSheet(discs(), self._window)
        sheet.chosen.connect(lambda path: self.wanted.emit((path,)))
        sheet.disc_chosen.connect(lambda path: self.disc_wanted.emit(medium_at(path)))
        sheet.open()
        return sheet

    def _ask_folder(self) -> None:
        dialog = self._dialog(translate("Intake", "Open folder"), QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda path: self.wanted.emit((Path(path),)))
        dialog.open()

    def _ask_files(self) -> None:
        dialog = self._dialog(translate("Intake", "Open files"), QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(lambda paths: self.wanted.emit(tuple(map(Path, paths))))
        dialog.open()

    def _ask_watch(self) -> None:
        dialog = self._dialog(translate("Intake", "Watch a folder"), QFileDialog.FileMode.Directory)
        dialog.fileSelected.connect(lambda path: self.watch_wanted.emit(Path(path)))
        dialog.open()

    def _dialog(self, title: str, mode: QFileDialog.FileMode) -> QFileDialog:
        dialog = QFileDialog(self._window, title)
        dialog.setFileMode(mode)
        if mode is QFileDialog.FileMode.Directory:
            dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.finished.connect(dialog.deleteLater)
        return dialog


class DiscSheet(Sheet):
    """The discs and sticks in this computer, and a way to an image file or another folder."""

    chosen = Signal(object)  # Path of an image or archive
    disc_chosen = Signal(object)  # Path of a disc, or of a folder to be copied like one

    def __init__(self, found: tuple[tuple[Path, str], ...], parent: QWidget | None = None) -> None:
        title = translate("Intake", "Import disc")
        super().__init__(title, parent, (70, 18))
        self.add_heading(
            translate("Intake", "Which disc is to be read? It is copied to this computer, and never written to.")
        )
        self.list = QListWidget(self)
        self.list.setAccessibleName(translate("Intake", "Discs in this computer"))
        for path, words in found:
            item = QListWidgetItem(words, self.list)
            item.setData(PATH_ROLE, str(path))
        self.list.itemActivated.connect(self._take_item)
        self.body.addWidget(self.list, 1)
        box = QDialogButtonBox(self)
        self.read = box.addButton(translate("Intake", "Read"), QDialogButtonBox.ButtonRole.AcceptRole)
        image = box.addButton(translate("Intake", "Disc image or archive…"), QDialogButtonBox.ButtonRole.ActionRole)
        folder = box.addButton(translate("Intake", "Folder…"), QDialogButtonBox.ButtonRole.ActionRole)
        box.addButton(translate("Intake", "Cancel"), QDialogButtonBox.ButtonRole.RejectRole)
        self.read.clicked.connect(self._take)
        image.clicked.connect(self._ask_image)
        folder.clicked.connect(self._ask_folder)
        box.rejected.connect(self.reject)
        self.body.addWidget(box)
        if found:
            self.list.setCurrentRow(0)
        else:
            self.read.setEnabled(False)
            self.read.setToolTip(translate("Intake", "No disc or stick was found in this computer."))

    def _take(self) -> None:
        item = self.list.currentItem()
        if item is not None:
            self._take_item(item)

    def _take_item(self, item: QListWidgetItem) -> None:
        self._choose_disc(Path(item.data(PATH_ROLE)))

    def _ask_image(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, translate("Intake", "Disc image or archive"), "", "ISO, ZIP (*.iso *.ISO *.zip *.ZIP);;* (*)"
        )
        if path:
            self._choose(Path(path))

    def _ask_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, translate("Intake", "Folder"))
        if path:
            self._choose_disc(Path(path))

    def _choose_disc(self, path: Path) -> None:
        self.disc_chosen.emit(path)
        self.accept()

    def _choose(self, path: Path) -> None:
        self.chosen.emit(path)
        self.accept()


def discs() -> tuple[tuple[Path, str], ...]:
    """Return the mounted volumes beside the system's own, each with its name, place and size."""
    found = []
    for volume in QStorageInfo.mountedVolumes():
        kind = bytes(volume.fileSystemType().data()).decode("ascii", "replace")
        if not volume.isReady() or volume.isRoot() or kind in NOT_A_DISC or not volume.bytesTotal():
            continue
        words = f"{volume.displayName()}   {volume.rootPath()}   {volume.bytesTotal() / 1e9:.1f} GB"
        found.append((Path(volume.rootPath()), words))
    return tuple(found)


PATH_ROLE = 0x0100  # Qt.ItemDataRole.UserRole
