"""What the panel and the maps stand on, without the window: a real history, jobs and actions over made-up studies."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import numpy as np
from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoStack

from aicorona_desktop.app.viewing import ViewedSeries, ViewedStudy
from aicorona_desktop.core.rows import State
from aicorona_desktop.core.score import CLASSES, Score
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.core.study import Instance, Study
from aicorona_desktop.core.user_settings import UserSettings
from aicorona_desktop.history.store import History, StoredResult
from aicorona_desktop.model.pack import OperatingPoint, Pack
from aicorona_desktop.model.score import combine, contribution_of
from aicorona_desktop.triage.maps import MapStore
from aicorona_desktop.triage.operating_point import OperatingPoints
from aicorona_desktop.ui.actions import Actions
from aicorona_desktop.ui.choices import SiteChoices, UserChoices
from aicorona_desktop.ui.context import Context
from aicorona_desktop.ui.jobs import Bridge, Jobs
from aicorona_desktop.ui.viewer_state import ViewerState
from tests.history import made_up
from tests.history.made_up import NOW
from tests.model.tiny_pack import tiny_pack


class Asked:
    """Stands for the engine: remembers what was asked of it."""

    def __init__(self) -> None:
        self.requests: list[tuple[Any, ...]] = []

    def request_maps(self, uid: str, *, again: bool = False) -> None:
        self.requests.append(("maps", uid, again))

    def score_again(self, uid: str, series: str | None = None, *, anyway: bool = False, by: str = "") -> None:
        self.requests.append(("score_again", uid, series, anyway, by))

    def request_verification(self, uid: str) -> None:
        self.requests.append(("verify", uid))

    def settle_identity(self, uid: str) -> None:
        self.requests.append(("settle_identity", uid))


class View(QObject):
    """The viewer's one value, without a viewer."""

    state_changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.state = ViewerState(slices=12)

    def set_state(self, state: ViewerState) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)


@contextmanager
def context_over(folder: Path, pack: Pack, *, engine: bool = True, site: Settings | None = None) -> Iterator[Context]:
    """A context over an empty history in a folder."""
    with History.open(folder / "history.sqlite", clock=made_up.Clock()) as history:
        jobs = Jobs()
        running = SimpleNamespace(
            backups=None,
            engine=Asked() if engine else None,
            history=history,
            pack=pack,
            maps=MapStore(folder / "maps"),
            points=OperatingPoints(history, pack, lambda: "", lambda: NOW),
            volumes=None,
        )
        try:
            yield Context(
                running=running,  # type: ignore[arg-type]
                reading=history,
                jobs=jobs,
                bridge=Bridge(),
                site=SiteChoices(site or Settings(), folder, jobs),
                user=UserChoices(UserSettings(), folder, jobs),
                actions=Actions(),
                undo=QUndoStack(),
                identities=None,  # type: ignore[arg-type]
                theme=None,  # type: ignore[arg-type]
                now=lambda: NOW,
                person=lambda: "AB",
            )
        finally:
            assert jobs.close(5)


def cams_of(slices: int, seed: int = 0, cells: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 2, (slices, len(CLASSES), cells, cells)).astype(np.float32)


def score_of(study: Study, pack: Pack, cams: np.ndarray, **changes: Any) -> Score:
    """The score that maps [n, 3, h, w] of the study's first n slices add up to."""
    contributions = tuple(contribution_of(cam) for cam in cams)
    combined = combine(pack, contributions)
    instances = study.series[0].instances[: len(cams)]
    score = replace(
        made_up.score(study),
        logits=combined.logits,
        probabilities=combined.probabilities,
        slice_indices=tuple(range(len(cams))),
        slice_identities=tuple(one.identity for one in instances),
        slice_sha256=tuple(one.file.sha256 for one in instances),
        slice_contributions=contributions,
        pack=pack.title,
        pack_sha256=pack.sha256,
        pack_status=pack.status,
        preparation=pack.preparation,
    )
    return replace(score, **changes)


WAY = [(State.CHECKING, "test"), (State.QUEUED, "test"), (State.RUNNING, "test")]


def recorded(history: History, study: Study, score: Score, findings: tuple[Any, ...] = ()) -> StoredResult:
    history.record_received(study)
    history.move_through(study.study_instance_uid, WAY[: 2 if score.preliminary else 3])
    history.record_result(study.study_instance_uid, score, findings, "0.1", "gate-1", choice=made_up.choice(study))
    result = history.result(study.study_instance_uid)
    assert result is not None
    return result


@lru_cache(maxsize=4)
def a_pack(threshold: float | None = None) -> Pack:
    """A pack around a toy network, whose file is gone again; temperature 1, bias 0.1, 0.2, -0.3."""
    point = None if threshold is None else OperatingPoint(threshold, "A", "tuning set of the toy")
    with TemporaryDirectory() as folder:
        return tiny_pack(Path(folder), operating_point=point)


def hashed(study: Study) -> Study:
    """The same study with a digest for each of its files."""

    def with_digest(one: Instance) -> Instance:
        return replace(one, file=replace(one.file, sha256=made_up.sha256(one.file.shown)))

    return replace(
        study, series=tuple(replace(one, instances=tuple(map(with_digest, one.instances))) for one in study.series)
    )


def placed(study: Study) -> Study:
    """The same study with a place for each of its slices, 5 mm apart."""

    def with_place(number: int, one: Instance) -> Instance:
        places = {"image_position_mm": (0.0, 0.0, 5.0 * number), "pixel_spacing_mm": (0.7, 0.7)}
        directions = {"row_cosines": (1.0, 0.0, 0.0), "column_cosines": (0.0, 1.0, 0.0)}
        return replace(one, header=replace(one.header, rows=64, columns=64, **places, **directions))

    series = (
        replace(one, instances=tuple(with_place(*each) for each in enumerate(one.instances))) for one in study.series
    )
    return replace(study, series=tuple(series))


def viewed(study: Study, result: StoredResult | None, rows: int = 64, columns: int = 64) -> ViewedStudy:
    """The study as the viewer has it: all series, the first one scored."""
    series = tuple(
        ViewedSeries(one, one.instances, None, (), rows, columns, scored=result is not None and place == 0)
        for place, one in enumerate(study.series)
    )
    return ViewedStudy(study.study_instance_uid, study, series, (), result)
