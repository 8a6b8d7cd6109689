from __future__ import annotations

from collections.abc import Iterator

import pytest
from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QApplication, QLineEdit, QListWidget, QPushButton, QVBoxLayout, QWidget
from pytestqt.qtbot import QtBot

from aicorona_desktop.ui.actions import ACTIONS, EVERYWHERE, VIEWER, WORKLIST, Actions, KeyInUseError, meet, normal_key
from aicorona_desktop.ui.keys import PLACE_KEYS, KeyRouter, spellings, us_character

NO, SHIFT, CTRL = Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ShiftModifier, Qt.KeyboardModifier.ControlModifier
KEYPAD = Qt.KeyboardModifier.KeypadModifier


def key(
    code: int,
    modifiers: Qt.KeyboardModifier = NO,
    text: str = "",
    scan: int = 0,
    kind: QEvent.Type = QEvent.Type.KeyPress,
) -> QKeyEvent:
    return QKeyEvent(kind, code, modifiers, scan, 0, 0, text)


@pytest.fixture
def actions(qapp: QApplication) -> Actions:
    return Actions()


# --- the table ------------------------------------------------------------------------------------


def test_every_name_is_used_once_and_every_key_can_be_spelled():
    names = [spec.name for spec in ACTIONS]

    assert len(set(names)) == len(names)
    assert all(normal_key(key) for spec in ACTIONS for key in spec.keys)


def test_no_two_actions_that_can_meet_have_the_same_key():
    keys = [(normal_key(key), spec) for spec in ACTIONS for key in spec.keys]

    clashes = [
        (one.name, other.name)
        for number, (key_one, one) in enumerate(keys)
        for key_other, other in keys[number + 1 :]
        if key_one == key_other and meet(one.place, other.place)
    ]

    assert clashes == []


@pytest.mark.parametrize(
    ("pressed", "place", "name"),
    [
        ("F1", WORKLIST, "help"),
        ("Ctrl+1", VIEWER, "place.worklist"),
        ("N", WORKLIST, "worklist.next_unread"),
        ("N", VIEWER, "viewer.next_unread"),
        ("Space", WORKLIST, "worklist.quick_look"),
        ("Space", VIEWER, "viewer.play"),
        ("PgUp", VIEWER, "viewer.previous_series"),
        ("0", VIEWER, "viewer.preset_0"),
        ("Ctrl+Return", VIEWER, "viewer.save_verdict"),
        (",", VIEWER, "viewer.map_fainter"),
        ("Ctrl+,", VIEWER, "settings"),
    ],
)
def test_a_key_stands_for_what_the_key_sheet_says(actions: Actions, pressed: str, place: str, name: str):
    assert actions.find(normal_key(pressed), place) == name


def test_every_action_has_words_a_tooltip_and_its_key_in_both(actions: Actions):
    for name in actions:
        action = actions[name]
        assert action.iconText()
        assert action.toolTip()
        for shown in [actions.shown_key(name)] if actions.keys(name) else []:
            assert action.text().endswith(f"\t{shown}")
            assert action.toolTip().endswith(f"({shown})")


def test_a_greyed_action_says_why_and_forgets_it_when_it_is_possible_again(actions: Actions):
    actions.disable("undo", "There is nothing to take back.")
    assert "nothing to take back" in actions["undo"].toolTip()
    assert not actions["undo"].isEnabled()

    actions.enable("undo")
    assert "nothing to take back" not in actions["undo"].toolTip()
    assert actions["undo"].isEnabled()


def test_a_key_in_use_is_refused_with_the_name_of_the_other(actions: Actions):
    with pytest.raises(KeyInUseError, match="Invert"):
        actions.rebind("viewer.fit", ["I"])

    assert actions.keys("viewer.fit") == ("F",)


def test_the_same_key_may_serve_two_places_but_not_one_and_everywhere(actions: Actions):
    actions.rebind("worklist.pin", ["I"])  # the viewer's Invert is elsewhere

    with pytest.raises(KeyInUseError):
        actions.rebind("worklist.pin", ["Ctrl+F"])
    assert actions.find("I", WORKLIST) == "worklist.pin"


def test_own_keys_are_kept_apart_from_those_shipped_and_can_be_taken_back(actions: Actions):
    actions.rebind("viewer.fit", ["Z"])
    own = actions.own_keys()

    again = Actions(own | {"an action of a later version": ("Q",)})
    assert own == {"viewer.fit": ("Z",)}
    assert again.find("Z", VIEWER) == "viewer.fit"

    again.restore_keys()
    assert again.keys("viewer.fit") == ("F",)
    assert again.own_keys() == {}


# --- keys by their place --------------------------------------------------------------------------


def test_the_place_of_a_key_is_known_on_each_system():
    assert us_character(30, "windows") == "A"
    assert us_character(38, "xcb") == "A"
    assert us_character(58, "wayland") == "M"
    assert us_character(59, "xcb") == ","
    assert us_character(38, "offscreen") == ""


@pytest.mark.parametrize(
    ("event", "spelled"),
    [
        # the key right of L... of M on a US keyboard gives a Russian letter, a French one, a comma
        (key(0x042C, NO, "ь", 58), "M"),
        (key(Qt.Key.Key_Q, NO, "q", 38), "A"),  # AZERTY: the key at A's place says Q
        (key(Qt.Key.Key_Ampersand, NO, "&", 10), "1"),  # AZERTY: digits without Shift
        (key(Qt.Key.Key_1, SHIFT, "1", 10), "Shift+1"),
        (key(Qt.Key.Key_M, SHIFT, "M", 58), "Shift+M"),
        (key(0x0424, CTRL, "", 38), "Ctrl+A"),  # Ctrl with a letter that is not Latin: by place
        (key(Qt.Key.Key_Z, CTRL, "", 25), "Ctrl+Z"),  # AZERTY: Ctrl with a Latin letter goes by what it says
        (key(Qt.Key.Key_1, KEYPAD, "1", 87), "1"),
        (key(Qt.Key.Key_Plus, KEYPAD, "+", 86), "+"),
        (key(Qt.Key.Key_Up, KEYPAD, "", 111), "Up"),
        (key(Qt.Key.Key_Enter, KEYPAD, "\r", 104), "Enter"),
        (key(Qt.Key.Key_Equal, NO, "=", 21), "+"),  # US: zoom in without Shift
        (key(Qt.Key.Key_Plus, CTRL | SHIFT, "", 21), "Ctrl++"),
        (key(Qt.Key.Key_Plus, NO, "+", 35), "+"),  # German: plus has a key of its own
        (key(Qt.Key.Key_Minus, NO, "-", 61), "-"),
        (key(Qt.Key.Key_Semicolon, NO, ";", 59), ","),  # AZERTY: the key at the comma's place
        (key(Qt.Key.Key_F9), "F9"),
        (key(Qt.Key.Key_N, NO, "n"), "N"),  # no scan code: as written
    ],
)
def test_a_press_goes_by_the_place_of_the_key(event: QKeyEvent, spelled: str):
    assert spelled in spellings(event, "xcb")


def test_a_letter_at_another_place_does_not_count_by_what_it_says():
    assert spellings(key(Qt.Key.Key_Q, NO, "q", 38), "xcb") == ("A",)


def test_modifiers_alone_stand_for_nothing():
    assert spellings(key(Qt.Key.Key_Shift, SHIFT, "", 50), "xcb") == ()


# --- who gets a key -------------------------------------------------------------------------------


class Room(QWidget):
    """A window with one widget of each kind."""

    def __init__(self, actions: Actions) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.place = VIEWER
        self.line, self.list, self.button, self.pane = QLineEdit(), QListWidget(), QPushButton("Press"), QWidget()
        self.list.addItems(["one", "two", "three"])
        self.pane.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        column = QVBoxLayout(self)
        for widget in (self.line, self.list, self.button, self.pane):
            column.addWidget(widget)
        for name in actions:
            actions[name].triggered.connect(lambda _=False, name=name: self.asked.append(name))
        self.router = KeyRouter(self, actions, lambda: self.place)


@pytest.fixture
def room(qtbot: QtBot, actions: Actions) -> Iterator[Room]:
    room = Room(actions)
    qtbot.addWidget(room)
    with qtbot.waitExposed(room):
        room.show()
    room.activateWindow()
    yield room
    room.router.end()


def test_a_letter_is_a_command_on_a_picture_and_a_letter_in_a_field(qtbot: QtBot, room: Room):
    qtbot.keyClicks(room.pane, "i")
    room.line.setFocus()
    qtbot.keyClicks(room.line, "invert")
    qtbot.keyClick(room.line, Qt.Key.Key_A, CTRL)
    qtbot.keyClick(room.line, Qt.Key.Key_Z, CTRL)

    assert room.asked == ["viewer.invert"]


def test_a_function_key_and_a_place_work_from_within_a_field(qtbot: QtBot, room: Room):
    room.line.setFocus()
    qtbot.keyClick(room.line, Qt.Key.Key_F1)
    qtbot.keyClick(room.line, Qt.Key.Key_2, CTRL)
    qtbot.keyClick(room.line, Qt.Key.Key_Escape)

    assert room.asked == ["help", "place.viewer", "back"]


def test_a_list_keeps_the_keys_that_move_in_it_unless_it_leaves_them_to_its_place(qtbot: QtBot, room: Room):
    room.list.setCurrentRow(0)
    room.list.setFocus()
    qtbot.keyClick(room.list, Qt.Key.Key_Down)
    assert (room.list.currentRow(), room.asked) == (1, [])

    room.list.setProperty(PLACE_KEYS, True)
    qtbot.keyClick(room.list, Qt.Key.Key_Down)
    assert (room.list.currentRow(), room.asked) == (1, ["viewer.slice_down"])


def test_a_button_keeps_space_and_leaves_letters(qtbot: QtBot, room: Room):
    presses: list[int] = []
    room.button.clicked.connect(lambda: presses.append(1))
    room.button.setFocus()

    qtbot.keyClick(room.button, Qt.Key.Key_Space)
    qtbot.keyClicks(room.button, "f")

    assert (presses, room.asked) == ([1], ["viewer.fit"])


def test_the_place_in_front_decides(qtbot: QtBot, room: Room):
    room.place = WORKLIST
    qtbot.keyClicks(room.pane, "r")
    room.place = VIEWER
    qtbot.keyClicks(room.pane, "r")

    assert room.asked == ["worklist.score_again", "viewer.window_wider"]


def test_a_greyed_action_is_not_asked_for(qtbot: QtBot, room: Room, actions: Actions):
    actions.disable("viewer.fit", "No study is open.")

    qtbot.keyClicks(room.pane, "f")

    assert room.asked == []


def test_a_held_key_asks_again_where_that_makes_sense_and_counts(room: Room, actions: Actions):
    counts: list[int] = []
    actions["viewer.slice_up"].triggered.connect(lambda: counts.append(actions.repeats))
    press, again = QEvent.Type.KeyPress, True
    for code in (Qt.Key.Key_Up, Qt.Key.Key_I):
        QApplication.sendEvent(room.pane, QKeyEvent(press, code, NO, ""))
        for _ in range(3):
            QApplication.sendEvent(room.pane, QKeyEvent(press, code, NO, "", again))
        QApplication.sendEvent(room.pane, QKeyEvent(QEvent.Type.KeyRelease, code, NO, ""))

    assert room.asked == ["viewer.slice_up"] * 4 + ["viewer.invert"]
    assert counts == [0, 1, 2, 3]


def test_holding_a_key_is_told_from_press_to_release(room: Room, actions: Actions):
    told: list[str] = []
    actions.pressed.connect(lambda name: told.append(f"+{name}"))
    actions.released.connect(lambda name: told.append(f"-{name}"))

    QApplication.sendEvent(room.pane, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_F9, NO, ""))
    QApplication.sendEvent(room.pane, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_F9, NO, "", True))
    QApplication.sendEvent(room.pane, QKeyEvent(QEvent.Type.KeyRelease, Qt.Key.Key_F9, NO, ""))

    assert told == ["+peek", "-peek"]


def test_a_key_held_while_the_window_loses_the_focus_is_let_go(room: Room, actions: Actions):
    told: list[str] = []
    actions.released.connect(told.append)
    QApplication.sendEvent(room.pane, QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_F9, NO, ""))

    QApplication.sendEvent(room, QEvent(QEvent.Type.WindowDeactivate))

    assert told == ["peek"]


def test_an_action_is_everywhere_or_at_one_place():
    assert meet(EVERYWHERE, VIEWER)
    assert not meet(WORKLIST, VIEWER)
    assert isinstance(Actions()["help"], QAction)
