"""The viewer through its state, its keys and its mouse, over DICOM files of numbers."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from aicorona_desktop.app.viewing import ShownSlice
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.user_settings import MouseScheme, Preset
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.imaging.overlay import overlay
from aicorona_desktop.imaging.voi import LUNG, VoiWindow, automatic, to_grey
from aicorona_desktop.ui import viewer_state as states
from aicorona_desktop.ui.panes import OVERLAY, ImagePane
from aicorona_desktop.ui.presets import model_grey
from aicorona_desktop.ui.slice_store import Shelf
from aicorona_desktop.ui.viewer_place import ViewerPlace
from aicorona_desktop.ui.viewer_state import Layout, Tool
from tests import phantom
from tests.dicom.ct_files import with_element
from tests.ui.viewer_parts import Room, pane_pixels, pixels_of, prepared, room_in

CHEST = phantom.chest().with_ground_glass(0.6)
OLD = (
    phantom.chest("old")
    .with_slices(12, 16.0)
    .with_tags(PatientID="PHANTOM-chest", PatientName="Phantom^Chest", StudyDate="20250301")
)


@dataclass(frozen=True)
class Archive:
    """A recorded history to copy, with the UIDs in it."""

    folder: Path
    uid: str
    old: str


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, qapp: QApplication) -> Archive:
    top = tmp_path_factory.mktemp("archive")
    history = top / "history"
    history.mkdir()
    uid, old = prepared(history, CHEST.written_to(top / "now"), OLD.written_to(top / "then"))
    return Archive(history, uid, old)


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    with Reader() as made:
        yield made


@pytest.fixture
def room(archive: Archive, tmp_path: Path, qtbot: QtBot, reader: Reader) -> Iterator[Room]:
    shutil.copytree(archive.folder, tmp_path, dirs_exist_ok=True)
    with room_in(tmp_path, qtbot, reader=reader) as made:
        yield made


@pytest.fixture
def viewer(room: Room, archive: Archive) -> ViewerPlace:
    """The study open, every slice there."""
    return room.open(archive.uid)


def drag(pane: ImagePane, button: Qt.MouseButton, start: QPoint, *way: QPoint) -> None:
    QTest.mousePress(pane, button, Qt.KeyboardModifier.NoModifier, start)
    for point in way:
        QTest.mouseMove(pane, point)
        event_moved(pane, button, point)
    QTest.mouseRelease(pane, button, Qt.KeyboardModifier.NoModifier, way[-1])


def event_moved(pane: ImagePane, button: Qt.MouseButton, point: QPoint) -> None:
    """QTest moves the pointer without the button; the pane wants to see both."""
    from PySide6.QtCore import QEvent
    from PySide6.QtGui import QMouseEvent

    at = QPointF(point)
    QApplication.sendEvent(
        pane,
        QMouseEvent(
            QEvent.Type.MouseMove, at, pane.mapToGlobal(at), Qt.MouseButton.NoButton, button, Qt.KeyboardModifier(0)
        ),
    )


def turn(widget: ImagePane, delta: int, modifiers: Qt.KeyboardModifier = Qt.KeyboardModifier.NoModifier) -> None:
    at = QPointF(widget.rect().center())
    event = QWheelEvent(
        at,
        widget.mapToGlobal(at),
        QPoint(),
        QPoint(0, delta),
        Qt.MouseButton.NoButton,
        modifiers,
        Qt.ScrollPhase.NoScrollPhase,
        False,
    )
    QApplication.sendEvent(widget, event)


# --- opening ------------------------------------------------------------------------------------------------------


def test_a_study_opens_at_the_middle_of_the_used_half_in_the_lung_window(viewer: ViewerPlace) -> None:
    assert (viewer.state.slice_index, viewer.state.slices) == (10, 20)
    assert (viewer.state.window, viewer.state.preset, viewer.state.map_on) == (LUNG, "lung", False)
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(10), LUNG)).all()


def test_the_middle_is_on_the_screen_before_the_other_headers_are_read(room: Room, archive: Archive) -> None:
    seen: list[tuple[int, bool]] = []
    room.viewer.slice_painted.connect(lambda index: seen.append((index, room.viewer.viewed is None)))
    held = room.viewer.reader.open
    room.viewer.reader.open = lambda *given: (QTest.qSleep(300), held(*given))[1]  # type: ignore[method-assign]

    room.open(archive.uid)

    assert seen[0] == (10, True)
    assert not room.viewer.main.pane.dressing.dimmed


def test_a_map_asked_for_while_the_headers_are_read_is_there_with_the_study(room: Room, archive: Archive) -> None:
    held = room.viewer.reader.open
    room.viewer.reader.open = lambda *given: (QTest.qSleep(300), held(*given))[1]  # type: ignore[method-assign]
    too_early: list[bool] = []

    def ask_once(_: int) -> None:
        if not too_early:
            too_early.append(room.viewer.viewed is None)
            room.do("viewer.map")

    room.viewer.slice_painted.connect(ask_once)

    viewer = room.open(archive.uid)

    assert too_early == [True]

    room.qtbot.waitUntil(lambda: viewer.maps.scale(viewer.state) is not None, timeout=5000)
    assert viewer.state.map_on


def test_a_map_asked_for_too_early_of_a_study_without_a_score_is_refused_with_the_reason(
    room: Room, archive: Archive, tmp_path: Path
) -> None:
    [uid] = room.add(phantom.chest("unscored").written_to(tmp_path / "in"), scored=False)
    said: list[str] = []
    room.viewer.say.connect(said.append)
    room.viewer.show_study(uid)
    room.do("viewer.map")
    assert room.viewer.state.map_on

    room.open(uid)

    assert not room.viewer.state.map_on
    assert "There is no score, and so no map." in said


def test_the_patients_left_stays_on_the_right_of_the_screen(viewer: ViewerPlace) -> None:
    """The heart of the phantom lies on its left; painted pixels are compared, not arrays."""
    viewer.set_state(states.with_preset(viewer.state, "mediastinum", VoiWindow(40, 400)))
    painted = viewer.main.pane.grab().toImage()
    pane = viewer.main.pane

    def bright(columns: range) -> int:
        row = [painted.pixelColor(pane.to_pane((column, 52)).toPoint()).lightness() for column in columns]
        return sum(one > 100 for one in row)

    assert pane.dressing.letters == ("R", "L", "A", "P")
    assert bright(range(66, 90)) > bright(range(38, 62)) + 5


def test_a_study_stored_upside_down_and_mirrored_looks_the_same(room: Room, tmp_path: Path) -> None:
    flipped = phantom.chest("flipped").with_tags(ImageOrientationPatient=(-1, 0, 0, 0, -1, 0))
    [uid] = room.add(flipped.written_to(tmp_path / "in"))

    viewer = room.open(uid)

    assert viewer.main.pane.dressing.letters == ("R", "L", "A", "P")
    assert (pane_pixels(viewer) == to_grey(flipped.hounsfield(10), LUNG)[::-1, ::-1]).all()


def test_a_study_whose_files_are_gone_says_so_and_whose_it_is(room: Room, tmp_path: Path) -> None:
    [uid] = room.add(phantom.chest("lost").with_slices(4).written_to(tmp_path / "in"))
    shutil.rmtree(tmp_path / "in")

    room.viewer.show_study(uid)

    room.qtbot.waitUntil(lambda: "No file of this study" in room.viewer.message.text(), timeout=10_000)
    assert "PHANTOM-lost" in room.viewer.message.text()


def test_the_next_study_takes_the_picture_of_the_one_before_away_at_once(viewer: ViewerPlace, archive: Archive) -> None:
    viewer.show_study(archive.old)

    assert viewer.main.pane.picture is None
    assert viewer.main.pane.dressing.corners[0] == ()
    assert (viewer.state.study_instance_uid, viewer.viewed) == ("", None)


def test_what_was_read_of_one_study_is_never_shown_as_another(room: Room, archive: Archive) -> None:
    """The answers of the first lie ready when the second is asked for."""
    room.viewer.show_study(archive.uid)
    QTest.qSleep(700)  # read, and not delivered: this thread has not turned

    viewer = room.open(archive.old)

    assert viewer.viewed is not None
    assert viewer.viewed.study_instance_uid == viewer.state.study_instance_uid == archive.old
    assert "2025-03-01 10:15:00" in viewer.main.pane.dressing.corners[1]


# --- slices -------------------------------------------------------------------------------------------------------


def test_every_slice_is_drawn_as_numpy_has_it_under_every_fixed_preset(room: Room, viewer: ViewerPlace) -> None:
    windows = {"1": (-600, 1500), "2": (40, 400), "3": (480, 2500), "4": (-400, 1600), "5": (-500, 1400)}
    for place, (key, window) in enumerate((windows | {"6": (300, 600), "7": (60, 400)}).items()):
        room.do(f"viewer.preset_{key}")
        viewer.set_state(states.at_slice(viewer.state, place * 2))

        assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(place * 2), VoiWindow(*window))).all()
        level, width = window
        assert f"W {width} L {level}" in viewer.main.pane.dressing.corners[3][0]


def test_the_keys_of_slices_and_window_do_what_the_sheet_says(room: Room, viewer: ViewerPlace) -> None:
    told = []
    for name in ("slice_up", "ten_down", "slice_down", "last_slice", "slice_up", "first_slice", "ten_up"):
        room.do(f"viewer.{name}")
        told.append(viewer.state.slice_index)
    assert told == [11, 1, 0, 19, 19, 0, 10]

    for name in ("level_up", "window_wider", "level_down_fine", "window_narrower_fine"):
        room.do(f"viewer.{name}")
    assert (viewer.state.window, viewer.state.preset) == (VoiWindow(-591, 1509), "")
    room.do("viewer.invert")
    assert (pane_pixels(viewer) == 255 - to_grey(CHEST.hounsfield(10), VoiWindow(-591, 1509))).all()
    room.do("viewer.reset_view")
    assert (viewer.state.window, viewer.state.inverted) == (LUNG, False)


def test_a_held_key_moves_the_window_faster_and_faster_up_to_100(room: Room, viewer: ViewerPlace) -> None:
    actions, levels = room.context.actions, [viewer.state.window.centre_hu]
    actions.ask("viewer.level_up")
    for _ in range(50):
        levels.append(viewer.state.window.centre_hu)
        actions.ask("viewer.level_up", repeat=True)
    actions.let_go("viewer.level_up")

    steps = np.diff(levels)
    assert (steps[0], steps[-1]) == (10, 100)
    assert (np.diff(steps) >= 0).all()


def test_the_old_picture_keeps_its_own_number_until_the_new_one_is_there(viewer: ViewerPlace) -> None:
    store = viewer._store
    assert store is not None
    store.forget(12)

    viewer.set_state(states.at_slice(viewer.state, 12))

    pane = viewer.main.pane
    assert pane.picture is not None
    assert (pane.picture.slice_index, pane.dressing.dimmed) == (10, True)
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(10), LUNG)).all()
    words = pane.dressing.corners[2]
    assert any(line.startswith("Slice 11/20") for line in words)
    assert "Slice 13 is being read" in words

    store.take(12, ShownSlice(CHEST.hounsfield(12)))
    store.changed.emit(12)

    assert (pane.picture.slice_index, pane.dressing.dimmed) == (12, False)
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(12), LUNG)).all()


def test_a_bad_slice_is_hatched_with_its_reason_and_the_others_stay_usable(
    room: Room, archive: Archive, viewer: ViewerPlace, tmp_path: Path
) -> None:
    store = viewer._store
    assert store is not None
    store.take(13, Finding(Outcome.REFUSED, Reason.DECODE_FAILED, name="ValueError"))

    viewer.set_state(states.at_slice(viewer.state, 13))

    pane = viewer.main.pane
    assert pane.picture is None
    assert "Slice 14 of 20 cannot be shown. The pixel data could not be decoded (ValueError)." in pane.dressing.reason
    assert any(line.startswith("Slice 14/20") for line in pane.dressing.corners[2])
    painted = pane.grab().toImage()
    assert len({painted.pixelColor(x, 20).rgb() for x in range(200, 400)}) > 1  # the hatching
    room.do("viewer.slice_up")
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(14), LUNG)).all()


def with_overlay(content: bytes, bits: np.ndarray) -> bytes:
    """The file of a slice with these bits over it."""
    rows, columns = bits.shape
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    elements = {0x10: ("US", struct.pack("<H", rows)), 0x11: ("US", struct.pack("<H", columns)), 0x40: ("CS", b"G ")}
    elements |= {0x50: ("SS", struct.pack("<2h", 1, 1)), 0x100: ("US", struct.pack("<H", 1))}
    elements |= {0x102: ("US", struct.pack("<H", 0)), 0x3000: ("OW", packed)}
    for number, (vr, value) in elements.items():
        content = with_element(content, 0x60000000 | number, vr, value)
    return content


def test_overlays_of_the_image_are_light_lines_that_can_be_switched_off(room: Room, viewer: ViewerPlace) -> None:
    store, pane = viewer._store, viewer.main.pane
    assert store is not None
    size = CHEST.hounsfield(12).shape
    bits = np.zeros(size, bool)
    bits[40:44, 50:90] = True
    store.take(12, ShownSlice(CHEST.hounsfield(12), np.packbits(bits, axis=1)))
    viewer.set_state(states.at_slice(viewer.state, 12))

    def colour(row: int, column: int) -> str:
        return pane.grab().toImage().pixelColor(pane.to_pane((column, row)).toPoint()).name()

    assert pane.picture is not None
    assert (pane.picture.lines == bits).all()
    assert colour(41, 70) == OVERLAY.name()
    assert colour(50, 70) != OVERLAY.name()
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(12), LUNG)).all()  # what is copied has none

    room.do("viewer.overlays")
    assert not viewer.state.overlays
    assert colour(41, 70) != OVERLAY.name()
    room.do("viewer.overlays")
    room.context.identities.hide(True)  # writing in an overlay may be a name
    assert colour(41, 70) != OVERLAY.name()
    assert "Overlays are not drawn while names are hidden" in pane.dressing.corners[2]


def test_an_overlay_stored_upside_down_and_mirrored_lies_where_the_scanner_drew_it(room: Room, tmp_path: Path) -> None:
    bits = np.zeros(CHEST.hounsfield(0).shape, bool)
    bits[3:6, 10:50] = True
    folder = (
        phantom.chest("overlay").with_tags(ImageOrientationPatient=(-1, 0, 0, 0, -1, 0)).written_to(tmp_path / "in")
    )
    for path in folder.rglob("*.dcm"):
        path.write_bytes(with_overlay(path.read_bytes(), bits[::-1, ::-1]))
    [uid] = room.add(folder)

    viewer = room.open(uid)

    assert viewer.main.pane.picture is not None
    assert viewer.main.pane.picture.lines is not None
    assert (viewer.main.pane.picture.lines == bits).all()


def test_loading_begins_where_somebody_looks_and_goes_outward(room: Room, archive: Archive) -> None:
    came: list[int] = []
    room.open(archive.uid, whole=False)
    store = room.viewer._store
    assert store is not None
    store.changed.connect(came.append)
    room.qtbot.waitUntil(room.all_there, timeout=10_000)
    room.qtbot.wait(50)

    away = [abs(index - 10) for index in came]
    assert sorted(away) == away


def test_the_model_preset_shows_what_the_network_was_given(room: Room, viewer: ViewerPlace) -> None:
    pack = room.context.running.pack

    room.do("viewer.preset_8")

    assert (pane_pixels(viewer) == model_grey(CHEST.hounsfield(10), pack.preparation, pack.input_size)).all()
    assert viewer.main.pane.dressing.corners[3][0] == "As the model sees it: exactly what was given to the model"


def test_the_automatic_preset_fits_the_body_of_this_slice(room: Room, viewer: ViewerPlace) -> None:
    room.do("viewer.preset_0")

    assert viewer.state.window == automatic(CHEST.hounsfield(10))
    assert viewer.state.preset == "automatic"


def test_cine_runs_and_pauses(room: Room, viewer: ViewerPlace) -> None:
    room.do("viewer.play")
    room.qtbot.waitUntil(lambda: viewer.state.slice_index == 13, timeout=3000)
    room.do("viewer.play")

    assert viewer.state.cine_per_s == 0
    assert not viewer._cine.isActive()


# --- mouse --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "changes"),
    [
        (MouseScheme.WINDOW_ON_LEFT, {"left": "window", "middle": "fitted", "right": "fitted"}),
        (MouseScheme.SCROLL_ON_LEFT, {"left": "slice_index", "middle": "fitted", "right": "window"}),
        (MouseScheme.ONE_BUTTON, {"left": "window", "middle": "fitted"}),
    ],
)
def test_each_mouse_scheme_moves_what_it_promises_and_nothing_else(
    room: Room, viewer: ViewerPlace, scheme: MouseScheme, changes: dict[str, str]
) -> None:
    room.context.user.change(mouse_scheme=scheme)
    buttons = {
        "left": Qt.MouseButton.LeftButton,
        "middle": Qt.MouseButton.MiddleButton,
        "right": Qt.MouseButton.RightButton,
    }
    for name, button in buttons.items():
        before = viewer.state
        drag(viewer.main.pane, button, QPoint(300, 300), QPoint(320, 320), QPoint(340, 360))

        moved = {
            field
            for field in ("window", "slice_index", "fitted", "layout", "map_on")
            if getattr(before, field) != getattr(viewer.state, field)
        }
        assert moved == ({changes[name]} if name in changes else set())


def test_the_wheel_goes_by_slices_by_ten_and_zooms_at_the_pointer(viewer: ViewerPlace) -> None:
    pane = viewer.main.pane

    turn(pane, 120)
    assert viewer.state.slice_index == 11
    turn(pane, -240)
    assert viewer.state.slice_index == 9
    turn(pane, 120, Qt.KeyboardModifier.ShiftModifier)
    assert viewer.state.slice_index == 19
    turn(pane, 120, Qt.KeyboardModifier.ControlModifier)
    assert viewer.state.zoom == pytest.approx(1.15)


def test_buttons_and_wheel_follow_the_settings_at_once(room: Room, viewer: ViewerPlace) -> None:
    pane, start = viewer.main.pane, viewer.state.slice_index
    room.context.user.change(mouse_bindings={"right": "scroll", "control_wheel": "none"}, wheel_steps=3)

    turn(pane, 120)
    assert viewer.state.slice_index == start + 3
    turn(pane, 120, Qt.KeyboardModifier.ControlModifier)
    assert viewer.state.zoom == 1.0
    drag(pane, Qt.MouseButton.RightButton, QPoint(200, 200), QPoint(200, 190), QPoint(200, 150))
    assert viewer.state.slice_index > start + 3
    assert viewer.state.zoom == 1.0


def test_an_own_preset_answers_to_its_key(room: Room, viewer: ViewerPlace) -> None:
    room.context.user.change(presets=(Preset("Liver", 150, 30, "Shift+2"),))

    room.do("viewer.own_preset_2")

    assert (viewer.state.preset, viewer.state.window) == ("Liver", VoiWindow(30, 150))


def test_a_double_click_fits_and_comes_back(viewer: ViewerPlace) -> None:
    QTest.mouseDClick(viewer.main.pane, Qt.MouseButton.LeftButton)
    assert viewer.state.one_to_one
    assert viewer.main.pane.shown_zoom == 1
    QTest.mouseDClick(viewer.main.pane, Qt.MouseButton.LeftButton)
    assert not viewer.state.one_to_one


def test_one_to_one_paints_every_pixel_of_the_slice_on_one_of_the_screen(room: Room, viewer: ViewerPlace) -> None:
    room.do("viewer.one_to_one")
    pane = viewer.main.pane

    painted = pane.grab().toImage()

    grey = to_grey(CHEST.hounsfield(10), LUNG)
    left, top = (round(one) for one in (pane.to_pane((-0.5, -0.5)).x(), pane.to_pane((-0.5, -0.5)).y()))
    for row, column in ((5, 5), (40, 64), (64, 30), (100, 90), (127, 127)):
        assert painted.pixelColor(left + column, top + row).red() == grey[row, column]


def test_the_value_under_the_pointer_stands_in_the_corner(viewer: ViewerPlace) -> None:
    pane = viewer.main.pane
    at = pane.to_pane((64, 80)).toPoint()

    event_moved(pane, Qt.MouseButton.NoButton, at)

    assert f"{CHEST.hounsfield(10)[80, 64]} HU" in pane.dressing.corners[3]


def test_the_strip_goes_to_the_slice_under_the_click_and_shows_what_was_used(viewer: ViewerPlace) -> None:
    strip = viewer.pictures.strip
    assert strip.content.used == tuple(range(5, 15))

    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(10, 5))
    assert viewer.state.slice_index == 19
    QTest.mouseClick(strip, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, QPoint(10, round(strip.y_of(3))))
    assert viewer.state.slice_index == 3
    assert strip.current == 3


# --- map and side by side -----------------------------------------------------------------------------------------


def switch_map_on(room: Room) -> None:
    room.do("viewer.map")
    room.qtbot.waitUntil(lambda: room.viewer.maps.limits("covid") is not None, timeout=5000)


def expected_overlay(viewer: ViewerPlace, index: int, name: str, column: int) -> np.ndarray:
    maps = viewer.maps.maps
    assert maps is not None
    state = viewer.state
    grey = to_grey(CHEST.hounsfield(index), state.window)
    cam = maps.cams[maps.indices.index(index), column]
    return overlay(grey, cam, maps.limits[column], state.map_opacity, colour_map=state.colour_map)


def test_the_map_is_drawn_over_its_slice_as_numpy_has_it_and_only_over_used_slices(
    room: Room, viewer: ViewerPlace
) -> None:
    switch_map_on(room)
    assert (pane_pixels(viewer)[..., :3] == expected_overlay(viewer, 10, "covid", 2)).all()

    viewer.set_state(states.at_slice(viewer.state, 6))
    assert (pane_pixels(viewer)[..., :3] == expected_overlay(viewer, 6, "covid", 2)).all()
    room.do("viewer.map_class")
    assert (pane_pixels(viewer)[..., :3] == expected_overlay(viewer, 6, "cp", 1)).all()

    viewer.set_state(states.at_slice(viewer.state, 2))
    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(2), LUNG)).all()  # outside the used half


def test_plain_and_map_stand_side_by_side(room: Room, viewer: ViewerPlace) -> None:
    switch_map_on(room)
    room.do("viewer.map_beside")

    assert (pane_pixels(viewer) == to_grey(CHEST.hounsfield(10), LUNG)).all()
    assert (pixels_of(viewer.beside.pane)[..., :3] == expected_overlay(viewer, 10, "covid", 2)).all()
    assert viewer.beside.pane.isVisible()
    room.do("viewer.map_beside")
    assert viewer.state.layout is Layout.SINGLE
    assert not viewer.beside.pane.isVisible()


def test_contributions_stand_in_the_strip_once_the_map_was_on(room: Room, viewer: ViewerPlace) -> None:
    assert not viewer.pictures.strip.content.contributions

    switch_map_on(room)

    assert viewer.viewed is not None
    assert viewer.viewed.result is not None
    shares = viewer.viewed.result.score.slice_contributions
    assert viewer.pictures.strip.content.contributions == {5 + place: one[2] for place, one in enumerate(shares)}
    room.do("viewer.map")
    assert viewer.pictures.strip.content.contributions


def test_a_prior_stands_beside_at_the_same_place_in_mm_and_scrolls_along(
    room: Room, viewer: ViewerPlace, archive: Archive
) -> None:
    room.qtbot.waitUntil(lambda: viewer.list.count() == 3, timeout=5000)
    room.do("viewer.prior_beside")
    room.qtbot.waitUntil(lambda: viewer.beside.shown_index is not None, timeout=10_000)
    room.qtbot.waitUntil(lambda: viewer.beside.store is not None and viewer.beside.store.loaded == 12)

    def here_and_there() -> tuple[float, float]:
        mine, other = viewer.main, viewer.beside
        assert mine.store is not None
        assert other.store is not None
        assert mine.shown_index is not None
        assert other.shown_index is not None
        assert other.store.study_instance_uid == archive.old
        here = mine.store.series.position_mm(mine.shown_index)
        there = other.store.series.position_mm(other.shown_index)
        assert here is not None
        assert there is not None
        return here, there

    for index in (4, 10, 15):
        viewer.set_state(states.at_slice(viewer.state, index))
        here, there = here_and_there()
        assert abs(here - there) <= 8 + 3  # half of its spacing; the middles of what was used are laid on each other
    assert "Other study, 2025-03-01" in viewer.beside.pane.dressing.corners[2]

    turn(viewer.beside.pane, 120)
    assert viewer.state.slice_index == 15
    assert here_and_there()[1] == pytest.approx(there + 16)


def test_coronal_and_sagittal_planes_follow_the_cross(room: Room, viewer: ViewerPlace) -> None:
    room.do("viewer.reformats")
    volume = np.stack([CHEST.hounsfield(index) for index in range(20)])

    viewer.set_state(states.crossing(viewer.state, 52, 60))

    plane = pixels_of(viewer.pictures.coronal.pane)
    spacing = CHEST.thorax.pixel_spacing_mm
    assert plane.shape == (round(200 / spacing), 128)
    rows = viewer.pictures.coronal._levels
    assert rows is not None
    row = round(rows.row_of(95.0))  # the last slice
    assert (plane[row] == to_grey(volume[19, 52], LUNG)).all()
    assert viewer.pictures.coronal.pane.dressing.letters == ("R", "L", "H", "F")
    assert viewer.pictures.sagittal.pane.dressing.letters == ("A", "P", "H", "F")
    assert (pixels_of(viewer.pictures.sagittal.pane)[row] == to_grey(volume[19, :, 60], LUNG)).all()

    pane = viewer.pictures.coronal.pane
    QTest.mouseClick(pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pane.to_pane((90, row)).toPoint())
    assert (viewer.state.cross, viewer.state.slice_index) == ((52, 90), 19)


# --- measures -----------------------------------------------------------------------------------------------------


def test_a_distance_is_drawn_told_in_mm_kept_undone_and_there_again(
    room: Room, viewer: ViewerPlace, archive: Archive, qtbot: QtBot
) -> None:
    pane, spacing = viewer.main.pane, CHEST.thorax.pixel_spacing_mm
    room.do("viewer.distance")
    drag(
        pane,
        Qt.MouseButton.LeftButton,
        pane.to_pane((30, 40)).toPoint(),
        pane.to_pane((50, 40)).toPoint(),
        pane.to_pane((70, 40)).toPoint(),
    )

    [drawn] = pane.dressing.measures
    assert float(drawn.text.split()[0]) == pytest.approx(40 * spacing, abs=0.7)
    qtbot.waitUntil(lambda: len(room.history.measures(archive.uid)) == 1)
    [kept] = room.history.measures(archive.uid)
    assert (kept.kind, kept.initials) == ("distance", "AB")

    room.context.undo.undo()
    assert not pane.dressing.measures
    qtbot.waitUntil(lambda: not room.history.measures(archive.uid))
    room.context.undo.redo()
    qtbot.waitUntil(lambda: len(room.history.measures(archive.uid)) == 1)

    viewer.show_study(archive.old)
    room.open(archive.uid)
    qtbot.waitUntil(lambda: len(pane.dressing.measures) == 1)
    viewer.set_state(states.at_slice(viewer.state, 11))
    assert not pane.dressing.measures


def test_an_ellipse_tells_mean_spread_area_and_shows_its_histogram(room: Room, viewer: ViewerPlace) -> None:
    identity = viewer.main.store.series.instances[10].identity  # type: ignore[union-attr]
    viewer.book.add(viewer.state.series_instance_uid, identity, "ellipse", (40.0, 50.0), (80.0, 70.0))

    from aicorona_desktop.imaging.roi import statistics

    spacing = CHEST.thorax.pixel_spacing_mm
    found = statistics(CHEST.hounsfield(10), "ellipse", (40.0, 50.0), (80.0, 70.0), (spacing, spacing))
    [drawn] = viewer.main.pane.dressing.measures
    assert drawn.text == (
        f"mean {found.mean_hu:.1f} HU, SD {found.sd_hu:.1f}\nn {found.pixels}, {found.area_mm2 / 100:.2f} cm²"  # type: ignore[operator]
    )
    assert viewer.histogram.isVisible()
    assert viewer.histogram.found is not None
    assert (viewer.histogram.found.counts == found.counts).all()
    room.do("viewer.delete_measure")
    assert not viewer.main.pane.dressing.measures
    assert not viewer.histogram.isVisible()


def test_a_click_on_a_measure_chooses_it_and_del_deletes_it(room: Room, viewer: ViewerPlace) -> None:
    identity = viewer.main.store.series.instances[10].identity  # type: ignore[union-attr]
    one = viewer.book.add(viewer.state.series_instance_uid, identity, "distance", (20.0, 20.0), (60.0, 20.0))
    two = viewer.book.add(viewer.state.series_instance_uid, identity, "rectangle", (70.0, 70.0), (90.0, 90.0))
    pane = viewer.main.pane

    QTest.mouseClick(pane, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pane.to_pane((40, 20)).toPoint())
    assert viewer.book.chosen == one.key
    room.do("viewer.delete_measure")

    assert [measure.key for measure in viewer.measures_on(viewer.main)] == [two.key]


def test_escape_goes_back_one_step_at_a_time(room: Room, viewer: ViewerPlace) -> None:
    room.do("viewer.reformats")
    room.do("viewer.ellipse")
    room.do("viewer.play")

    assert [viewer.back() for _ in range(4)] == [True, True, True, False]
    assert (viewer.state.cine_per_s, viewer.state.tool, viewer.state.layout) == (0, Tool.WINDOW, Layout.SINGLE)


# --- identity, history, memory ------------------------------------------------------------------------------------


def test_identity_stands_in_every_mode_and_goes_by_its_code_when_names_are_hidden(
    room: Room, viewer: ViewerPlace
) -> None:
    for name in (None, "viewer.corner_text", "viewer.map_beside", "viewer.reformats"):
        if name:
            room.do(name)
        assert viewer.main.pane.dressing.corners[0][:2] == ("Phantom, Chest", "PHANTOM-chest")
    assert not viewer.main.pane.dressing.corners[1]

    room.context.identities.hide(True)

    [code, *rest] = viewer.main.pane.dressing.corners[0]
    assert code == room.context.identities.code("PHANTOM-chest")
    assert not any("PHANTOM" in line or "1970" in line for line in rest)


def test_an_opening_is_recorded_with_the_map_and_the_share_of_slices_seen(
    room: Room, viewer: ViewerPlace, archive: Archive, qtbot: QtBot
) -> None:
    for index in (11, 12, 13):
        viewer.set_state(states.at_slice(viewer.state, index))
        viewer.main.pane.repaint()
    switch_map_on(room)

    viewer.show_study(archive.old)

    qtbot.waitUntil(lambda: room.history.viewings(archive.uid)[-1].closed_at is not None)
    [viewing] = room.history.viewings(archive.uid)
    assert viewing.by == "AB"
    assert viewing.slices_seen == pytest.approx(4 / 20)
    assert (viewing.map_on_at is not None, viewing.map_before_impression) == (True, True)


def test_studies_looked_at_last_are_there_at_once_within_the_budget(
    room: Room, viewer: ViewerPlace, archive: Archive
) -> None:
    first = viewer._store
    room.open(archive.old)
    room.open(archive.uid)

    assert viewer._store is first
    series = viewer.viewed.series[0]  # type: ignore[union-attr]
    shelf = Shelf(budget_bytes=2 * series.size_bytes)
    stores = [shelf.store(uid, series) for uid in ("1", "2", "3")]
    assert len(shelf) == 2
    assert shelf.store("3", series) is stores[2]
    assert shelf.store("1", series) is not stores[0]
    kept = shelf.store("4", series, beside=stores[2])
    assert shelf.store("3", series) is stores[2]
    assert shelf.store("4", series) is kept


def test_late_slices_join_the_series_without_moving_what_is_looked_at(room: Room, tmp_path: Path) -> None:
    chest = phantom.chest("late")
    folder = chest.without_slice(*range(6)).written_to(tmp_path / "in")
    [uid] = room.add(folder, scored=False)
    viewer = room.open(uid)
    viewer.set_state(states.with_preset(states.at_slice(viewer.state, 2), "bone", VoiWindow(480, 2500)))
    shown = (pane_pixels(viewer), viewer.state.window)

    for index in range(6):
        (folder / f"IM{index:04d}.dcm").write_bytes(chest.file(index))
    room.add(folder, scored=False)
    room.context.bridge.studies_changed.emit(frozenset({uid}))

    room.qtbot.waitUntil(lambda: viewer.state.slices == 20, timeout=5000)
    assert (viewer.state.slice_index, viewer.state.preset) == (8, "bone")
    room.qtbot.waitUntil(room.all_there, timeout=5000)
    assert (pane_pixels(viewer) == shown[0]).all()
    assert (shown[0] == to_grey(chest.hounsfield(8), shown[1])).all()


def test_pictures_stay_left_to_right_and_every_control_has_a_name(viewer: ViewerPlace) -> None:
    for widget in (*viewer.pictures.panes, viewer.pictures.strip):
        assert widget.layoutDirection() is Qt.LayoutDirection.LeftToRight
        assert widget.accessibleName()
    assert "Phantom, Chest" in viewer.main.pane.accessibleDescription()
    assert viewer.list.accessibleName()


def test_without_scores_a_study_opens_in_its_middle_and_has_no_bracket(room: Room, tmp_path: Path) -> None:
    [uid] = room.add(phantom.chest("bare").with_slices(9).written_to(tmp_path / "in"), scored=False)

    viewer = room.open(uid)

    assert viewer.state.slice_index == 4
    assert viewer.pictures.strip.content.used == ()
    assert not any("used half" in line for line in viewer.main.pane.dressing.corners[2])


def test_a_real_series_is_drawn_as_numpy_has_it(room: Room, shared: Path) -> None:
    [uid] = room.add(shared / "data" / "dicom" / "chest_covid_siemens_2mm")

    viewer = room.open(uid)

    pixels = viewer.main.hounsfield
    assert pixels is not None
    assert pixels.shape == (512, 512)
    assert (pane_pixels(viewer) == to_grey(pixels, LUNG)).all()
    assert replace(viewer.state, slice_index=0).slices == 22
