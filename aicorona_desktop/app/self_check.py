"""Tries every part of the program for real and says what this machine can do."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.findings import Finding
from aicorona_desktop.core.places import resources_dir
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.history.store import History
from aicorona_desktop.model.client import Scorer
from aicorona_desktop.model.pack import Pack
from aicorona_desktop.model.providers import proof_of
from aicorona_desktop.model.selection import selected

TIMED_SLICES = 12
STUDY_SLICES = 40
REFERENCE_SAMPLE = "explicit-vr-little-endian"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing tried: its name, whether it works, and one sentence with what was measured."""

    name: str
    ok: bool
    detail: str


@dataclass(slots=True)
class SelfCheck:
    """All checks of one run, with the figures that others want to read."""

    checks: list[Check]
    provider: str = ""
    slices_per_s: float | None = None
    seconds_study: float | None = None

    @property
    def ok(self) -> bool:
        """Whether every part works."""
        return all(check.ok for check in self.checks)


def self_check(pack: Pack, provider: str, told: Callable[[Check], None] = lambda _check: None) -> SelfCheck:
    """Try reader, decoders, history, pack, device and speed; `told` hears each check as it is done."""
    result = SelfCheck([])

    def note(check: Check) -> None:
        result.checks.append(check)
        told(check)

    note(Check("model pack", True, f"{pack.title}: files and SHA-256 as described; {pack.status_text}."))
    for check in (*_history(), *_reader(), *_scorer(pack, provider, result), *_sockets()):
        note(check)
    return result


def _history() -> Iterator[Check]:
    with scratch_folder() as folder:
        try:
            with History.open(Path(folder) / "history.sqlite") as history:
                detail = f"opened, migrated, empty ({len(history.rows())} studies)."
        except AicoronaError as error:
            yield Check("history", False, str(error))
        else:
            yield Check("history", True, detail)


def _reader() -> Iterator[Check]:
    """Decode one small file of each supported transfer syntax; all hold the same picture."""
    samples = sorted((resources_dir() / "samples").glob("*.dcm"))
    try:
        with Reader() as reader:
            pictures = {sample.stem: _decoded(reader, sample.read_bytes()) for sample in samples}
    except (AicoronaError, OSError) as error:
        yield Check("decoders", False, f"the samples could not be read ({type(error).__name__}).")
        return
    expected = pictures.get(REFERENCE_SAMPLE)
    failed = [name for name, picture in pictures.items() if picture is None or picture != expected]
    if failed or not samples:
        yield Check("decoders", False, f"not read as expected: {', '.join(failed) or 'no sample files'}.")
    else:
        yield Check("decoders", True, f"{len(samples)} transfer syntaxes give the same picture.")


def _decoded(reader: Reader, data: bytes) -> bytes | None:
    ((_, _, answer),) = reader.read_slices([(0, data, hashlib.sha256(data).hexdigest(), (0,))])
    return None if isinstance(answer, Finding) else answer.hounsfield.tobytes()


def _scorer(pack: Pack, provider: str, result: SelfCheck) -> Iterator[Check]:
    try:
        with Scorer(pack, provider) as scorer:
            scorer.wait_until_ready()
            seconds = _timed(scorer, pack, result)
            result.provider = scorer.provider
            yield from (Check("device", False, str(note)) for note in (*scorer.machine_notes, *scorer.notes))
            scorer.submit(0, pack.known_slice)
            answer = scorer.next()
    except AicoronaError as error:
        yield Check("device", False, str(error))
        return
    if answer is None:
        yield Check("known answer", False, "the model gave no answer.")
        return
    proof = proof_of(answer[1], pack.known_answer, seconds)
    agreement = f"features cosine {proof.features_cosine:.6f}, largest logit difference {proof.logit_difference:.1e}"
    agrees = proof.agrees(pack.tolerance(result.provider))
    yield Check("known answer", agrees, f"the known slice on {result.provider} against the pack: {agreement}.")
    study = f"about {result.seconds_study:.1f} seconds for a {STUDY_SLICES}-slice study"
    yield Check("speed", True, f"{result.slices_per_s:.1f} slices/s at {pack.input_size} x {pack.input_size}: {study}.")


def _timed(scorer: Scorer, pack: Pack, result: SelfCheck) -> float:
    """Score the known slice a few times; return seconds a slice, with all workers busy."""
    started = time.monotonic()
    for ticket in range(TIMED_SLICES):
        scorer.submit(ticket, pack.known_slice)
    while scorer.next() is not None:
        pass
    seconds = (time.monotonic() - started) / TIMED_SLICES
    result.slices_per_s = 1 / seconds
    result.seconds_study = len(selected(STUDY_SLICES, pack.slice_rule)) * seconds
    return seconds


def _sockets() -> Iterator[Check]:
    """No network socket is open in this process (Linux shows them; elsewhere nothing is claimed)."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return
    sockets = [link for link in descriptors.iterdir() if link.is_symlink() and str(_target(link)).startswith("socket:")]
    yield Check("network", not sockets, "no socket is open." if not sockets else f"{len(sockets)} sockets are open.")


def _target(link: Path) -> Path:
    try:
        return link.readlink()
    except OSError:
        return link  # closed since it was listed
