"""What a site may set, with its defaults; one small JSON file in the data folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.kept import KeptError, known_values, load_values, save_values
from aicorona_desktop.core.receiving import ReceiverSettings, ReceiverSettingsError, receiver_settings_of
from aicorona_desktop.core.retention import Rule
from aicorona_desktop.core.sources import SourceError, WatchedSource, restored, stored

FILE_NAME = "settings.json"


class SettingsError(AicoronaError):
    """A setting is out of its range, or the file of the settings could not be read or written."""


class Order(StrEnum):
    """How the ranked lane is ordered (design D13)."""

    COVID = "covid"
    ABNORMAL_FIRST = "abnormal_first"
    TWO_BANDS = "two_bands"
    ARRIVAL = "arrival"


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a site.

    `quiet_time_s` is how long a study of a watched folder must have been quiet before it is scored, `poll_s`
    the time between two looks into such a folder. `provider` is a device of the scorer, or `auto`. `workers`
    None lets the program choose; `pack` None is the pack that is shipped, else the folder of one. `watched` are
    the folders that the window watches, `copy_files` is whether what a person opens is kept as a copy of ours.
    `look_first` covers score and map until a person's own impression is given, `triage_only` leaves the maps away
    altogether, `hide_names` is whether names are hidden at the start.
    `receiver` is the DICOM receiver, off by default; `backup_also_to` a second folder for each backup, such as a stick.
    `cache_gb` is what decoded slices may take on the disk, 0 for none. `keep_days` and `keep_gb` say when our copies of
    images go (`core.retention`): so many days after a study was read, or above so many GB; 0 is off.
    """

    wait_cap_minutes: int = 60
    order: Order = Order.COVID
    quiet_time_s: float = 30
    poll_s: float = 10
    provider: str = "auto"
    workers: int | None = None
    pack: Path | None = None
    watched: tuple[WatchedSource, ...] = ()
    look_first: bool = False
    triage_only: bool = False
    hide_names: bool = False
    receiver: ReceiverSettings = field(default_factory=ReceiverSettings)
    backup_also_to: Path | None = None
    cache_gb: int = 10
    keep_days: int = 0
    keep_gb: int = 0
    copy_files: bool = True

    def __post_init__(self) -> None:
        _require(10 <= self.wait_cap_minutes <= 720, "The wait cap must be 10 to 720 minutes.")
        _require(0 <= self.quiet_time_s <= 300, "The quiet time of a study must be 0 to 300 seconds.")
        _require(0 < self.poll_s <= 300, "The time between two looks into a folder must be up to 300 seconds.")
        _require(self.workers is None or 1 <= self.workers <= 64, "The number of workers must be 1 to 64.")
        _require(0 <= self.cache_gb <= 1000, "Decoded slices may take 0 to 1000 GB.")
        _require(self.keep_days == 0 or 7 <= self.keep_days <= 36500, "Images are kept 7 days or more, or for ever.")
        _require(0 <= self.keep_gb <= 1_000_000, "All images may take up to 1,000,000 GB.")
        switches = (self.look_first, self.triage_only, self.hide_names, self.copy_files)
        _require(all(isinstance(one, bool) for one in switches), "A switch must be true or false.")

    @property
    def retention(self) -> Rule:
        """When our copies of images go."""
        return Rule(self.keep_days, self.keep_gb)


def load_settings(folder: Path) -> Settings:
    """Return the settings kept in a folder; defaults where there are none. Unknown names are left alone.

    Raises:
        SettingsError: the file can't be read, or holds a value out of its range.
    """
    try:
        return _settings(known_values(Settings, load_values(folder / FILE_NAME)))
    except KeptError as error:
        raise SettingsError("The file of the settings could not be read; mend or remove it.") from error
    except SourceError as error:
        raise SettingsError(str(error)) from error
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError("A setting has a value of the wrong kind; mend or remove the file.") from error


def save_settings(settings: Settings, folder: Path) -> None:
    """Keep the settings: the old file stays whole until the new one is on the disk. Unknown names stay in it.

    Raises:
        SettingsError: the file could not be written; the old one stands.
    """
    values = asdict(settings) | {
        "pack": settings.pack and str(settings.pack),
        "backup_also_to": settings.backup_also_to and str(settings.backup_also_to),
        "watched": [stored(one) for one in settings.watched],
    }
    try:
        save_values(values, folder / FILE_NAME)
    except KeptError as error:
        raise SettingsError("The settings could not be saved; is the disk full or the folder closed?") from error


def _settings(stored: Mapping[str, Any]) -> Settings:
    values = dict(stored)
    if values.get("pack") is not None:
        values["pack"] = Path(values["pack"])
    if values.get("backup_also_to") is not None:
        values["backup_also_to"] = Path(values["backup_also_to"])
    if "receiver" in values:
        values["receiver"] = _receiver(values["receiver"])
    if "watched" in values:
        values["watched"] = tuple(restored(one) for one in _list(values["watched"]))
    return Settings(**values | {"order": Order(values.get("order", Order.COVID))})


def _receiver(value: object) -> ReceiverSettings:
    if not isinstance(value, Mapping):
        raise TypeError("expected values by name")
    try:
        return receiver_settings_of(value)
    except ReceiverSettingsError as error:
        raise SettingsError(str(error)) from error


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("expected a list")
    return value


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise SettingsError(sentence)
