"""A hidden screen for every test of the window; the window itself over a folder of its own, with the real engine."""

from __future__ import annotations

import os

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.services import Wishes
from aicorona_desktop.core.imports import ImportSummary
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.user_settings import UserSettings, save_user_settings
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.ui.main_window import MainWindow

NOT_OURS = "This plugin does not support propagateSizeHints"  # the hidden screen's own


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A warning of Qt is a fault of ours: it fails the test in which it is said."""
    for item in items:
        if "tests/ui/" in item.path.as_posix():
            item.add_marker(pytest.mark.qt_log_level_fail("WARNING"))
            item.add_marker(pytest.mark.qt_log_ignore(NOT_OURS))


@pytest.fixture(scope="session")
def pack_sha256() -> str:
    return default_pack().sha256


@pytest.fixture
def site() -> Settings:
    """The site's settings that `window` starts with; a test may override this."""
    return Settings(provider="cpu", quiet_time_s=1, poll_s=0.3)


@pytest.fixture
def open_window(qtbot: QtBot, tmp_path: Path, site: Settings, pack_sha256: str) -> Iterator[Callable[..., MainWindow]]:
    """Open a window over the test's folder, once more after the first was closed; the notice is acknowledged."""
    windows: list[MainWindow] = []
    folder = tmp_path / "program"
    folder.mkdir()
    save_user_settings(UserSettings(initials="T").with_acknowledged(pack_sha256), folder)

    def opened(wait: bool = True, **settings: Any) -> MainWindow:
        wishes = Wishes(history=folder / "history.sqlite", settings=replace(site, **settings))
        window = MainWindow(wishes, folder)
        windows.append(window)
        window.resize(1280, 720)
        if wait:
            with qtbot.waitSignal(window.ready, timeout=30_000):
                window.show()
        else:
            window.show()
        return window

    yield opened
    for window in windows:
        window.close()
        window.deleteLater()
    QApplication.processEvents()


@pytest.fixture
def window(open_window: Callable[..., MainWindow]) -> MainWindow:
    """The window, with its services and places."""
    return open_window()


@pytest.fixture
def dropped(qtbot: QtBot, window: MainWindow) -> Callable[..., ImportSummary]:
    """Drop files and folders on the window; return the summary of the import, with the studies scored."""

    def drop(*paths: Path, scored: bool = True, timeout_ms: int = 60_000) -> ImportSummary:
        with qtbot.waitSignal(window.bridge.import_done, timeout=timeout_ms) as done:
            drop_on(window, *paths)
        engine = window.context.running.engine if window.context else None
        if scored and engine is not None:
            qtbot.waitUntil(lambda: engine.wait_until_idle(0), timeout=timeout_ms)
            window.bridge.flush()
        summary = done.args[0].summary
        assert isinstance(summary, ImportSummary)
        return summary

    return drop


def drop_on(window: MainWindow, *paths: Path) -> bool:
    """Drag paths into a window and let go; return whether it took them."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    buttons, keys, actions = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, Qt.DropAction.CopyAction
    enter = QDragEnterEvent(QPoint(300, 300), actions, mime, buttons, keys)
    QApplication.sendEvent(window, enter)
    if not enter.isAccepted():
        return False
    drop = QDropEvent(QPointF(300, 300), actions, mime, buttons, keys)
    QApplication.sendEvent(window, drop)
    return drop.isAccepted()


@pytest.fixture
def dropped_on(qtbot: QtBot) -> Callable[..., ImportSummary]:
    """Drop files and folders on a window of the test's own; return the summary, with the studies scored."""

    def drop(window: MainWindow, *paths: Path, timeout_ms: int = 60_000) -> ImportSummary:
        with qtbot.waitSignal(window.bridge.import_done, timeout=timeout_ms) as done:
            drop_on(window, *paths)
        engine = window.context.running.engine if window.context else None
        assert engine is not None
        qtbot.waitUntil(lambda: engine.wait_until_idle(0), timeout=timeout_ms)
        window.bridge.flush()
        summary = done.args[0].summary
        assert isinstance(summary, ImportSummary)
        return summary

    return drop
