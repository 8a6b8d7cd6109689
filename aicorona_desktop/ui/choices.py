"""The settings as the window uses them: the present value, a change that takes effect at once and is kept."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from PySide6.QtCore import QByteArray, QObject, QTimer, Signal

from aicorona_desktop.core.settings import Settings, load_settings, save_settings
from aicorona_desktop.core.user_settings import UserSettings, load_user_settings, save_user_settings
from aicorona_desktop.ui.jobs import Jobs

T = TypeVar("T")

LANE = "settings"
LAYOUT_KEPT_AFTER_MS = 1000  # a column under the mouse changes its width a hundred times


class SiteChoices(QObject):
    """The settings of the site; `changed` comes with the names of what changed."""

    changed = Signal(object)  # frozenset[str]

    def __init__(self, value: Settings, folder: Path, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.value = value
        self._kept = value
        self._folder = folder
        self._jobs = jobs

    @classmethod
    def load(cls, folder: Path, jobs: Jobs) -> SiteChoices:
        """Read what is kept in a folder; raises SettingsError."""
        return cls(load_settings(folder), folder, jobs)

    def change(self, **new: Any) -> None:
        """Take new values, tell everybody, and keep them.

        Raises:
            SettingsError: a value is out of its range; nothing changed.
        """
        value = replace(self.value, **new)
        changed = _differences(self.value, value)
        if changed:
            self.value = value
            self._jobs.run(partial(_saved, value, save_settings, self._folder), self._has_kept, lane=LANE)
            self.changed.emit(changed)

    def restore(self, *names: str) -> None:
        """Put settings back to what they ship with."""
        shipped = Settings()
        self.change(**{name: getattr(shipped, name) for name in names})

    def flush(self) -> None:
        """Keep what is not on the disk yet; after the jobs were closed. Raises SettingsError."""
        if self.value != self._kept:
            save_settings(self.value, self._folder)
            self._kept = self.value

    def _has_kept(self, value: Settings) -> None:
        self._kept = value


class UserChoices(QObject):
    """The settings of the person at the screen; `changed` comes with the names of what changed."""

    changed = Signal(object)  # frozenset[str]

    def __init__(self, value: UserSettings, folder: Path, jobs: Jobs, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.value = value
        self._kept = value
        self._folder = folder
        self._jobs = jobs
        self._later = QTimer(self, singleShot=True, interval=LAYOUT_KEPT_AFTER_MS)
        self._later.timeout.connect(self._keep)

    @classmethod
    def load(cls, folder: Path, jobs: Jobs) -> UserChoices:
        """Read what is kept in a folder; what can't be used is its default."""
        return cls(load_user_settings(folder), folder, jobs)

    def change(self, **new: Any) -> None:
        """Take new values, tell everybody, and keep them.

        Raises:
            UserSettingsError: a value is out of its range; nothing changed.
        """
        value = replace(self.value, **new)
        changed = _differences(self.value, value)
        if changed:
            self.value = value
            self._keep()
            self.changed.emit(changed)

    def restore(self, *names: str) -> None:
        """Put settings back to what they ship with."""
        shipped = UserSettings()
        self.change(**{name: getattr(shipped, name) for name in names})

    def remember(self, name: str, state: QByteArray) -> None:
        """Keep how the user has arranged something, such as `header.saveState()`; nobody is told."""
        text = base64.b64encode(state.data()).decode("ascii")
        if self.value.layout.get(name) != text:
            self.value = self.value.with_layout(name, text)
            self._later.start()

    def recalled(self, name: str) -> QByteArray:
        """Return what was remembered under a name; empty where nothing was."""
        try:
            return QByteArray(base64.b64decode(self.value.layout.get(name, ""), validate=True))
        except binascii.Error:
            return QByteArray()

    def forget_layout(self) -> None:
        """Let go of everything that was arranged."""
        self.change(layout=MappingProxyType({}))

    def flush(self) -> None:
        """Keep what is not on the disk yet; after the jobs were closed. Raises UserSettingsError."""
        self._later.stop()
        if self.value != self._kept:
            save_user_settings(self.value, self._folder)
            self._kept = self.value

    def own_keys(self) -> dict[str, tuple[str, ...]]:
        """Return the keys that the user has set, by the name of the action."""
        return {name: tuple(text.split()) for name, text in self.value.keys.items()}

    def keep_keys(self, keys: Mapping[str, Iterable[str]]) -> None:
        """Keep the keys that differ from those shipped."""
        self.change(keys=MappingProxyType({name: " ".join(those) for name, those in keys.items()}))

    def _keep(self) -> None:
        self._later.stop()
        self._jobs.run(partial(_saved, self.value, save_user_settings, self._folder), self._has_kept, lane=LANE)

    def _has_kept(self, value: UserSettings) -> None:
        self._kept = value


def _differences(old: Any, new: Any) -> frozenset[str]:
    names = (field.name for field in fields(old))
    return frozenset(name for name in names if getattr(old, name) != getattr(new, name))


def _saved(value: T, save: Callable[[T, Path], None], folder: Path) -> T:
    save(value, folder)
    return value
