"""What all adapters do: look for folders, fill in what headers say, let quality control have its say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aicorona_desktop.core.study import SeriesChoice
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import choose_series
from aicorona_desktop.evaluation.errors import EvaluationError
from aicorona_desktop.evaluation.layouts import read_studies
from aicorona_desktop.evaluation.manifest import ManifestRow, QcStatus
from aicorona_desktop.evaluation.quality import Judgement, QualityRules, judge_choice, judge_slices, judged
from aicorona_desktop.intake.keeping import Spool
from aicorona_desktop.intake.walking import natural_key

RULES = QualityRules()


@dataclass(frozen=True, slots=True)
class Adapted:
    """The rows of a data set, and what quality control said of each scan that it left out."""

    rows: tuple[ManifestRow, ...]
    judgements: Mapping[str, Judgement]


def moved_below(rows: Iterable[ManifestRow], folder: str) -> tuple[ManifestRow, ...]:
    """Return rows whose paths start with a folder more: to put several data sets into one manifest."""
    return tuple(replace(row, path=f"{folder}/{row.path}") for row in rows)


def adapted(
    rows: Iterable[ManifestRow], rules: QualityRules, judgements: Mapping[str, Judgement] | None = None
) -> Adapted:
    """Let quality control have its say on every row, counting slices where nothing was said before."""
    said: dict[str, Judgement] = {}
    kept = []
    for row in rows:
        before = (judgements or {}).get(row.scan_id)
        judgement = judge_slices(row.n_slices, rules) if before is None else before
        if judgement.status is not QcStatus.OK:
            said[row.scan_id] = judgement
        kept.append(judged(replace(row, n_slices=max(row.n_slices, 1)), judgement))
    return Adapted(tuple(kept), said)


def with_headers(
    row: ManifestRow, folder: Path, reader: Reader, scratch: Path, rules: QualityRules
) -> tuple[ManifestRow, Judgement]:
    """Return a row with what the headers of a folder with one study say, and what quality control says of it."""
    studies = read_studies([folder], reader, Spool(scratch))
    with_slices = [study for study in studies if any(series.instances for series in study.series)]
    if len(with_slices) != 1:
        return row, Judgement(QcStatus.UNREADABLE, f"There are {len(with_slices)} CT studies in the folder.")
    choice = choose_series(with_slices[0])
    return described(row, choice), judge_choice(choice, rules)


def described(row: ManifestRow, choice: SeriesChoice) -> ManifestRow:
    """Return a row with what the headers of the chosen series say, or of the best of the others: slices to kernel."""
    series = choice.series or (choice.checked[0] if choice.checked else None)
    if series is None or not series.instances:
        return row
    header = series.instances[0].header
    age, thickness = header.patient_age_years, header.slice_thickness_mm
    return replace(
        row,
        n_slices=len(series.instances),
        slice_thickness_mm=thickness if thickness is not None and thickness > 0 else None,
        age=int(age) if age is not None and 0 <= age <= 120 else None,
        sex=header.patient_sex if header.patient_sex in ("F", "M", "O") else "",
        vendor=_printable(header.manufacturer),
        kernel=_printable(header.convolution_kernel),
    )


def _printable(text: str) -> str:
    """Return a text of a header as a cell of the manifest may hold it."""
    return "".join(character for character in text if character.isprintable()).strip()


def class_folders(root: Path, classes: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield the folders that carry the names of classes (in lower case), whatever their case, and the label of each.

    Raises:
        EvaluationError: there is none of them.
    """
    found = [(folder, classes[folder.name.lower()]) for folder in folders(root) if folder.name.lower() in classes]
    if not found:
        raise EvaluationError("There is no folder of this data set's classes; is it the right folder?")
    yield from found


def folders(folder: Path) -> tuple[Path, ...]:
    """Return the folders in a folder in natural order, without links and hidden ones."""
    if not folder.is_dir():
        return ()
    found = (path for path in folder.iterdir() if path.is_dir() and not path.is_symlink() and path.name[0] != ".")
    return tuple(sorted(found, key=lambda path: natural_key(path.name)))


def path_below(root: Path, path: Path) -> str:
    """Return a path as the manifest has it."""
    return path.relative_to(root).as_posix()
