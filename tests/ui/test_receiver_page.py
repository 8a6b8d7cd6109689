"""The receiver in the settings and in the footer, over the real program."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QTableWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.receiving import Caller, ReceiverSettings, ReceiverStanding, ReceiverState
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.ui.choices import SiteChoices
from aicorona_desktop.ui.jobs import Jobs
from aicorona_desktop.ui.main_window import MainWindow
from aicorona_desktop.ui.receiver_page import ReceiverPage, reach_words, state_words
from aicorona_desktop.ui.settings_dialog import SettingsDialog
from tests.receive.sending import free_port


@pytest.fixture
def page(qtbot: QtBot, tmp_path: Path, window: MainWindow) -> ReceiverPage:
    dialog = window.open_settings("intake")
    assert isinstance(dialog, SettingsDialog)
    qtbot.waitExposed(dialog)
    return dialog.receiver


def allow(page: ReceiverPage, title: str, address: str) -> None:
    page.caller.setText(title)
    page.addresses.setText(address)
    QTest.mouseClick(page.add, Qt.MouseButton.LeftButton)


def shown(table: QTableWidget) -> list[tuple[str, str]]:
    return [
        (table.item(row, 0).text(), table.item(row, 1).text())  # type: ignore[union-attr]
        for row in range(table.rowCount())
    ]


def test_it_is_off_and_takes_from_nobody_as_shipped(page: ReceiverPage, window: MainWindow) -> None:
    assert not page.on.isChecked()
    assert "every call is turned away" in page.reach.text()
    assert window.footer.words()["receiver"] == ""


def test_a_sender_is_allowed_and_the_receiver_switched_on_and_the_footer_says_where(
    qtbot: QtBot, page: ReceiverPage, window: MainWindow
) -> None:
    port = free_port()
    page.port.setValue(port)
    allow(page, "CT1", "10.1.2.3, 10.1.3.0/24")
    page.on.setChecked(True)

    assert shown(page.callers) == [("CT1", "10.1.2.3, 10.1.3.0/24")]
    assert window.site.value.receiver == ReceiverSettings(
        True, port=port, callers=(Caller("CT1", ("10.1.2.3", "10.1.3.0/24")),)
    )
    words = f"Receiving on port {port}: 0 object(s) today"
    qtbot.waitUntil(lambda: window.footer.words()["receiver"] == words, timeout=20_000)
    assert page.standing.text() == words
    assert window.footer.words()["folders"] == "No folder watched"  # the inbox is ours

    page.on.setChecked(False)
    qtbot.waitUntil(lambda: window.footer.words()["receiver"] == "", timeout=20_000)


def test_a_port_in_use_is_said_with_the_next_step_and_tried_again_when_it_is_free(
    qtbot: QtBot, page: ReceiverPage, window: MainWindow
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        page.port.setValue(other.getsockname()[1])
        page.on.setChecked(True)
        qtbot.waitUntil(lambda: "in use by another program" in window.footer.words()["receiver"], timeout=20_000)
        assert "Choose another port" in page.standing.text()
        assert "in use by another program" in window.notices.sentences()["receiver"]

    qtbot.waitUntil(lambda: window.footer.words()["receiver"].startswith("Receiving on port"), timeout=20_000)
    assert "receiver" not in window.notices.sentences()


def test_what_can_not_be_used_is_said_and_changes_nothing(page: ReceiverPage, window: MainWindow) -> None:
    before = window.site.value.receiver
    for title, address in (("", ""), ("CT1", "not an address")):
        allow(page, title, address)
        assert page.trouble.isVisible()
        assert page.caller.text() == title
    page.title.setText("")
    page.title.editingFinished.emit()
    assert page.title.text() == before.ae_title
    line = page.bind.lineEdit()
    assert line is not None
    line.setText("nowhere")
    line.editingFinished.emit()

    assert window.site.value.receiver == before


def test_a_sender_is_removed(page: ReceiverPage, window: MainWindow) -> None:
    for name in ("CT1", "CT2"):
        allow(page, name, "")
    assert not page.remove.isEnabled()
    page.callers.selectRow(0)
    QTest.mouseClick(page.remove, Qt.MouseButton.LeftButton)

    assert [one.ae_title for one in window.site.value.receiver.callers] == ["CT2"]


def test_what_listening_for_the_network_means_stands_beside_the_choice() -> None:
    anybody = (Caller("CT1"),)

    assert "this computer alone" in reach_words(ReceiverSettings(callers=anybody)).lower()
    assert "unencrypted" in reach_words(ReceiverSettings(bind="0.0.0.0", callers=anybody))


def test_a_trouble_stands_before_the_count() -> None:
    state = ReceiverState(ReceiverStanding.LISTENING, 104, 5, sentence="No room.")

    assert state_words(state) == "No room."


def test_the_page_shows_what_another_place_changes(qtbot: QtBot, tmp_path: Path, window: MainWindow) -> None:
    jobs = Jobs()
    site = SiteChoices(Settings(), tmp_path, jobs)
    page = ReceiverPage(site, window.theme, window)
    site.change(receiver=ReceiverSettings(ae_title="OTHER", port=104, bind="10.0.0.1"))

    assert (page.title.text(), page.port.value(), page.bind.currentText()) == ("OTHER", 104, "10.0.0.1")
    assert jobs.close()


def test_a_second_place_for_backups_is_used_at_once(
    qtbot: QtBot, tmp_path: Path, window: MainWindow, open_window: Callable[..., MainWindow]
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    window.site.change(backup_also_to=stick)

    qtbot.waitUntil(lambda: any(one.suffix == ".sqlite3" for one in stick.iterdir()), timeout=10_000)
