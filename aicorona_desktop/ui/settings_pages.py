"""The settings that a person can change, as a table: name, group, words, what it may be."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication

from aicorona_desktop.core.settings import Order
from aicorona_desktop.core.user_settings import DragSpeed, MouseScheme, Theme
from aicorona_desktop.model.protocol import PROVIDERS

translate = QCoreApplication.translate

INTAKE, ORDER, VIEWER, KEYS, MODEL, PRIVACY, LOOK, STORAGE, BACKUP = (
    *("intake", "order", "viewer", "keys", "model"),
    *("privacy", "look", "storage", "backup"),
)


@dataclass(frozen=True, slots=True)
class Switch:
    """On or off."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number with its limits and unit."""

    smallest: float
    largest: float
    step: float
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several values, each with its words."""

    options: tuple[tuple[object, str], ...]


@dataclass(frozen=True, slots=True)
class Words:
    """A short text."""

    longest: int


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: a field of the site's settings, or of the user's; `needs_start` takes effect at the next start."""

    name: str
    of_site: bool
    group: str
    words: str
    explained: str
    kind: Switch | Number | Choice | Words
    needs_start: bool = False


def groups() -> tuple[tuple[str, str], ...]:
    """Return the groups in their order, with their words."""
    return (
        (INTAKE, translate("Settings", "Intake")),
        (ORDER, translate("Settings", "Order and alerts")),
        (VIEWER, translate("Settings", "Viewer")),
        (KEYS, translate("Settings", "Keys and mouse")),
        (MODEL, translate("Settings", "Model and device")),
        (PRIVACY, translate("Settings", "Privacy")),
        (LOOK, translate("Settings", "Language and look")),
        (STORAGE, translate("Settings", "Storage")),
        (BACKUP, translate("Settings", "Backup")),
    )


def settings() -> tuple[Setting, ...]:
    """Return all settings, group by group, in the language of the window."""
    return (*_intake(), *_order(), *_viewer(), *_keys(), *_model(), *_privacy(), *_look(), *_storage())


def _intake() -> tuple[Setting, ...]:
    seconds = translate("Settings", " s")
    return (
        Setting(
            "quiet_time_s",
            True,
            INTAKE,
            translate("Settings", "A study is complete after"),
            translate("Settings", "No new file of it has come for so long. Late files open it again."),
            Number(10, 300, 5, seconds),
        ),
        Setting(
            "poll_s",
            True,
            INTAKE,
            translate("Settings", "Look into watched folders every"),
            translate("Settings", "Network drives every 30 s at most, unless a folder has a time of its own."),
            Number(1, 300, 1, seconds),
        ),
        Setting(
            "copy_files",
            True,
            INTAKE,
            translate("Settings", "Keep copies of what is opened"),
            translate("Settings", "Folders and files that you open or drop stay at hand when they go where they lie."),
            Switch(),
        ),
        Setting(
            "ask_for_discs",
            False,
            INTAKE,
            translate("Settings", "Ask when a disc is put in"),
            translate("Settings", "A disc with DICOM images is noticed, and you are asked once whether to import it."),
            Switch(),
        ),
        Setting(
            "ask_for_sticks",
            False,
            INTAKE,
            translate("Settings", "Ask when a stick or card is put in"),
            translate("Settings", "A stick with DICOM images is noticed, and you are asked once whether to import it."),
            Switch(),
        ),
    )


def _order() -> tuple[Setting, ...]:
    orders = (
        (Order.COVID, translate("Settings", "Model score (COVID-19), highest first")),
        (Order.ABNORMAL_FIRST, translate("Settings", "Abnormal first: all but the class “normal”")),
        (Order.TWO_BANDS, translate("Settings", "Two bands: from the operating point on, then by arrival")),
        (Order.ARRIVAL, translate("Settings", "Arrival: first come, first listed")),
    )
    return (
        Setting(
            "order",
            True,
            ORDER,
            translate("Settings", "Order of the ranked studies"),
            translate("Settings", "Needs a person and Overdue stand above in every order; nothing is ever hidden."),
            Choice(orders),
        ),
        Setting(
            "wait_cap_minutes",
            True,
            ORDER,
            translate("Settings", "Wait cap"),
            translate("Settings", "A study unread for longer is moved to Overdue."),
            Number(10, 720, 5, translate("Settings", " min")),
        ),
        Setting(
            "look_first",
            True,
            ORDER,
            translate("Settings", "Look first"),
            translate("Settings", "Score and map stay covered until you have given your own impression."),
            Switch(),
        ),
    )


def _viewer() -> tuple[Setting, ...]:
    colours = (
        ("cividis", "Cividis"),
        ("viridis", "Viridis"),
        ("inferno", "Inferno"),
        ("grey", translate("Settings", "Grey")),
        ("orange", translate("Settings", "Orange lines")),
    )
    texts = (("all", translate("Settings", "All")), ("least", translate("Settings", "Identity and slice only")))
    return (
        Setting(
            "triage_only",
            True,
            VIEWER,
            translate("Settings", "No maps at this site"),
            translate("Settings", "Maps are left away altogether; the score stays."),
            Switch(),
        ),
        Setting(
            "colour_map",
            False,
            VIEWER,
            translate("Settings", "Colours of the map"),
            translate("Settings", "All of them rise evenly and can be told apart by colour-blind people."),
            Choice(colours),
        ),
        Setting(
            "map_opacity_percent",
            False,
            VIEWER,
            translate("Settings", "Opacity of the map"),
            translate("Settings", "How strongly its fill covers the picture."),
            Number(0, 100, 5, " %"),
        ),
        Setting(
            "corner_text",
            False,
            VIEWER,
            translate("Settings", "Corner text"),
            translate("Settings", "Identity and slice number never go away."),
            Choice(texts),
        ),
        Setting(
            "image_overlays",
            False,
            VIEWER,
            translate("Settings", "Overlays in the image"),
            translate("Settings", "Lines and texts that come with the image are drawn over it."),
            Switch(),
        ),
        Setting(
            "two_line_rows",
            False,
            VIEWER,
            translate("Settings", "Two lines a row in the worklist"),
            translate("Settings", "Shows more of each study, and fewer studies."),
            Switch(),
        ),
    )


def _keys() -> tuple[Setting, ...]:
    schemes = (
        (MouseScheme.WINDOW_ON_LEFT, translate("Settings", "Window on the left button")),
        (MouseScheme.SCROLL_ON_LEFT, translate("Settings", "Scroll on the left button")),
        (MouseScheme.ONE_BUTTON, translate("Settings", "One button and wheel")),
    )
    speeds = (
        (DragSpeed.SLOW, translate("Settings", "Slow")),
        (DragSpeed.NORMAL, translate("Settings", "Normal")),
        (DragSpeed.FAST, translate("Settings", "Fast")),
    )
    return (
        Setting(
            "mouse_scheme",
            False,
            KEYS,
            translate("Settings", "Mouse"),
            translate("Settings", "What dragging with the left button does in the viewer."),
            Choice(schemes),
        ),
        Setting(
            "wheel_reversed",
            False,
            KEYS,
            translate("Settings", "Turn the wheel the other way"),
            translate("Settings", "Wheel towards you goes towards the head."),
            Switch(),
        ),
        Setting(
            "wheel_steps",
            False,
            KEYS,
            translate("Settings", "Slices a notch"),
            translate("Settings", "How many slices a notch of the wheel goes; fine steps of a trackpad add up."),
            Number(1, 10, 1),
        ),
        Setting(
            "drag_speed",
            False,
            KEYS,
            translate("Settings", "Speed of dragging"),
            translate("Settings", "How far window and zoom go with the mouse."),
            Choice(speeds),
        ),
    )


def _model() -> tuple[Setting, ...]:
    devices = (("auto", translate("Settings", "The fastest that proves itself")), *((one, one) for one in PROVIDERS))
    return (
        Setting(
            "provider",
            True,
            MODEL,
            translate("Settings", "Device"),
            translate("Settings", "A device that differs from the processor beyond tolerance is not used."),
            Choice(devices),
            True,
        ),
    )


def _privacy() -> tuple[Setting, ...]:
    return (
        Setting(
            "hide_names",
            True,
            PRIVACY,
            translate("Settings", "Start with hidden names"),
            translate("Settings", "Names, IDs and birth dates become short codes; Ctrl+H switches at any time."),
            Switch(),
        ),
        Setting(
            "initials",
            False,
            PRIVACY,
            translate("Settings", "Your initials"),
            translate("Settings", "Kept with every impression and note that you save."),
            Words(8),
        ),
    )


def _look() -> tuple[Setting, ...]:
    themes = (
        (Theme.SYSTEM, translate("Settings", "As the system")),
        (Theme.LIGHT, translate("Settings", "Light")),
        (Theme.DARK, translate("Settings", "Dark")),
    )
    return (
        Setting(
            "theme",
            False,
            LOOK,
            translate("Settings", "Look"),
            translate("Settings", "Pictures are the same in both."),
            Choice(themes),
        ),
        Setting(
            "text_percent",
            False,
            LOOK,
            translate("Settings", "Text size"),
            translate("Settings", "Beside the scale of the system; Ctrl+Plus and Ctrl+Minus change it anywhere."),
            Number(80, 200, 10, " %"),
        ),
    )


def _storage() -> tuple[Setting, ...]:
    return (
        Setting(
            "cache_gb",
            True,
            STORAGE,
            translate("Settings", "Decoded slices may take"),
            translate("Settings", "What was looked at opens at once the next time. A tenth of the disk is the most."),
            Number(0, 1000, 1, translate("Settings", " GB")),
        ),
    )
