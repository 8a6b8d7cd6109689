from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from PySide6.QtCore import QByteArray, QEvent, Qt
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtWidgets import QApplication, QComboBox, QListWidgetItem, QPushButton
from pytestqt.qtbot import QtBot

from aicorona_desktop.core.events import WatchedFolder, WatchState
from aicorona_desktop.core.rows import Row, State
from aicorona_desktop.core.settings import Order, Settings, SettingsError, load_settings
from aicorona_desktop.core.sources import WatchedSource
from aicorona_desktop.core.user_settings import MouseScheme, Preset, Theme, UserSettings, load_user_settings
from aicorona_desktop.ui import settings_pages as pages
from aicorona_desktop.ui.actions import VIEWER, Actions
from aicorona_desktop.ui.choices import LANE, SiteChoices, UserChoices
from aicorona_desktop.ui.identity import CODE_LENGTH, Identities, shown_name, site_key
from aicorona_desktop.ui.jobs import Jobs
from aicorona_desktop.ui.mouse_editor import MouseEditor
from aicorona_desktop.ui.preset_editor import PresetEditor
from aicorona_desktop.ui.settings_dialog import KeyEditor, SettingsDialog
from aicorona_desktop.ui.theme import ThemeKeeper
from aicorona_desktop.ui.watched_folders import WatchedFolders


class Room:
    """The settings with what they need, and a dialog over them."""

    def __init__(self, qapp: QApplication, folder: Path) -> None:
        self.folder = folder
        self.jobs = Jobs()
        self.site = SiteChoices(Settings(), folder, self.jobs)
        self.user = UserChoices.load(folder, self.jobs)
        self.actions = Actions()
        self.keeper = ThemeKeeper(qapp, self.user)

    def dialog(self, qtbot: QtBot, group: str = pages.INTAKE) -> SettingsDialog:
        dialog = SettingsDialog(
            site=self.site,
            user=self.user,
            actions=self.actions,
            keeper=self.keeper,
            facts={"Device": "CPU"},
            group=group,
        )
        qtbot.addWidget(dialog)
        dialog.show()
        return dialog

    def kept(self) -> None:
        """Wait until the disk has what was changed."""
        assert self.jobs.close()
        self.user.flush()
        self.site.flush()


@pytest.fixture
def room(qapp: QApplication, tmp_path: Path) -> Iterator[Room]:
    room = Room(qapp, tmp_path)
    yield room
    room.user.value = UserSettings()
    room.keeper.apply()
    assert room.jobs.close()


# --- the values ------------------------------------------------------------------------------------------------------


def test_a_change_is_told_and_kept_under_its_name(qtbot: QtBot, room: Room):
    heard: list[frozenset[str]] = []
    room.site.changed.connect(heard.append)
    room.site.change(wait_cap_minutes=90, order=Order.COVID)

    assert heard == [frozenset({"wait_cap_minutes"})]
    qtbot.waitUntil(lambda: load_settings(room.folder).wait_cap_minutes == 90)


def test_a_change_right_before_the_end_is_kept(room: Room):
    room.jobs.run(lambda: time.sleep(0.2), lambda _: None, lane=LANE)  # the disk is slow
    room.site.change(wait_cap_minutes=90)
    room.user.change(initials="AB")
    room.kept()

    assert load_settings(room.folder).wait_cap_minutes == 90
    assert load_user_settings(room.folder).initials == "AB"


def test_a_value_out_of_its_range_changes_nothing(room: Room):
    with pytest.raises(SettingsError, match="wait cap"):
        room.site.change(wait_cap_minutes=5)

    assert room.site.value == Settings()


def test_what_the_user_arranged_comes_back(room: Room):
    room.user.remember("worklist/columns", QByteArray(b"\x00\xff columns"))
    room.kept()

    again = UserChoices.load(room.folder, Jobs())
    assert again.recalled("worklist/columns").data() == b"\x00\xff columns"
    assert again.recalled("nothing of this name").isEmpty()


def test_a_damaged_arrangement_is_none(room: Room):
    room.user.value = room.user.value.with_layout("window", "not base64!")

    assert room.user.recalled("window").isEmpty()


# --- the dialog ------------------------------------------------------------------------------------------------------


def test_every_setting_names_a_field_has_words_and_shows_its_value(qtbot: QtBot, room: Room):
    dialog = room.dialog(qtbot)

    for name, row in dialog.rows.items():
        assert row.setting.words
        assert row.setting.explained
        assert row.editor.accessibleName() == row.setting.words
        assert row.value() == getattr(Settings() if row.setting.of_site else UserSettings(), name)
        assert not row.mark.isHidden()
        assert row.restore.isHidden()


def test_a_change_takes_effect_at_once_and_can_be_restored(qtbot: QtBot, room: Room):
    dialog = room.dialog(qtbot, pages.ORDER)
    row = dialog.rows["wait_cap_minutes"]
    row.editor.setValue(120)
    assert room.site.value.wait_cap_minutes == 120
    assert isinstance(room.site.value.wait_cap_minutes, int)
    assert row.mark.isHidden()

    qtbot.mouseClick(row.restore, Qt.MouseButton.LeftButton)
    assert room.site.value.wait_cap_minutes == 60
    assert row.editor.value() == 60


def test_a_choice_stores_the_key_and_not_the_words(qtbot: QtBot, room: Room):
    dialog = room.dialog(qtbot, pages.KEYS)
    combo = dialog.rows["mouse_scheme"].editor
    assert isinstance(combo, QComboBox)

    combo.setCurrentIndex(1)
    combo.activated.emit(1)
    room.kept()

    assert load_user_settings(room.folder).mouse_scheme is MouseScheme.SCROLL_ON_LEFT


def test_the_window_follows_a_change_from_elsewhere(qtbot: QtBot, room: Room):
    dialog = room.dialog(qtbot, pages.LOOK)

    room.user.change(text_percent=120, theme=Theme.DARK)

    assert dialog.rows["text_percent"].editor.value() == 120
    assert dialog.rows["theme"].editor.currentText() == "Dark"


def test_a_search_finds_settings_of_every_group_by_their_words(qtbot: QtBot, room: Room):
    dialog = room.dialog(qtbot)
    assert set(dialog.shown_settings()) == {
        *("quiet_time_s", "poll_s", "copy_files", "ask_for_discs", "ask_for_sticks"),
    }

    dialog.search.setText("wait cap")
    assert dialog.shown_settings() == ("wait_cap_minutes",)

    dialog.search.clear()
    assert set(dialog.shown_settings()) == {
        *("quiet_time_s", "poll_s", "copy_files", "ask_for_discs", "ask_for_sticks"),
    }


def test_folders_to_watch_are_added_and_taken_away(qtbot: QtBot, room: Room, tmp_path: Path):
    folders = WatchedFolders(room.site, room.keeper, room.dialog(qtbot))
    folders.add(tmp_path / "CT")
    folders.add(tmp_path / "MR")
    folders.add(tmp_path / "CT")
    assert [one.folder for one in room.site.value.watched] == [tmp_path / "CT", tmp_path / "MR"]

    folders.list.setCurrentRow(0)
    folders.remove.click()
    assert [one.folder for one in room.site.value.watched] == [tmp_path / "MR"]


def sign_of(item: QListWidgetItem) -> QImage:
    """The sign beside the words of a folder."""
    assert not item.icon().isNull()
    return item.icon().pixmap(24, 24).toImage()


def test_each_folder_is_watched_in_its_own_way_and_says_how_it_stands(qtbot: QtBot, room: Room, tmp_path: Path):
    folders = WatchedFolders(room.site, room.keeper, room.dialog(qtbot))
    now, looked = datetime(2026, 11, 24, 9, 30, tzinfo=UTC), []
    states = [WatchedFolder(tmp_path / "CT", WatchState.WATCHING, now, files=412, last_at=now, arriving=3)]
    folders.follow(lambda: tuple(states), room.keeper.changed, lambda: looked.append(1))
    folders.add(tmp_path / "CT")
    assert "412 file(s) taken" in folders.list.item(0).text()
    assert "3 file(s) arriving" in folders.list.item(0).text()

    folders.copied.click()
    folders.quiet.setValue(60)
    folders.every.setValue(20)
    folders.label.setText("Scanner 1")
    folders.label.editingFinished.emit()
    wanted = WatchedSource(tmp_path / "CT", "Scanner 1", copied=False, quiet_time_s=60.0, look_every_s=20.0)
    assert room.site.value.watched == (wanted,)

    folders.quiet.setValue(folders.quiet.minimum())
    assert room.site.value.watched == (replace(wanted, quiet_time_s=None),)
    folders.look.click()
    assert looked
    watching = sign_of(folders.list.item(0))
    for state, words in ((WatchState.LOST, "Cannot be reached"), (WatchState.REFUSED, "Access refused")):
        states[0] = replace(states[0], state=state)
        room.keeper.changed.emit()
        assert sign_of(folders.list.item(0)) != watching
        assert words in folders.list.item(0).text()


def test_a_new_key_is_pressed_by_its_place_and_kept_and_one_in_use_is_refused(qtbot: QtBot, room: Room):
    editor = KeyEditor(room.actions, room.user, room.dialog(qtbot))
    items = editor.tree.findItems("Fit", Qt.MatchFlag.MatchContains | Qt.MatchFlag.MatchRecursive)
    editor.tree.setCurrentItem(next(item for item in items if item.text(0).strip() == "Fit"))
    refused: list[str] = []
    editor.refused.connect(refused.append)

    qtbot.keyClick(editor.field, Qt.Key.Key_I)
    assert refused
    assert "Invert" in refused[0]

    qtbot.keyClick(editor.field, Qt.Key.Key_Z)
    assert room.actions.find("Z", VIEWER) == "viewer.fit"
    assert room.user.own_keys() == {"viewer.fit": ("Z",)}

    press = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Backspace, Qt.KeyboardModifier.NoModifier)
    QApplication.sendEvent(editor.field, press)
    assert room.actions.keys("viewer.fit") == ()


def test_presets_can_be_changed_and_added_but_not_that_of_the_model(qtbot: QtBot, room: Room):
    editor = PresetEditor(room.user, room.dialog(qtbot))
    editor.list.setCurrentRow(0)  # lung
    editor.width_field.setValue(1450)
    editor.keep()
    assert room.user.value.presets == (Preset("lung", 1450, -600, "1"),)

    editor.name.setText("Trachea")
    editor.keep()
    assert [one.name for one in room.user.value.presets] == ["lung", "Trachea"]

    editor.list.setCurrentRow(7)  # as the model sees it
    editor.keep()
    assert "cannot be changed" in editor.words.text()
    assert len(room.user.value.presets) == 2


def test_an_own_preset_fills_a_free_key_and_a_key_in_use_is_refused_with_its_holder(qtbot: QtBot, room: Room):
    editor = PresetEditor(room.user, room.dialog(qtbot))
    editor.name.setText("Trachea")
    editor.keep()
    assert room.user.value.presets[-1].key == "Shift+1"

    editor.key.setCurrentIndex(editor.key.findData("3"))
    editor.keep()
    assert "Bone" in editor.words.text()
    assert room.user.value.presets[-1].key == "Shift+1"

    editor.list.setCurrentRow(editor.list.count() - 1)
    assert editor.take_back.text() == "Remove preset"
    editor.take_back.click()
    assert room.user.value.presets == ()

    editor.list.setCurrentRow(7)
    assert "exactly what was given to the model" in editor.words.text().lower()
    assert not editor.take_back.isEnabled()


def test_a_single_binding_is_changed_refused_when_taken_and_restored(qtbot: QtBot, room: Room):
    editor = MouseEditor(room.user, room.dialog(qtbot, pages.KEYS))
    assert not editor.restore.isEnabled()

    editor.take("right", "pan")
    assert "Middle drag" in editor.words.text()
    assert editor.boxes["right"].currentData() == "zoom"
    editor.take("middle", "none")
    editor.take("right", "pan")
    assert editor.words.text() == ""
    room.user.change(wheel_steps=3)
    room.kept()
    stored = load_user_settings(room.folder)
    assert dict(stored.mouse_bindings) == {"middle": "none", "right": "pan"}
    assert stored.wheel_steps == 3

    room.user.change(mouse_scheme=MouseScheme.SCROLL_ON_LEFT)
    assert editor.boxes["left"].currentData() == "scroll"
    editor.restore.click()
    assert editor.boxes["right"].currentData() == "window"
    assert room.user.value.mouse_bindings == {}


# --- names -----------------------------------------------------------------------------------------------------------

ROW = Row("1.2", datetime(2026, 11, 23, tzinfo=UTC), State.DONE, patient_id="4711", patient_name="Muster^Anna^Maria")


def test_names_are_written_as_people_write_them():
    assert shown_name("Muster^Anna^Maria") == "Muster, Anna Maria"
    assert shown_name("Yamada^Tarou=山田^太郎=やまだ^たろう") == "Yamada, Tarou (山田, 太郎) (やまだ, たろう)"
    assert shown_name("") == ""
    assert shown_name("^Anna") == "Anna"


def test_a_hidden_patient_has_a_code_that_stays_and_nothing_else(tmp_path: Path):
    key = site_key(tmp_path)
    names = Identities(key, hidden=True)
    shown = names.of(ROW)

    assert shown.hidden
    assert shown.name == shown.code
    assert (shown.patient_id, shown.birth_date, shown.institution, shown.accession_number) == ("", "", "", "")
    assert len(shown.code.replace("-", "")) == CODE_LENGTH
    again = Identities(site_key(tmp_path), hidden=True)
    assert again.of(replace(ROW, study_instance_uid="1.9")).code == shown.code  # the same patient, another study
    assert again.of(replace(ROW, patient_id="4712")).code != shown.code
    assert Identities(b"x" * 32, hidden=True).of(ROW).code != shown.code  # another site


def test_peeking_shows_the_name_for_as_long_as_it_lasts(qtbot: QtBot):
    names = Identities(b"k" * 32)
    changes: list[bool] = []
    names.changed.connect(lambda: changes.append(names.covered))
    names.hide(True)
    names.peek(True)
    assert names.of(ROW).name == "Muster, Anna Maria"
    names.peek(False)

    assert names.of(ROW).hidden
    assert changes == [True, False, True]


def test_the_backup_page_makes_and_puts_back_through_the_same_actions(room: Room, qtbot: QtBot) -> None:
    dialog = room.dialog(qtbot, pages.BACKUP)
    asked: list[str] = []
    for name in ("back_up", "restore_backup"):
        room.actions[name].triggered.connect(lambda _checked=False, name=name: asked.append(name))

    for button in dialog.page.findChildren(QPushButton):
        if button.isVisible() and button.text() in {room.actions[one].text() for one in ("back_up", "restore_backup")}:
            button.click()

    assert asked == ["back_up", "restore_backup"]
