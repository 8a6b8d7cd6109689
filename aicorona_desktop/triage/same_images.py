"""The same image in several files: who sends an image on writes the file around it anew.

A disc, a sender and an archive give the same data set another preamble and file meta header, and may encode it another
way: other bytes under one SOP Instance UID, and nothing that a person could decide. What such files hold is compared
(`dicom.child.contents`), and only when a conflict would arise; every other study pays nothing for it.

All files are kept and recorded. The one that came first stands for the image, so that no score loses its file; the
others are `duplicates` of their series, or left out with SAME_IMAGE where they are no images.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain

from aicorona_desktop.core.files import FileRef
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.core.study import Instance, LeftOut, Series, Study
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.series import studies_of
from aicorona_desktop.history.store import History
from aicorona_desktop.intake.opening import read_again

SAME = Finding(Outcome.IGNORED, Reason.SAME_IMAGE)
MOST_REMEMBERED = 100_000  # contents; 20 MB
MOST_OF_A_KIND = 32  # reports and the like; a series of other pictures that is still growing is not read twice

_Group = tuple[str, ...]


class Contents:
    """What files hold, by their SHA-256; the reader is asked once for each. For one thread."""

    def __init__(self, reader: Callable[[], Reader]) -> None:
        """Ask nothing yet; `reader` gives the reader to ask."""
        self._reader = reader
        self._known: OrderedDict[str, str] = OrderedDict()

    def of(self, files: Iterable[FileRef]) -> Mapping[str, str]:
        """Return what each file holds, by its SHA-256; one that can't be read now holds only itself."""
        wanted = {one.sha256: one for one in files}
        found = {sha256: self._known[sha256] for sha256 in wanted if sha256 in self._known}
        unknown = [one for sha256, one in wanted.items() if sha256 not in found]
        if unknown:
            for sha256, content in self._reader().contents(_opened(unknown)):
                found[sha256] = f"bytes {sha256}" if isinstance(content, Finding) else content
                self._known[sha256] = found[sha256]
        while len(self._known) > MOST_REMEMBERED:
            self._known.popitem(last=False)
        return {sha256: found.get(sha256, f"bytes {sha256}") for sha256 in wanted}


def _opened(files: Iterable[FileRef]) -> Iterator[tuple[str, bytes, str]]:
    for file in files:
        data = read_again(file)
        if not isinstance(data, Finding):
            yield file.sha256, data, file.sha256


def without_same_images(study: Study, history: History, contents: Contents) -> Study:
    """Return a study in which each image stands once for all files that hold it; others of one UID stay in conflict."""
    same = _same(study, history, contents)
    if not same:
        return study
    members = list(_members(study))
    others = [one for one in _left_out(study) if one.header is None]
    again = studies_of(
        (one for one in members if one.file.sha256 not in same),
        (one for one in others if one.file.sha256 not in same),
    )
    [found] = again  # what each file is the same as has stayed in it
    aliases: dict[str, dict[FileRef, None]] = defaultdict(dict)
    for series in study.series:
        aliases[series.series_instance_uid].update(dict.fromkeys(series.duplicates))
    for one in members:
        if one.file.sha256 in same:
            aliases[one.header.series_instance_uid][one.file] = None
    told = [one for one in study.findings if one.reason is not Reason.UID_CONFLICT]
    told += [one for one in found.findings if one.reason is Reason.UID_CONFLICT]
    return replace(
        found,
        series=tuple(_with_aliases(one, aliases[one.series_instance_uid]) for one in found.series),
        left_out=(*found.left_out, *(replace(one, finding=SAME) for one in others if one.file.sha256 in same)),
        findings=tuple(told),
    )


def _with_aliases(series: Series, aliases: Iterable[FileRef]) -> Series:
    return replace(series, duplicates=tuple(dict.fromkeys((*series.duplicates, *aliases))))


def _same(study: Study, history: History, contents: Contents) -> frozenset[str]:
    """Return the SHA-256 of the files that hold what another one holds as well, which came before."""
    doubtful = tuple(_doubtful(study, history))
    if not doubtful:
        return frozenset()
    held = contents.of(chain.from_iterable(doubtful))
    order = _order(study.study_instance_uid, history)
    same: set[str] = set()
    for files in doubtful:
        first: set[str] = set()
        for sha256 in sorted({one.sha256 for one in files}, key=order):
            if held[sha256] in first:
                same.add(sha256)
            first.add(held[sha256])
    return frozenset(same)


def _doubtful(study: Study, history: History) -> Iterator[list[FileRef]]:
    """Yield the files of each image that came with other bytes, and those of another kind that may be such."""
    images: dict[_Group, dict[str, FileRef]] = defaultdict(dict)
    for one in _members(study):
        if one.header.sop_instance_uid:
            images[one.header.series_instance_uid, one.header.sop_instance_uid][one.file.sha256] = one.file
    yield from (list(files.values()) for files in images.values() if len(files) > 1)
    # What is no CT image gives no UID of its own: a new one is compared with those of its kind that were there before.
    kinds: dict[_Group, dict[str, FileRef]] = defaultdict(dict)
    for left in _left_out(study):
        if left.header is None:
            kinds[left.series_instance_uid, left.finding.reason.name][left.file.sha256] = left.file
    several = [files for files in kinds.values() if 1 < len(files) <= MOST_OF_A_KIND]
    if several:
        before = {one.file.sha256: one.finding.reason for one in history.left_out(study.study_instance_uid)}
        for files in several:
            known = [before[sha256] for sha256 in files if sha256 in before]
            if known and (len(known) < len(files) or Reason.SAME_IMAGE in known):
                yield list(files.values())


def _order(study_instance_uid: str, history: History) -> Callable[[str], tuple[object, ...]]:
    """Return by what files are sorted: the one that was chosen, then those that stand for an image, then by arrival."""
    choice = history.version_choice(study_instance_uid)
    kept = frozenset() if choice is None else frozenset(choice.kept.values())
    standing = {one.sha256: place for place, one in enumerate(history.files(study_instance_uid))}
    arrived = {sha256: place for place, sha256 in enumerate(history.arrivals(study_instance_uid))}
    last = len(standing) + len(arrived)
    return lambda one: (one not in kept, standing.get(one, last), arrived.get(one, last), one)


def _members(study: Study) -> Iterator[Instance]:
    """Yield every image of a study, those left out for what they are or as another version among them."""
    for series in study.series:
        yield from series.instances
    yield from (Instance(one.file, one.header) for one in _left_out(study) if one.header is not None)


def _left_out(study: Study) -> Iterator[LeftOut]:
    return chain(study.left_out, *(series.left_out for series in study.series))
