"""Known studies and their labels: which studies lie below a folder, what a table says of them, and what fits together.

Source: ux.md 8.1; classes after paper-spec 1.1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.scratch import scratch_folder
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.manifest import Fault
from aicorona_desktop.evaluation.strict_csv import TableError, read_rows, text_cell
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.walking import walk
from aicorona_desktop.triage.reading import Batch, FileReading

LABELS: Final[Mapping[str, str]] = {"normal": "normal", "cp": "cp", "nca": "cp", "other": "cp", "covid": "covid"}
"""What a label may say, and the model's class that it stands for."""

WHAT: Final = "The table of labels"
FILES_AT_ONCE: Final = 512
NAMED_FILES: Final = 4
"""A study of more files than this is not known by the names of its files."""


class Key(StrEnum):
    """What a row may name its study by: the columns of the table."""

    STUDY = "StudyInstanceUID"
    FOLDER = "folder"
    PATIENT = "PatientID"


TEMPLATE: Final = (
    "StudyInstanceUID,folder,PatientID,label\n1.2.840.99999.1,,,covid\n,2026-03/case 17,,normal\n,,HOSPITAL-4711,cp\n"
)
"""An example of the table: one of the first three columns is enough in each row."""


@dataclass(frozen=True, slots=True)
class LabelRow:
    """One row of the table: the line in the file, what names the study, and its class."""

    line: int
    key: Key
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class KnownStudy:
    """One study below the folder; `places` are what a table may call it: folders, and files of small studies."""

    study_instance_uid: str
    patient_id: str
    paths: tuple[Path, ...]
    places: frozenset[str]

    @property
    def shown(self) -> str:
        """The shortest folder or file name that stands for it."""
        return min(self.places, key=lambda one: (len(one), one), default=self.study_instance_uid)


@dataclass(frozen=True, slots=True)
class Unmatched:
    """A row of the table that names no study, or more than one."""

    row: LabelRow
    studies: int


@dataclass(frozen=True, slots=True)
class Matching:
    """What fits together: `labelled` are classes by UID; what is left over on both sides is told, never dropped."""

    labelled: Mapping[str, str]
    studies: tuple[KnownStudy, ...]
    unmatched: tuple[Unmatched, ...]
    unlabelled: tuple[KnownStudy, ...]

    @property
    def of_class(self) -> Mapping[str, int]:
        """How many studies have each label."""
        return Counter(self.labelled.values())


def read_labels(path: Path) -> tuple[LabelRow, ...]:
    """Return the rows of a table of labels, in its order.

    Raises:
        TableError: it can't be read, or a cell is not what it must be; with line and column.
    """
    columns = {**{key.value: text_cell for key in Key}, "label": _label}
    try:
        found = read_rows(path, WHAT, columns, ("label",), may_lack=[key.value for key in Key])
    except TableError as error:
        raise _with_hint(path, error) from error
    faults: list[Fault] = []
    rows = [row for line, cells in found if (row := _row(line, cells, faults)) is not None]
    if not rows and not faults:
        faults.append(Fault(0, "There is no row in it."))
    if faults:
        raise TableError(WHAT, faults)
    return tuple(rows)


def match(rows: Sequence[LabelRow], studies: Sequence[KnownStudy]) -> Matching:
    """Join the rows of a table to the studies of a folder.

    Raises:
        TableError: two rows give one study different labels.
    """
    by_key: dict[tuple[Key, str], list[KnownStudy]] = defaultdict(list)
    for study in studies:
        by_key[Key.STUDY, study.study_instance_uid].append(study)
        by_key[Key.PATIENT, study.patient_id].append(study)
        for place in study.places:
            by_key[Key.FOLDER, place].append(study)
    given: dict[str, LabelRow] = {}
    unmatched, faults = [], []
    for row in rows:
        found = by_key.get((row.key, row.value), [])
        if len(found) != 1:
            unmatched.append(Unmatched(row, len(found)))
            continue
        first = given.setdefault(found[0].study_instance_uid, row)
        if first.label != row.label:
            faults.append(Fault(row.line, f"label says {row.label}, and line {first.line} says {first.label} of it."))
    if faults:
        raise TableError(WHAT, faults)
    return Matching(
        {uid: row.label for uid, row in given.items()},
        tuple(study for study in studies if study.study_instance_uid in given),
        tuple(unmatched),
        tuple(study for study in studies if study.study_instance_uid not in given),
    )


@dataclass(slots=True)
class _Gathered:
    patient_id: str = ""
    paths: dict[Path, None] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)


def list_studies(
    root: Path, reader: Reader, told: Callable[[int], None], stopped: Callable[[], bool]
) -> tuple[KnownStudy, ...]:
    """Return the studies below a folder by their headers, in the order in which they are found.

    Args:
        root: the folder.
        reader: reads the headers.
        told: hears how many files were looked at.
        stopped: whether nobody waits for it any more; what was found so far is then returned.

    Raises:
        ReaderError: the reader process can't be kept alive.
    """
    gathered: dict[str, _Gathered] = defaultdict(_Gathered)
    found, files = walk([root]), 0
    while (chunk := list(islice(found, FILES_AT_ONCE))) and not stopped():
        with scratch_folder() as scratch:  # for what archives are unpacked to: gone with the chunk
            batch = FileReading(reader, Spool(Path(scratch))).read_found(chunk)
        for uid, patient_id, file in _named(batch):
            # A member of an archive stands for its archive.
            place = file.path if file.path.is_relative_to(file.source) else Path(file.source)
            study = gathered[uid]
            study.patient_id = study.patient_id or patient_id
            study.paths[place] = None
            study.folders |= set(_folders(root, place))
        files += len(chunk)
        told(files)
    return tuple(_known(uid, one, root) for uid, one in gathered.items())


def _named(batch: Batch) -> Iterator[tuple[str, str, FileRef]]:
    """Yield study, patient and file of all that names a study, also of what can't be scored: that is a result too."""
    for instance in batch.instances:
        yield instance.header.study_instance_uid, instance.header.patient_id, instance.file
    for other in batch.others:
        if other.study_instance_uid and other.file is not None:
            yield other.study_instance_uid, other.patient_id, other.file


def _known(uid: str, one: _Gathered, root: Path) -> KnownStudy:
    names = set(one.folders)
    if len(one.paths) <= NAMED_FILES:
        names |= {name for path in one.paths for name in _file_names(root, path)}
    return KnownStudy(uid, one.patient_id.strip(), tuple(one.paths), frozenset(names))


def _folders(root: Path, path: Path) -> Iterator[str]:
    """Yield what the folders of a file may be called: by name, and by the way from the root."""
    if path.is_relative_to(root):
        inside = path.relative_to(root).parent
        for folder in (inside, *inside.parents):
            if folder.name:
                yield from (folder.name, folder.as_posix())


def _file_names(root: Path, path: Path) -> Iterator[str]:
    yield from (path.name, path.stem)
    if path.is_relative_to(root):
        yield path.relative_to(root).as_posix()


def _label(text: str) -> str:
    name = text.casefold()
    if name not in LABELS:
        raise ValueError(f"must be one of {', '.join(LABELS)}; it says {text[:40]!r}.")
    return LABELS[name]


def _row(line: int, cells: Mapping[str, str | None], faults: list[Fault]) -> LabelRow | None:
    for key in Key:
        value = cells[key.value]
        if value:
            value = value.replace("\\", "/").strip("/") if key is Key.FOLDER else value
            return LabelRow(line, key, value, str(cells["label"]))
    faults.append(Fault(line, f"One of {', '.join(key.value for key in Key)} must be filled in."))
    return None


def _with_hint(path: Path, error: TableError) -> TableError:
    """Say what is wrong with a table that a spreadsheet has saved in its own way."""
    if any(fault.line == 1 and "label" in fault.sentence for fault in error.faults):
        with path.open("rb") as stream:
            first = stream.readline(4096)
        if b";" in first and b"," not in first:
            hint = "The columns are separated by semicolons; save the table as CSV with commas."
            return TableError(WHAT, [Fault(1, hint)])
    return error


def names_of(studies: Iterable[KnownStudy], most: int) -> str:
    """Return the names of some studies for a sentence, with dots where there are more."""
    shown = [study.shown for study in islice(studies, most + 1)]
    return ", ".join([*shown[:most], *(["…"] if len(shown) > most else [])])
