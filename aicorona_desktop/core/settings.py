"""What a site may set, with its defaults; one small JSON file in the data folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from pathlib import Path

from aicorona_desktop.core.durable import write_file
from aicorona_desktop.core.errors import AicoronaError

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
    None lets the program choose; `pack` None is the pack that is shipped, else the folder of one.
    """

    wait_cap_minutes: int = 60
    order: Order = Order.COVID
    quiet_time_s: float = 30
    poll_s: float = 10
    provider: str = "auto"
    workers: int | None = None
    pack: Path | None = None

    def __post_init__(self) -> None:
        _require(10 <= self.wait_cap_minutes <= 720, "The wait cap must be 10 to 720 minutes.")
        _require(0 <= self.quiet_time_s <= 300, "The quiet time of a study must be 0 to 300 seconds.")
        _require(0 < self.poll_s <= 300, "The time between two looks into a folder must be up to 300 seconds.")
        _require(self.workers is None or 1 <= self.workers <= 64, "The number of workers must be 1 to 64.")


def load_settings(folder: Path) -> Settings:
    """Return the settings kept in a folder; defaults where there are none. Unknown names are left alone.

    Raises:
        SettingsError: the file can't be read, or holds a value out of its range.
    """
    try:
        stored = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Settings()
    except (OSError, ValueError) as error:
        raise SettingsError("The file of the settings could not be read; mend or remove it.") from error
    _require(isinstance(stored, dict), "The file of the settings holds no settings; mend or remove it.")
    known = {field.name: stored[field.name] for field in fields(Settings) if field.name in stored}
    try:
        if known.get("pack") is not None:
            known["pack"] = Path(known["pack"])
        return Settings(**known | {"order": Order(known.get("order", Order.COVID))})
    except (TypeError, ValueError) as error:
        raise SettingsError("A setting has a value of the wrong kind; mend or remove the file.") from error


def save_settings(settings: Settings, folder: Path) -> None:
    """Keep the settings: the old file stays whole until the new one is on the disk.

    Raises:
        SettingsError: the file could not be written; the old one stands.
    """
    text = json.dumps(asdict(settings) | {"pack": settings.pack and str(settings.pack)}, indent=2) + "\n"
    try:
        write_file(folder / FILE_NAME, text.encode())
    except OSError as error:
        raise SettingsError("The settings could not be saved; is the disk full or the folder closed?") from error


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise SettingsError(sentence)
