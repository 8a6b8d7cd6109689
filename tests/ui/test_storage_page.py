"""What is kept on the disk, and the rule by which images go: it takes effect with a button, below what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from aicorona_desktop.app.storage import Retention
from aicorona_desktop.app.volume_cache import VolumeCache
from aicorona_desktop.core.retention import Rule
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.storage_page import StoragePage
from aicorona_desktop.ui.theme import ThemeKeeper
from tests.history.many import Made
from tests.ui.worklist_parts import NOW, context_of, wait_until


class Room:
    """The page over a history whose studies have copies of ours, read forty days ago."""

    def __init__(self, context: Context, folder: Path) -> None:
        volumes = VolumeCache(folder / "cache")
        retention = Retention(
            context.running.history, volumes, Rule(), print, now=lambda: NOW + timedelta(days=40), free=lambda: 10**12
        )
        running = SimpleNamespace(**vars(context.running) | {"volumes": volumes, "retention": retention})
        self.context = replace(context, running=running)  # type: ignore[arg-type]
        self.retention = retention
        self.volumes = volumes
        self.around = QWidget()
        self.page = StoragePage(context.site, context.theme, self.around)

    def show(self) -> None:
        self.page.use(self.context)
        self.counted()

    def counted(self) -> None:
        wait_until(lambda: self.page._found is not None)


@pytest.fixture
def room(tmp_path: Path, qapp: QApplication) -> Iterator[Room]:
    made = [Made("read", NOW, read=(NOW, "normal", "", "AB")), Made("unread", NOW)]
    with context_of(tmp_path, made) as context:
        give_copies(context)
        room = Room(context, tmp_path)
        room.show()
        yield room
        room.around.deleteLater()


def give_copies(context: Context) -> None:
    """Have the files of both studies lie where our copies lie."""
    import os
    import sqlite3
    from contextlib import closing

    from aicorona_desktop.app.storage import originals_beside

    place = context.running.place
    folder = originals_beside(context.running.history.path)
    with closing(sqlite3.connect(place)) as raw, raw:
        raw.execute("INSERT OR IGNORE INTO source (shown, kind, recorded_at) VALUES ('/in', '', '')")
        source = raw.execute("SELECT id FROM source").fetchone()[0]
        for number, (study,) in enumerate(raw.execute("SELECT sequence FROM study").fetchall()):
            sha256 = f"{number:064x}"
            raw.execute("INSERT INTO series (study, series_instance_uid) VALUES (?, ?)", (study, f"s{number}"))
            series = raw.execute("SELECT max(sequence) FROM series").fetchone()[0]
            path = os.fsencode(folder / sha256[:2] / sha256)
            raw.execute(
                "INSERT INTO instance (series, identity, sha256, path, shown, source, size_bytes, mtime_ns,"
                " received_at) VALUES (?, ?, ?, ?, '', ?, 5000000, 0, '2026-01-01T00:00:00+00:00')",
                (series, f"i{number}", bytes.fromhex(sha256), path, source),
            )


def test_without_a_rule_it_says_that_nothing_goes(room: Room) -> None:
    page = room.page

    assert page.summary.text() == "Without a rule, no image is ever removed: 2 studies with copies of images."
    assert page.list.rowCount() == 0
    assert not page.take.isEnabled()
    assert "free of" in page.disk.text()
    assert sum(size for _, size in page.bar.parts) > 0


def test_a_rule_shows_what_would_go_and_what_stays_before_it_is_used(room: Room) -> None:
    page, site = room.page, room.context.site
    page.days.setValue(30)
    room.counted()

    assert page.summary.text() == ("By this rule the images of 1 of 2 studies go, 5.0 MB. Kept in any case: unread: 1.")
    assert page.list.rowCount() == 1
    assert site.value.retention == Rule()  # nothing is switched on yet
    assert room.context.reading.removals("read") == ()

    page.take.click()
    wait_until(lambda: room.context.reading.setting("retention") is not None)
    assert site.value.retention == Rule(30)
    assert room.context.reading.setting("retention") == "30 days, 0 GB"
    room.counted()
    assert not page.take.isEnabled()
    page.days.setValue(page.days.minimum())
    room.counted()
    assert page.take.text() == "Remove nothing by rule"
    assert page.take.isEnabled()


def test_a_study_in_the_list_can_be_kept(room: Room) -> None:
    page = room.page
    page.days.setValue(30)
    room.counted()
    assert page.keep.toolTip() == "Choose a study in the list first."
    page.list.selectRow(0)
    assert page.keep.isEnabled()

    page.keep.click()
    wait_until(lambda: page.list.rowCount() == 0)

    assert [one.step.value for one in room.context.reading.removals("read")] == ["kept"]
    assert "kept by a person: 1" in page.summary.text()


def test_decoded_slices_can_be_cleared(room: Room) -> None:
    assert room.volumes.folder is not None
    room.volumes.folder.mkdir()
    (room.volumes.folder / "x-1.volume").write_bytes(bytes(1000))

    room.page.clear.click()
    wait_until(lambda: room.volumes.size_bytes == 0)


def test_where_the_history_is_for_reading_only_nothing_can_be_changed(room: Room) -> None:
    running = SimpleNamespace(**vars(room.context.running) | {"engine": None})
    room.page.use(replace(room.context, running=running))  # type: ignore[arg-type]

    for button in (room.page.take, room.page.keep, room.page.clear):
        assert not button.isEnabled()
        assert "for reading only" in button.toolTip()


def test_the_page_can_be_locked_as_a_whole(room: Room) -> None:
    room.page.changing.setEnabled(False)

    for widget in (room.page.days, room.page.gigabytes, room.page.take, room.page.keep, room.page.clear):
        assert not widget.isEnabled()
    assert room.page.list.isEnabled()
    assert isinstance(room.context.theme, ThemeKeeper)
