"""Every action of the program once: its name, words, keys and the place where it holds.

Menus, buttons, the key sheet and the rebinding page are made from `ACTIONS`. Keys don't go through Qt's shortcut
map, which knows letters only as the layout writes them: `keys.py` looks at the place of a key on the keyboard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QObject, Signal
from PySide6.QtGui import QAction, QKeySequence

from aicorona_desktop.core.errors import AicoronaError

EVERYWHERE, WORKLIST, VIEWER, HISTORY, VERIFICATION = "everywhere", "worklist", "viewer", "history", "verification"


class KeyInUseError(AicoronaError):
    """A key is asked for that another action has."""


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One action as the program ships it.

    `keys` are in Qt's portable spelling, all of them work, the first is shown. `place` is where they hold;
    `checkable` actions are on or off; `repeats`: a key held down asks again and again.
    """

    name: str
    text: str
    keys: tuple[str, ...]
    tooltip: str
    place: str = EVERYWHERE
    checkable: bool = False
    repeats: bool = False


def _text(text: str) -> str:
    """Mark a text for translation; the translation is looked up when it is shown."""
    return str(QT_TRANSLATE_NOOP("actions", text))


def _every(
    name: str, text: str, keys: tuple[str, ...], tooltip: str, *, checkable: bool = False, repeats: bool = False
) -> ActionSpec:
    return ActionSpec(name, text, keys, tooltip, EVERYWHERE, checkable, repeats)


def _list(name: str, text: str, keys: tuple[str, ...], tooltip: str, *, repeats: bool = False) -> ActionSpec:
    return ActionSpec(f"{WORKLIST}.{name}", text, keys, tooltip, WORKLIST, repeats=repeats)


def _view(
    name: str, text: str, keys: tuple[str, ...], tooltip: str, *, checkable: bool = False, repeats: bool = False
) -> ActionSpec:
    return ActionSpec(f"{VIEWER}.{name}", text, keys, tooltip, VIEWER, checkable, repeats)


def _past(name: str, text: str, keys: tuple[str, ...], tooltip: str) -> ActionSpec:
    return ActionSpec(f"{HISTORY}.{name}", text, keys, tooltip, HISTORY)


_HISTORY_ACTIONS = (
    _past("open", _text("Open in the viewer"), ("Return", "Enter"), _text("Show the pictures of this study")),
    _past("outcome", _text("Outcome…"), ("O",), _text("Enter what turned out later: a test, a report, a follow-up")),
    _past("told", _text("Who was told…"), ("W",), _text("Enter who was told of this study")),
    _past("note", _text("Note…"), ("F2",), _text("Write a note on the study")),
    _past("compare", _text("Score again and compare"), ("R",), _text("Compute the score anew and compare every slice")),
    _past("take_back", _text("Take back"), ("Del",), _text("Take the chosen entry back; both stay in the history")),
    _past("table", _text("Save as table…"), (), _text("Save the studies of this list as CSV")),
)

ACTIONS: tuple[ActionSpec, ...] = (
    _every("help", _text("Help for this place"), ("F1",), _text("Say what can be done here")),
    _every("key_sheet", _text("Keys"), ("Shift+F1",), _text("Show every key")),
    _every("about", _text("About"), (), _text("What this program is, its licence, where its files lie")),
    _every(
        "place.worklist", _text("Worklist"), ("Ctrl+1",), _text("The studies in the order in which they should be read")
    ),
    _every("place.viewer", _text("Viewer"), ("Ctrl+2",), _text("The pictures of the study")),
    _every("place.history", _text("History"), ("Ctrl+3",), _text("Everything that was scored, read and decided")),
    _every("place.verification", _text("Verification"), ("Ctrl+4",), _text("Prove the model on studies of this site")),
    _every("open_folder", _text("Open folder…"), ("Ctrl+O",), _text("Read all studies below a folder")),
    _every("open_files", _text("Open files…"), ("Ctrl+Shift+O",), _text("Read single files or archives")),
    _every("import_disc", _text("Import disc…"), ("Ctrl+D",), _text("Read a CD, DVD, USB stick or disc image")),
    _every(
        "watch_folder",
        _text("Watch a folder…"),
        (),
        _text("Look into a folder for new studies for as long as the program runs"),
    ),
    _every("stop_import", _text("Stop reading"), (), _text("Stop the import under way and keep what was read")),
    _every("search", _text("Search"), ("Ctrl+F",), _text("Find a study by name, ID or date")),
    _every(
        "refresh", _text("Look for new files"), ("F5",), _text("Look into the watched folders now and apply the order")
    ),
    _every("lock", _text("Lock"), ("Ctrl+L",), _text("Cover everything that names a patient")),
    _every(
        "hide_names",
        _text("Hidden names"),
        ("Ctrl+H",),
        _text("Show short codes in place of names, IDs and birth dates"),
        checkable=True,
    ),
    _every(
        "peek", _text("Peek at the name"), ("F9",), _text("Show names for as long as the key is held; this is recorded")
    ),
    _every("report_page", _text("Report page…"), ("Ctrl+P",), _text("Make the page of this study")),
    _every("export", _text("Export…"), ("Ctrl+E",), _text("Save pictures or results of this study")),
    _every(
        "copy_picture",
        _text("Copy picture"),
        ("Ctrl+Shift+C",),
        _text("Copy the picture without the patient's identity"),
    ),
    _every("back_up", _text("Back up the history now"), (), _text("Make a proved copy of the history; seven are kept")),
    _every(
        "restore_backup",
        _text("Restore a backup…"),
        (),
        _text("Put a backup in the place of the history, which is set aside"),
    ),
    _every("undo", _text("Undo"), ("Ctrl+Z",), _text("Take the last step back"), repeats=True),
    _every(
        "redo", _text("Redo"), ("Ctrl+Y", "Ctrl+Shift+Z"), _text("Do the step again that was taken back"), repeats=True
    ),
    _every(
        "text_larger", _text("Larger text"), ("Ctrl++",), _text("Make the text of the program larger"), repeats=True
    ),
    _every(
        "text_smaller", _text("Smaller text"), ("Ctrl+-",), _text("Make the text of the program smaller"), repeats=True
    ),
    _every("text_reset", _text("Normal text"), ("Ctrl+0",), _text("Set the text of the program to its normal size")),
    _every("full_screen", _text("Full screen"), ("F11",), _text("Use the whole screen"), checkable=True),
    _every(
        "restore_layout",
        _text("Restore layout"),
        (),
        _text("Put window, columns and panels back as they were at first"),
    ),
    _every("storage", _text("Storage…"), (), _text("What is kept on the disk, and which images may go")),
    _every("settings", _text("Settings…"), ("Ctrl+,",), _text("Change how the program works")),
    _every(
        "quit", _text("Quit"), ("Ctrl+Q",), _text("Close the program; what is unfinished goes on at the next start")
    ),
    _every("back", _text("One step back"), ("Esc",), _text("Leave what is open, one step at a time")),
    _list("up", _text("Row above"), ("Up",), _text("Go to the row above"), repeats=True),
    _list("down", _text("Row below"), ("Down",), _text("Go to the row below"), repeats=True),
    _list("page_up", _text("Page up"), ("PgUp",), _text("Go up by one screen"), repeats=True),
    _list("page_down", _text("Page down"), ("PgDown",), _text("Go down by one screen"), repeats=True),
    _list("first", _text("First row"), ("Home",), _text("Go to the first row")),
    _list("last", _text("Last row"), ("End",), _text("Go to the last row")),
    _list("open", _text("Open"), ("Return", "Enter"), _text("Open the study in the viewer")),
    _list("quick_look", _text("Quick look"), ("Space",), _text("Look at a few slices beside the list")),
    _list("unfold", _text("Unfold"), ("Right",), _text("Show what is folded in this row or lane")),
    _list("fold", _text("Fold"), ("Left",), _text("Fold this row or lane")),
    _list("next_unread", _text("Next unread"), ("N",), _text("Go to the next unread study in order"), repeats=True),
    _list(
        "previous_unread",
        _text("Previous unread"),
        ("Shift+N",),
        _text("Go to the previous unread study in order"),
        repeats=True,
    ),
    _list(
        "pin",
        _text("Pin to Needs a person"),
        ("P",),
        _text("Put the study under Needs a person, or take it from there"),
    ),
    _list("score_again", _text("Score again"), ("R",), _text("Score the study again and compare")),
    _list("score_now", _text("Score now"), (), _text("Score the study without waiting for more files")),
    _list("note", _text("Note…"), ("F2",), _text("Write a note on the study")),
    _list(
        "choose_identity",
        _text("Choose identity…"),
        (),
        _text("Choose whose study it is, where its files name two patients"),
    ),
    _list(
        "choose_version",
        _text("Choose version…"),
        (),
        _text("Choose which images count, where the same ones came with different bytes"),
    ),
    _list("read_name", _text("Read name as…"), (), _text("Show the name in another character set; display only")),
    _list(
        "remove",
        _text("Remove from list"),
        ("Del",),
        _text("Take the row off the list; its files stay, and this can be undone"),
    ),
    _list(
        "copy_row",
        _text("Copy row without identity"),
        ("Ctrl+C",),
        _text("Copy score, state and reason without name and ID"),
    ),
    *_HISTORY_ACTIONS,
    _view("slice_up", _text("Slice above"), ("Up",), _text("Go one slice towards the head"), repeats=True),
    _view("slice_down", _text("Slice below"), ("Down",), _text("Go one slice towards the feet"), repeats=True),
    _view("ten_up", _text("Ten slices up"), ("Shift+Up",), _text("Go ten slices towards the head"), repeats=True),
    _view("ten_down", _text("Ten slices down"), ("Shift+Down",), _text("Go ten slices towards the feet"), repeats=True),
    _view("first_slice", _text("First slice"), ("Home",), _text("Go to the first slice")),
    _view("last_slice", _text("Last slice"), ("End",), _text("Go to the last slice")),
    _view(
        "previous_series",
        _text("Previous series"),
        ("Left", "PgUp"),
        _text("Show the previous series of the study"),
        repeats=True,
    ),
    _view(
        "next_series",
        _text("Next series"),
        ("Right", "PgDown"),
        _text("Show the next series of the study"),
        repeats=True,
    ),
    _view(
        "previous_study",
        _text("Previous study"),
        ("Ctrl+Left",),
        _text("Open the previous study in the order of the list"),
    ),
    _view("next_study", _text("Next study"), ("Ctrl+Right",), _text("Open the next study in the order of the list")),
    _view(
        "next_unread", _text("Next unread study"), ("N",), _text("Open the next unread study in the order of the list")
    ),
    _view("preset_1", _text("Window preset 1"), ("1",), _text("Use the window preset of key 1")),
    _view("preset_2", _text("Window preset 2"), ("2",), _text("Use the window preset of key 2")),
    _view("preset_3", _text("Window preset 3"), ("3",), _text("Use the window preset of key 3")),
    _view("preset_4", _text("Window preset 4"), ("4",), _text("Use the window preset of key 4")),
    _view("preset_5", _text("Window preset 5"), ("5",), _text("Use the window preset of key 5")),
    _view("preset_6", _text("Window preset 6"), ("6",), _text("Use the window preset of key 6")),
    _view("preset_7", _text("Window preset 7"), ("7",), _text("Use the window preset of key 7")),
    _view("preset_8", _text("Window preset 8"), ("8",), _text("Use the window preset of key 8")),
    _view("preset_9", _text("Window preset 9"), ("9",), _text("Use the window preset of key 9")),
    _view("preset_0", _text("Window preset 0"), ("0",), _text("Use the window preset of key 0")),
    _view("own_preset_1", _text("Own preset, Shift+1"), ("Shift+1",), _text("Use the window preset of Shift+1")),
    _view("own_preset_2", _text("Own preset, Shift+2"), ("Shift+2",), _text("Use the window preset of Shift+2")),
    _view("own_preset_3", _text("Own preset, Shift+3"), ("Shift+3",), _text("Use the window preset of Shift+3")),
    _view("own_preset_4", _text("Own preset, Shift+4"), ("Shift+4",), _text("Use the window preset of Shift+4")),
    _view("own_preset_5", _text("Own preset, Shift+5"), ("Shift+5",), _text("Use the window preset of Shift+5")),
    _view("own_preset_6", _text("Own preset, Shift+6"), ("Shift+6",), _text("Use the window preset of Shift+6")),
    _view("own_preset_7", _text("Own preset, Shift+7"), ("Shift+7",), _text("Use the window preset of Shift+7")),
    _view("own_preset_8", _text("Own preset, Shift+8"), ("Shift+8",), _text("Use the window preset of Shift+8")),
    _view("own_preset_9", _text("Own preset, Shift+9"), ("Shift+9",), _text("Use the window preset of Shift+9")),
    _view("own_preset_0", _text("Own preset, Shift+0"), ("Shift+0",), _text("Use the window preset of Shift+0")),
    _view("level_up", _text("Level up"), ("T",), _text("Raise the level by 10 HU"), repeats=True),
    _view("level_down", _text("Level down"), ("G",), _text("Lower the level by 10 HU"), repeats=True),
    _view("window_wider", _text("Window wider"), ("R",), _text("Widen the window by 10 HU"), repeats=True),
    _view("window_narrower", _text("Window narrower"), ("E",), _text("Narrow the window by 10 HU"), repeats=True),
    _view("level_up_fine", _text("Level up, fine"), ("Shift+T",), _text("Raise the level by 1 HU"), repeats=True),
    _view("level_down_fine", _text("Level down, fine"), ("Shift+G",), _text("Lower the level by 1 HU"), repeats=True),
    _view(
        "window_wider_fine", _text("Window wider, fine"), ("Shift+R",), _text("Widen the window by 1 HU"), repeats=True
    ),
    _view(
        "window_narrower_fine",
        _text("Window narrower, fine"),
        ("Shift+E",),
        _text("Narrow the window by 1 HU"),
        repeats=True,
    ),
    _view("invert", _text("Invert"), ("I",), _text("Show black as white"), checkable=True),
    _view("fit", _text("Fit"), ("F",), _text("Fit the slice into the view")),
    _view("one_to_one", _text("One to one"), ("A",), _text("One pixel of the slice on one pixel of the screen")),
    _view("zoom_in", _text("Zoom in"), ("+",), _text("Show the slice larger"), repeats=True),
    _view("zoom_out", _text("Zoom out"), ("-",), _text("Show the slice smaller"), repeats=True),
    _view("reset_view", _text("Reset view"), ("Backspace",), _text("Put window, zoom and place back as at opening")),
    _view("play", _text("Play or pause"), ("Space",), _text("Run through the slices, ten a second"), checkable=True),
    _view("play_slower", _text("Play slower"), ("Shift+Space",), _text("Run through the slices more slowly")),
    _view("map", _text("Map"), ("M",), _text("Show or hide the map; held down: show it for as long"), checkable=True),
    _view(
        "raw_grid",
        _text("Raw grid"),
        ("Shift+M",),
        _text("Show the map in the grid that the model has, without smoothing"),
        checkable=True,
    ),
    _view("map_class", _text("Class of the map"), ("C",), _text("Show the map of the next class")),
    _view("map_drawing", _text("Lines or fill"), ("L",), _text("Draw the map as lines, as fill, or both")),
    _view("map_fainter", _text("Map fainter"), (",",), _text("Lower the opacity of the map by 10 %"), repeats=True),
    _view("map_stronger", _text("Map stronger"), (".",), _text("Raise the opacity of the map by 10 %"), repeats=True),
    _view(
        "next_contribution",
        _text("Next contributing slice"),
        ("J",),
        _text("Go to the next of the slices that moved the score most"),
        repeats=True,
    ),
    _view(
        "previous_contribution",
        _text("Previous contributing slice"),
        ("K",),
        _text("Go to the previous of the slices that moved the score most"),
        repeats=True,
    ),
    _view(
        "map_beside",
        _text("Plain and map side by side"),
        ("B",),
        _text("Show the slice twice, plain and with the map"),
        checkable=True,
    ),
    _view(
        "prior_beside",
        _text("Prior side by side"),
        ("Y",),
        _text("Show an earlier study beside this one, at the same place"),
        checkable=True,
    ),
    _view(
        "reformats",
        _text("Coronal and sagittal"),
        ("O",),
        _text("Show the series from the front and from the side"),
        checkable=True,
    ),
    _view("distance", _text("Distance"), ("D",), _text("Measure a distance")),
    _view("probe", _text("HU probe"), ("H",), _text("Read the value at a point")),
    _view("rectangle", _text("Rectangle"), ("Q",), _text("Measure mean and spread of the values in a rectangle")),
    _view("ellipse", _text("Ellipse"), ("W",), _text("Measure mean and spread of the values in an ellipse")),
    _view("delete_measure", _text("Delete measure"), ("Del",), _text("Delete the chosen measure; this can be undone")),
    _view("corner_text", _text("Corner text"), ("X",), _text("Show all corner text, or identity and slice only")),
    _view(
        "overlays",
        _text("Overlays in the image"),
        ("Shift+X",),
        _text("Show or hide the lines and texts that come with the image"),
        checkable=True,
    ),
    _view("verdict", _text("Own impression"), ("V",), _text("Go to the panel of your own impression and action")),
    _view("action_now", _text("Show a doctor now"), ("F6",), _text("Set the action: show a doctor now")),
    _view("action_routine", _text("Routine reading"), ("F7",), _text("Set the action: routine reading")),
    _view(
        "cannot_judge",
        _text("Cannot judge"),
        ("F8",),
        _text("Say that you cannot judge; the study goes to Needs a person"),
    ),
    _view(
        "save_verdict",
        _text("Save impression"),
        ("Ctrl+Return", "Ctrl+Enter"),
        _text("Save your impression and action"),
    ),
)


def specs_by_name() -> dict[str, ActionSpec]:
    """Return every action as shipped, by its name."""
    return {spec.name: spec for spec in ACTIONS}


def normal_key(text: str) -> str:
    """Return a key in Qt's portable spelling, "" for what is none."""
    return QKeySequence(text, QKeySequence.SequenceFormat.PortableText).toString(
        QKeySequence.SequenceFormat.PortableText
    )


def meet(one: str, other: str) -> bool:
    """Whether actions of two places can be asked for at the same moment."""
    return one == other or EVERYWHERE in (one, other)


class Actions(QObject):
    """The QActions, made once, by name; a mapping in all but its base class.

    `pressed` and `released` come with every use of a key, for what depends on how long it is held (peek at a name,
    peek at the map); `repeats` counts how often a held key has asked again. Neither comes from a menu or a button.
    """

    pressed = Signal(str)
    released = Signal(str)
    keys_changed = Signal()

    def __init__(self, keys: Mapping[str, Iterable[str]] | None = None, parent: QObject | None = None) -> None:
        """Make all actions; `keys` are the user's own, by name of the action, and unknown names are left alone."""
        super().__init__(parent)
        self._specs = specs_by_name()
        self._actions = {spec.name: QAction(self, checkable=spec.checkable) for spec in ACTIONS}
        self._keys = {spec.name: tuple(normal_key(key) for key in spec.keys) for spec in ACTIONS}
        self._why: dict[str, str] = {}
        self.repeats = 0
        for name, wanted in (keys or {}).items():
            if name in self._specs:
                self._keys[name] = tuple(filter(None, map(normal_key, wanted)))
        self.translate()

    def __getitem__(self, name: str) -> QAction:
        return self._actions[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._actions)

    def __len__(self) -> int:
        return len(self._actions)

    def spec(self, name: str) -> ActionSpec:
        """Return an action as shipped."""
        return self._specs[name]

    def keys(self, name: str) -> tuple[str, ...]:
        """Return the keys of an action as they are set now, in portable spelling."""
        return self._keys[name]

    def shown_key(self, name: str) -> str:
        """Return the first key of an action as this system writes it; "" where it has none."""
        keys = self._keys[name]
        return self.native(keys[0]) if keys else ""

    def native(self, key: str) -> str:
        """Return a key as this system writes it."""
        return QKeySequence(key, QKeySequence.SequenceFormat.PortableText).toString(
            QKeySequence.SequenceFormat.NativeText
        )

    def of(self, place: str) -> tuple[ActionSpec, ...]:
        """Return the actions of a place, in the order of the key sheet."""
        return tuple(spec for spec in ACTIONS if spec.place == place)

    def find(self, key: str, place: str) -> str | None:
        """Return the name of the action that a key asks for at a place; None where it asks for none."""
        for near in (place, EVERYWHERE):
            for spec in self.of(near):
                if key in self._keys[spec.name]:
                    return spec.name
        return None

    def rebind(self, name: str, keys: Iterable[str]) -> None:
        """Give an action other keys.

        Raises:
            KeyInUseError: another action that can be asked for at the same place has one of them.
        """
        wanted = tuple(filter(None, map(normal_key, keys)))
        for key in wanted:
            other = self._user_of(key, name)
            if other is not None:
                raise KeyInUseError(
                    QCoreApplication.translate("actions", "{key} is already used by “{name}”.").format(
                        key=self.native(key), name=self.text(other)
                    )
                )
        self._keys[name] = wanted
        self.translate()
        self.keys_changed.emit()

    def restore_keys(self) -> None:
        """Give every action the keys that it ships with."""
        self._keys = {spec.name: tuple(normal_key(key) for key in spec.keys) for spec in ACTIONS}
        self.translate()
        self.keys_changed.emit()

    def own_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys that differ from those shipped, by name."""
        shipped = {spec.name: tuple(normal_key(key) for key in spec.keys) for spec in ACTIONS}
        return {name: keys for name, keys in self._keys.items() if keys != shipped[name]}

    def text(self, name: str) -> str:
        """Return the words of an action in the language of the window."""
        return QCoreApplication.translate("actions", self._specs[name].text)

    def tooltip(self, name: str) -> str:
        """Return what an action does, with its key, or why it can't be done now."""
        tip = self._why.get(name) or QCoreApplication.translate("actions", self._specs[name].tooltip)
        key = self.shown_key(name)
        return f"{tip} ({key})" if key else tip

    def why(self, name: str) -> str:
        """Return why an action can't be done now, "" where it can."""
        return self._why.get(name, "")

    def disable(self, name: str, why: str) -> None:
        """Make an action impossible for now; `why` is shown on hover and focus (ux.md 13)."""
        self._why[name] = why
        self._actions[name].setEnabled(False)
        self._actions[name].setToolTip(self.tooltip(name))

    def enable(self, name: str) -> None:
        """Make an action possible again."""
        self._why.pop(name, None)
        self._actions[name].setEnabled(True)
        self._actions[name].setToolTip(self.tooltip(name))

    def translate(self) -> None:
        """Set all words anew, in the language of the window; menus show the key behind a tabulator."""
        for name, action in self._actions.items():
            key = self.shown_key(name)
            action.setObjectName(name)
            action.setText(f"{self.text(name)}\t{key}" if key else self.text(name))
            action.setIconText(self.text(name).rstrip("…"))
            action.setToolTip(self.tooltip(name))
            action.setStatusTip(QCoreApplication.translate("actions", self._specs[name].tooltip))

    def ask(self, name: str, *, repeat: bool = False) -> None:
        """Do what a key asks for: one press, or one repeat of it while it is held."""
        if repeat and not self._specs[name].repeats:
            return
        self.repeats = self.repeats + 1 if repeat else 0
        if not repeat:
            self.pressed.emit(name)
        self._actions[name].trigger()

    def let_go(self, name: str) -> None:
        """Say that the key of an action was let go."""
        self.repeats = 0
        self.released.emit(name)

    def _user_of(self, key: str, apart_from: str) -> str | None:
        here = self._specs[apart_from].place
        return next(
            (
                name
                for name, keys in self._keys.items()
                if name != apart_from and key in keys and meet(here, self._specs[name].place)
            ),
            None,
        )
