"""Studies to look at: all series with their slices in order, and the pixels of each, through a reader of its own.

The engine's reader is busy with what comes in; scrolling must never wait for it (design D3). Nothing here writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from aicorona_desktop.app.volume_cache import ShownSlice, VolumeCache, VolumeWriting
from aicorona_desktop.core.errors import AicoronaError
from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.headers import Header, Vector
from aicorona_desktop.core.retention import Step
from aicorona_desktop.core.score import Score
from aicorona_desktop.core.study import Instance, LeftOut, Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.geometry import Geometry, geometry_of, has_place
from aicorona_desktop.dicom.late_reader import LateReader
from aicorona_desktop.dicom.protocol import SliceShown
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.dicom.volume import is_standard, standard_spacing_mm, to_standard_orientation
from aicorona_desktop.history.store import History, HistoryError, StoredResult
from aicorona_desktop.intake.opening import read_again
from aicorona_desktop.triage.identities import as_chosen
from aicorona_desktop.triage.same_images import Contents
from aicorona_desktop.triage.versions import NOT_A_VERSION

Pixels = NDArray[np.int16] | Finding


MOST_READ_AGAIN = 8
"""A series is kept although the viewer had so many of its slices already; they are read again."""

STUDIES_KEPT = 8
"""Headers of this many studies are kept: going back to one asks the disk for nothing but pixels."""


class ViewingError(AicoronaError):
    """The study can't be shown."""


@dataclass(frozen=True, slots=True)
class ViewedSeries:
    """One series as the viewer shows it.

    `instances` stand from feet to head where they have a place, else by their numbers (localizers). `used` are the
    indices of the slices that the model was given, ascending, () where this series was not scored. `rows` and
    `columns` are the size that most slices have in standard orientation. `geometry` is None where a slice has no
    place. `findings` are why it isn't what is scored, for a series of images that aren't slices.
    """

    series: Series
    instances: tuple[Instance, ...]
    geometry: Geometry | None
    used: tuple[int, ...]
    rows: int
    columns: int
    scored: bool

    @property
    def series_instance_uid(self) -> str:
        """The Series Instance UID; localizers of a series of slices carry the same one with a mark behind it."""
        return self.series.series_instance_uid

    @property
    def header(self) -> Header:
        """The header in the middle: what is the same in all slices is read from it."""
        return self.instances[len(self.instances) // 2].header

    @property
    def spacing_mm(self) -> tuple[float, float] | None:
        """Distances between rows and between columns in standard orientation, None where the file doesn't say."""
        return None if self.header.pixel_spacing_mm is None else standard_spacing_mm(self.header)

    @property
    def size_bytes(self) -> int:
        """How much memory all of its slices take."""
        return 2 * len(self.instances) * self.rows * self.columns

    def position_mm(self, index: int) -> float | None:
        """How far along the slice normal a slice lies, towards the head."""
        return None if self.geometry is None else self.geometry.positions_mm[index]

    def nearest(self, position_mm: float) -> int | None:
        """The slice nearest to a place along the normal; None where no place is known."""
        if self.geometry is None:
            return None
        return int(np.argmin(np.abs(np.asarray(self.geometry.positions_mm) - position_mm)))


@dataclass(frozen=True, slots=True)
class ViewedStudy:
    """A study as the viewer shows it; `series` with the scored one first, `opens` is the index of that to show.

    `files_left_out` are the files of the study that can't be looked at, with their reasons. `result` is the score
    that stands, None where there is none or it was changed outside the program.
    """

    study_instance_uid: str
    study: Study
    series: tuple[ViewedSeries, ...]
    files_left_out: tuple[LeftOut, ...]
    result: StoredResult | None

    @property
    def header(self) -> Header:
        """A header that tells whose study this is."""
        return self.series[0].header

    def find(self, series_instance_uid: str) -> ViewedSeries | None:
        """The series with this UID."""
        return next((one for one in self.series if one.series_instance_uid == series_instance_uid), None)


@dataclass(frozen=True, slots=True, eq=False)
class FirstLook:
    """The slice in the middle of the scored half, there long before all headers are."""

    study_instance_uid: str
    series_instance_uid: str
    slice_index: int
    slices: int
    used: tuple[int, ...]
    instance: Instance
    shown: ShownSlice | Finding

    @property
    def pixels(self) -> Pixels:
        """The slice without what lies over it, or why there is none."""
        return self.shown if isinstance(self.shown, Finding) else self.shown.pixels


@dataclass(frozen=True, slots=True)
class Directions:
    """Where a slice's columns and rows run to in standard orientation, unit vectors in LPS."""

    across: Vector
    down: Vector


class StudyReader:
    """Reads studies for the viewer in a process of its own, which starts when it is first needed.

    May be asked from several threads; they share the process. `close` ends it, and with it what is under way.
    All methods raise ReaderError when no reader process can be started.
    """

    def __init__(self, make_reader: Callable[[], Reader] = Reader, volumes: VolumeCache | None = None) -> None:
        """`volumes` keeps what was decoded for the next look; None keeps nothing beyond this object."""
        self._reader = LateReader(make_reader)
        self._volumes = volumes or VolumeCache(None)
        self._examined: dict[tuple[str, str], tuple[Instance, ...] | Finding] = {}
        self._known: dict[str, tuple[tuple[str, str], ...]] = {}  # by study, the keys of its files; newest last

    def __enter__(self) -> StudyReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the reader process."""
        self._reader.close()

    def warm_up(self) -> None:
        """Start the process, so that the first study doesn't wait for it."""
        self._reader.started()

    def first_look(self, history: History, study_instance_uid: str) -> FirstLook | None:
        """Return the middle of the scored half, read before anything else; None where there is no score."""
        result = _result(history, study_instance_uid)
        if result is None or not result.score.slice_sha256:
            return None
        score = result.score
        place = len(score.slice_indices) // 2
        files = {file.sha256: file for file in history.files(study_instance_uid)}
        file = files.get(score.slice_sha256[place])
        data = read_again(file) if file is not None else None
        if file is None or not isinstance(data, bytes):
            return None
        examined = self._reader.started().examine(data, file.sha256)
        headers = [one for one in examined.headers if Instance(file, one).identity == score.slice_identities[place]]
        if not headers:
            return None
        instance = Instance(file, headers[0])
        return FirstLook(
            study_instance_uid,
            result.series_instance_uid,
            score.slice_indices[place],
            score.slices_total,
            score.slice_indices,
            instance,
            self._shown(instance, data),
        )

    def open(self, history: History, study_instance_uid: str, stop: Callable[[], bool] = lambda: False) -> ViewedStudy:
        """Read all headers of a study that the history knows.

        Args:
            history: may be open for reading only.
            study_instance_uid: which study.
            stop: asked between two files; when it says True the answer is never looked at.

        Raises:
            ViewingError: no file of it can be read as a picture; the text says what is wrong with the first.
            HistoryError: the history can't be read.
        """
        left_out = history.left_out(study_instance_uid)
        refused = {one.file.location: one.finding for one in left_out if one.finding.outcome is Outcome.REFUSED}
        # By bytes as well: two versions of one file, of which we have copies, lie at the same place.
        known = {(one.location, one.sha256): one for one in history.files(study_instance_uid)}
        # Further files of the same images are only looked at where one that stands for them is gone.
        gone = not all(one.path.is_file() for one in known.values())
        readable = (
            one.file
            for one in left_out
            if one.file.location not in refused and (gone or one.finding.reason is not Reason.SAME_IMAGE)
        )
        known |= {(one.location, one.sha256): one for one in readable}
        self._examine(study_instance_uid, tuple(known.values()), stop)
        instances: list[Instance] = []
        lost: list[LeftOut] = [one for one in left_out if one.file.location in refused]
        for file in known.values():
            examined = self._examined.get((file.location, file.sha256), ())
            if isinstance(examined, Finding):
                lost.append(LeftOut(file, examined, study_instance_uid=study_instance_uid))
            else:
                instances.extend(one for one in examined if one.header.study_instance_uid == study_instance_uid)
        study = next((one for one in studies_of(instances) if one.study_instance_uid == study_instance_uid), None)
        chosen = None if study is None else as_chosen(study, history, Contents(self._reader.started))
        shown = _viewed(study_instance_uid, chosen, tuple(lost), _result(history, study_instance_uid))
        if shown is None:
            raise ViewingError(_why_removed(history, study_instance_uid) or _why_nothing(tuple(lost)))
        return shown

    def slices(
        self, series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Pixels]]:
        """Yield index and Hounsfield units (int16 [rows, columns], standard orientation) of slices, or why not.

        Args:
            series: of `open`.
            order: indices of its instances, taken one by one while the slices before are under way, so that it
                may still change its mind.
            stop: asked before each.
        """
        broken: list[tuple[int, Finding]] = []
        for index, _, answer in self._reader.started().read_slices(_items(series, order, stop, broken)):
            yield from _drained(broken)
            if isinstance(answer, Finding):
                yield index, answer
            else:
                yield index, to_standard_orientation(answer.hounsfield, series.instances[index].header)
        yield from _drained(broken)

    def shown_slices(
        self, series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, ShownSlice | Finding]]:
        """Yield slices as `slices` does, with the overlays that come with them; from the cache where they are kept.

        A series that was read to its end is kept from then on.
        """
        uid, rest = series.header.study_instance_uid, iter(order)
        volume = self._volumes.volume(uid, series.instances)
        if volume is not None:
            with volume:
                for index in rest:
                    if stop():
                        return
                    kept = volume.slice(index)
                    if kept is None:  # damaged: it is gone by now, and the rest is read from the files
                        rest = chain((index,), rest)
                        break
                    yield index, kept
                else:
                    return
        yield from self._decoded(series, rest, stop)

    def _decoded(
        self, series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool]
    ) -> Iterator[tuple[int, ShownSlice | Finding]]:
        """Yield slices from their files, and keep them once all have come; what is cut short leaves nothing."""
        uid = series.header.study_instance_uid
        writing = self._volumes.writing(uid, series.instances, series.size_bytes)
        try:
            for index, shown in self._from_files(series, order, stop):
                if writing is not None and isinstance(shown, ShownSlice):
                    writing.add(index, shown)
                yield index, shown
            if writing is not None and not stop():
                self._complete(series, writing, stop)
        finally:
            if writing is not None:
                writing.give_up()

    def _complete(self, series: ViewedSeries, writing: VolumeWriting, stop: Callable[[], bool]) -> None:
        """Read the few slices that the viewer had already, such as the first look, so that the series is whole."""
        missing = writing.missing
        if len(missing) <= MOST_READ_AGAIN:
            for index, shown in self._from_files(series, missing, stop):
                if isinstance(shown, ShownSlice):
                    writing.add(index, shown)
            writing.finish()

    def _from_files(
        self, series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool]
    ) -> Iterator[tuple[int, ShownSlice | Finding]]:
        broken: list[tuple[int, Finding]] = []
        for index, _, answer in self._reader.started().show_slices(_items(series, order, stop, broken)):
            yield from _drained(broken)
            yield index, _standing(answer, series.instances[index].header)
        yield from _drained(broken)

    def _shown(self, instance: Instance, data: bytes) -> ShownSlice | Finding:
        item = (None, data, instance.file.sha256, (instance.header.frame,))
        _, _, answer = next(self._reader.started().show_slices([item]))
        return _standing(answer, instance.header)

    def _examine(self, uid: str, files: tuple[FileRef, ...], stop: Callable[[], bool]) -> None:
        """Examine the files whose headers aren't at hand."""
        self._take_kept(uid, files)
        new = [file for file in files if (file.location, file.sha256) not in self._examined]

        def items() -> Iterator[tuple[FileRef, bytes, str]]:
            for file in new:
                if stop():
                    return
                data = read_again(file)
                if isinstance(data, Finding):
                    self._examined.pop((file.location, file.sha256), None)
                    gone[file.location, file.sha256] = data
                else:
                    yield file, data, file.sha256

        gone: dict[tuple[str, str], Finding] = {}
        for file, examined in self._reader.started().examine_all(items()):
            answer = examined.finding or tuple(Instance(file, header) for header in examined.headers)
            self._examined[file.location, file.sha256] = answer
        if new and not gone and not stop():
            self._keep(uid, files)
        self._examined |= gone  # asked again with the next opening: a medium may come back
        self._remember(uid, tuple((file.location, file.sha256) for file in files), gone)

    def _take_kept(self, uid: str, files: tuple[FileRef, ...]) -> None:
        """Take over what the reader said of these very files at an earlier look."""
        if all((file.location, file.sha256) in self._examined for file in files):
            return
        kept = self._volumes.examined(uid, [file.sha256 for file in files]) or {}
        for file in files:
            answer = kept.get(file.sha256)
            if answer is not None:
                self._examined[file.location, file.sha256] = (
                    answer if isinstance(answer, Finding) else tuple(Instance(file, header) for header in answer)
                )

    def _keep(self, uid: str, files: tuple[FileRef, ...]) -> None:
        found = {file.sha256: self._examined.get((file.location, file.sha256)) for file in files}
        plain = {
            sha256: answer if isinstance(answer, Finding) else tuple(one.header for one in answer)
            for sha256, answer in found.items()
            if answer is not None
        }
        if len(plain) == len(found):
            self._volumes.keep_examined(uid, plain)

    def _remember(self, uid: str, keys: tuple[tuple[str, str], ...], gone: dict[tuple[str, str], Finding]) -> None:
        self._known.pop(uid, None)
        self._known[uid] = tuple(key for key in keys if key not in gone)
        while len(self._known) > STUDIES_KEPT:
            for key in self._known.pop(next(iter(self._known))):
                self._examined.pop(key, None)


def standard_directions(header: Header) -> Directions | None:
    """Return where columns and rows of a slice run to after `to_standard_orientation`; None where it isn't known."""
    if header.row_cosines is None or header.column_cosines is None:
        return None
    across, down = header.row_cosines, header.column_cosines
    if abs(across[0] * down[1] - across[1] * down[0]) <= 0.7:
        return Directions(across, down)  # no axial slice: shown as it is stored
    if abs(across[1]) > abs(across[0]):
        across, down = down, across
    return Directions(_turned(across, across[0]), _turned(down, down[1]))


def letters(direction: Vector, least: float = 0.25) -> str:
    """Return the letters of the side that a direction points to, the strongest first: L, R, A, P, H, F.

    Source: DICOM PS3.3 C.7.6.1.1.1 (patient orientation), in LPS.
    """
    names = (("R", "L"), ("A", "P"), ("F", "H"))
    strongest = sorted(range(3), key=lambda axis: -abs(direction[axis]))
    return "".join(names[axis][direction[axis] > 0] for axis in strongest if abs(direction[axis]) >= least)


def opposite(direction: Vector) -> Vector:
    """Return the direction to the other side."""
    return (-direction[0], -direction[1], -direction[2])


def _turned(direction: Vector, sign: float) -> Vector:
    return opposite(direction) if sign < 0 else direction


def _items(
    series: ViewedSeries, order: Iterable[int], stop: Callable[[], bool], broken: list[tuple[int, Finding]]
) -> Iterator[tuple[int, bytes, str, tuple[int, ...]]]:
    """Yield what the reader needs of each slice in this order; those whose file is gone go to `broken`."""
    for index in order:
        if stop():
            return
        instance = series.instances[index]
        data = read_again(instance.file)
        if isinstance(data, Finding):
            broken.append((index, data))
        else:
            yield index, data, instance.file.sha256, (instance.header.frame,)


def _standing(answer: SliceShown | Finding, header: Header) -> ShownSlice | Finding:
    """Turn a slice and what lies over it into the standard orientation."""
    if isinstance(answer, Finding):
        return answer
    left_out = next((one for one in answer.findings if one.reason is Reason.OVERLAY_LEFT_OUT), None)
    overlay = answer.overlay
    if overlay is not None and not is_standard(header):
        bits = np.unpackbits(overlay, axis=1, count=answer.hounsfield.shape[1])
        overlay = np.packbits(to_standard_orientation(bits, header), axis=1)
    return ShownSlice(to_standard_orientation(answer.hounsfield, header), overlay, left_out)


def _drained(broken: list[tuple[int, Finding]]) -> Iterator[tuple[int, Finding]]:
    while broken:
        yield broken.pop(0)


def _result(history: History, study_instance_uid: str) -> StoredResult | None:
    try:
        return history.result(study_instance_uid)
    except HistoryError:  # changed outside the program: the worklist says so, the pictures can be looked at
        return None


def _viewed(
    uid: str, study: Study | None, lost: tuple[LeftOut, ...], result: StoredResult | None
) -> ViewedStudy | None:
    """Return a study for the eye; None where there is nothing to see."""
    shown = [] if study is None else [one for series in study.series for one in _series_to_view(series, result)]
    if study is None or not shown:
        return None
    shown.sort(key=lambda one: (not one.scored, not one.series.instances, -len(one.instances)))
    first, rest = shown[0], shown[1:]
    rest.sort(key=lambda one: (one.series.series_number or 0, one.series_instance_uid))
    return ViewedStudy(uid, study, (first, *rest), lost, result)


def _why_removed(history: History, uid: str) -> str:
    """Return when and by which rule our copies of the images went; "" where they did not."""
    newest = next(reversed(history.removals(uid)), None)
    if newest is None or newest.step is not Step.REMOVED:
        return ""
    day = newest.at.astimezone().date().isoformat()
    return f"The images were removed on {day} by the rule of this site ({newest.rule}); its score and answers stay."


def _why_nothing(lost: tuple[LeftOut, ...]) -> str:
    if not lost:
        return "This study has no picture that can be shown."
    return f"No file of this study can be shown: {str(lost[0].finding)[:1].lower()}{str(lost[0].finding)[1:]}"


def _series_to_view(series: Series, result: StoredResult | None) -> Iterator[ViewedSeries]:
    """Yield the slices of a series, and its readable other images (localizers, reformats) as one of their own."""
    if series.instances:
        yield _series(series, series.instances, result)
    readable = (one for one in series.left_out if one.finding.reason not in NOT_A_VERSION)
    others = [Instance(one.file, one.header) for one in readable if one.header is not None]
    others = [one for one in others if _has_picture(one.header)]
    if others:
        others.sort(key=lambda one: (one.header.instance_number or 0, one.identity))
        uid = f"{series.series_instance_uid} other" if series.instances else series.series_instance_uid
        apart = Series(uid, (), series.left_out, series.findings, (), series.series_number, series.description)
        yield _series(apart, tuple(others), None)


def _has_picture(header: Header) -> bool:
    return min(header.rows, header.columns) >= 16 and max(header.rows, header.columns) <= 4096


def _series(series: Series, instances: tuple[Instance, ...], result: StoredResult | None) -> ViewedSeries:
    sizes = Counter(_standard_size(one.header) for one in instances)
    rows, columns = min(sizes, key=lambda size: (-sizes[size], size))
    placed = all(has_place(one.header) for one in instances) and bool(series.instances)
    scored = result is not None and result.series_instance_uid == series.series_instance_uid
    used = _used(instances, result.score) if result is not None and scored else ()
    return ViewedSeries(series, instances, geometry_of(instances) if placed else None, used, rows, columns, scored)


def _used(instances: tuple[Instance, ...], score: Score) -> tuple[int, ...]:
    """Return where the scored slices stand: by identity, since a file that was added later moves the others."""
    places = {one.identity: index for index, one in enumerate(instances)}
    return tuple(sorted(places[one] for one in score.slice_identities if one in places))


def _standard_size(header: Header) -> tuple[int, int]:
    directions = standard_directions(header)
    if directions is None or header.row_cosines is None:
        return header.rows, header.columns
    exchanged = directions.across not in (header.row_cosines, opposite(header.row_cosines))
    return (header.columns, header.rows) if exchanged else (header.rows, header.columns)
