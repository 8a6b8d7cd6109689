"""One reader and one scorer for all tests of the whole street; a fresh engine and history for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.cli.report import study_objects
from aicorona_desktop.core.events import Event
from aicorona_desktop.core.settings import Settings
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History, utc_now
from aicorona_desktop.intake.originals import Originals
from aicorona_desktop.model.cache import SliceCache
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import default_pack
from aicorona_desktop.triage.engine import Engine
from aicorona_desktop.triage.ranking import policy_of, rank


@dataclass
class Street:
    """What a test sees of one run: the objects of `triage --json`, and the events."""

    objects: list[dict[str, Any]]
    events: list[Event]
    engine: Engine

    @property
    def study(self) -> dict[str, Any]:
        studies = [one for one in self.objects if one["study_uid"] is not None]
        assert len(studies) == 1, [one["study_uid"] for one in self.objects]
        return studies[0]

    @property
    def files(self) -> dict[str, dict[str, str]]:
        return {path: outcome for one in self.objects for path, outcome in one["files"].items()}


@pytest.fixture(scope="session")
def reader() -> Iterator[Reader]:
    with Reader() as reader:
        yield reader


@pytest.fixture(scope="session")
def scorer() -> Iterator[Scorer]:
    with Scorer(default_pack(), "cpu") as scorer:
        yield scorer


@pytest.fixture(scope="session")
def cache() -> SliceCache:
    return SliceCache()


@pytest.fixture
def run(reader: Reader, scorer: Scorer, cache: SliceCache, tmp_path: Path) -> Callable[..., Street]:
    """Triage paths and return what came out."""

    runs = count()

    def triage(*paths: Path) -> Street:
        events: list[Event] = []
        folder = tmp_path / f"run-{next(runs)}"
        folder.mkdir()
        with History.open(folder / "history.sqlite") as history:
            spool = Originals(folder / "spool", history.intend_copies)
            engine = Engine(
                reader=reader,
                scorer=scorer,
                history=history,
                spool=spool,
                settings=Settings(),
                listener=events.append,
                cache=cache,  # most generated cases hold the same pixels
            )
            engine.start()
            engine.submit(paths)
            assert engine.wait_until_idle(120)
            engine.stop()
            assert engine.failure is None, engine.failure
            rows = rank(history.rows(), utc_now(), policy_of(Settings(), engine.operating_point))
        return Street(
            study_objects(rows, engine.results, engine.catalogue.without_study(), scorer.pack), events, engine
        )

    return triage
