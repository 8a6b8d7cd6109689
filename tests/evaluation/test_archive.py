"""`score-archive`: studies wherever they lie, each exactly once in the results, whoever is killed on the way."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.cli.main import run as command
from aicorona_desktop.core.findings import Reason
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.evaluation.archive import index as archive_index
from aicorona_desktop.evaluation.archive.index import ArchiveIndex, StudyFiles, bucket_of
from aicorona_desktop.evaluation.archive.results import PartJournals
from aicorona_desktop.evaluation.archive.scoring import ArchiveRun, score_archive
from aicorona_desktop.evaluation.archive.workers import Answer
from aicorona_desktop.evaluation.predictions import read_predictions
from aicorona_desktop.evaluation.records import Record, failed
from aicorona_desktop.evaluation.run_folder import RunFolderError
from aicorona_desktop.model.pack import default_pack
from tests import phantom

STUDIES = 4
SLICES = 16
FILES = SLICES * (STUDIES - 1) + 4 + 3  # slices, those of the unsuitable study, the ZIP archive, notes, a broken file
COMMAND = [sys.executable, "-m", "aicorona_desktop", "score-archive"]
PROBABILITIES = ("p_normal", "p_cp", "p_covid")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Studies in folders, one scattered, one in a ZIP archive, one unsuitable, and files of no study."""
    root = tmp_path_factory.mktemp("archive") / "in"
    for number in range(STUDIES):
        chest = phantom.chest(f"a{number}").with_seed(number).with_slices(SLICES).with_matrix(128)
        chest.written_to(root / f"year{number % 2}" / f"study{number}")
    (root / "lost").mkdir()
    for path in sorted((root / "year0" / "study0").iterdir())[::2]:
        path.rename(root / "lost" / path.name)
    with zipfile.ZipFile(root / "disc.zip", "w") as packed:
        for path in sorted((root / "year1" / "study1").iterdir()):
            packed.write(path, path.name)
    shutil.rmtree(root / "year1" / "study1")
    phantom.chest("short").with_slices(4).written_to(root / "short")
    (root / "notes.dcm").write_text("no image")
    (root / "year0" / "study2" / "broken.dcm").write_text("a slice of this study, perhaps")
    return root


@pytest.fixture(scope="module")
def triaged(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `triage` says of the same folder, by study."""
    answer = tmp_path_factory.mktemp("triaged") / "out.json"
    assert command(["triage", str(archive), "--provider", "cpu", "--json", str(answer)]) == 0
    return {one["study_uid"]: one for one in json.loads(answer.read_text()) if one["study_uid"]}


def listing(folder: Path) -> dict[str, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def archive_run(archive: Path, **values: Any) -> ArchiveRun:
    return ArchiveRun(root=archive, pack=default_pack(), **{"provider": "cpu", "workers": 2, **values})


# --- the whole way -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="looks at processes as Linux shows them")
@pytest.mark.parametrize(("engine", "worker"), [("local", "archive.worker"), ("ray", "ray::StudyActor.score")])
def test_a_worker_killed_on_the_way_costs_nothing_and_every_study_is_there_once(
    archive, triaged, tmp_path, engine, worker
):
    if engine == "ray" and find_spec("ray") is None:
        pytest.skip("the extra `cluster` is not installed")
    before, out = listing(archive), tmp_path / "out"
    homes = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    arguments = [*COMMAND, str(archive), "--out", str(out), "--provider", "cpu", "--workers", "2", "--engine", engine]
    with (
        (tmp_path / "said").open("w") as said,
        subprocess.Popen(arguments, stdout=said, stderr=said, env=os.environ | homes) as process,
    ):
        wait_until(lambda: list(out.glob("parts/*.jsonl")))
        sockets = _open_to_the_network(process.pid)
        wait_until(lambda: _descendant(process.pid, worker))
        os.kill(_descendant(process.pid, worker), signal.SIGKILL)
        assert process.wait(120) == 0, (tmp_path / "said").read_text()

    assert "was lost" in "".join(path.read_text() for path in tmp_path.glob("aicorona-desktop/logs/*"))
    assert sockets == []
    assert not (tmp_path / ".ray").exists()
    studies = lines(out / "studies.jsonl")
    assert sorted(one["study_uid"] for one in studies) == sorted(triaged)
    for one in studies:
        theirs = triaged[one["study_uid"]]
        assert [one[name] for name in PROBABILITIES] == [theirs[name] for name in PROBABILITIES]
        warned = Reason.FILES_REFUSED_BESIDE.code in one["warnings"]
        assert warned is ("were refused and may belong to it" in json.dumps(theirs))
        assert warned is (one["study_uid"] == phantom.chest("a2").study_instance_uid)
    assert json.loads((out / "summary.json").read_text())["archive"] == {
        "files": FILES, "studies": STUDIES + 1, "left_out": 2,
    }  # fmt: skip
    assert listing(archive) == before
    _same_everywhere(out, studies)


def wait_until(there: Callable[[], object], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def _descendant(process: int, named: str) -> int:
    """A process that this one has started, by what its command line says; 0 where there is none."""
    for one in _descendants(process):
        with suppress(OSError):
            if one != process and named.encode() in Path(f"/proc/{one}/cmdline").read_bytes():
                return one
    return 0


def _open_to_the_network(process: int) -> list[str]:
    """The addresses other than loopback that a process or one that it started listens on."""
    ours = {inode for one in _descendants(process) for inode in _sockets(one)}
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            cells = line.split()
            address = cells[1].rpartition(":")[0]
            loopback = address.endswith("0100007F") or address == "0" * 24 + "01000000"
            if cells[3] == "0A" and cells[9] in ours and not loopback:
                found.append(address)
    return found


def _descendants(process: int) -> Iterator[int]:
    yield process
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if parent == process:
            yield from _descendants(int(path.parent.name))


def _sockets(process: int) -> Iterator[str]:
    for path in Path(f"/proc/{process}/fd").glob("*"):
        try:
            target = str(path.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            yield target[8:-1]


def _same_everywhere(out: Path, studies: list[dict[str, Any]]) -> None:
    predictions = read_predictions(out / "predictions.csv")
    assert [(one.scan_id, one.status) for one in predictions] == [(one["study_uid"], one["status"]) for one in studies]
    assert [one.probabilities and one.probabilities[2] for one in predictions] == [one["p_covid"] for one in studies]
    with (out / "failures.csv").open(newline="") as stream:
        (failure,) = csv.DictReader(stream)
    assert failure["sentence"]
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(out / "studies.parquet")
    assert table.to_pylist() == studies
    assert table.schema.metadata[b"pack_sha256"].decode() == default_pack().sha256


@pytest.mark.skipif(os.name == "nt", reason="kills a process")
def test_a_killed_run_goes_on_where_it_was_with_another_number_of_workers(archive, triaged, tmp_path):
    out = tmp_path / "out"
    arguments = [*COMMAND, str(archive), "--out", str(out), "--provider", "cpu"]
    with subprocess.Popen([*arguments, "--workers", "1"], stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: list(out.glob("parts/*.jsonl")))
        process.kill()
    kept = {path: path.read_bytes() for path in out.glob("parts/*.jsonl")}

    done = subprocess.run([*arguments, "--workers", "2"], check=False, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert kept
    assert all(path.read_bytes().startswith(data[: data.rfind(b"\n") + 1]) for path, data in kept.items())
    assert sorted(one["study_uid"] for one in lines(out / "studies.jsonl")) == sorted(triaged)
    assert "files without a study: 2" in done.stdout


# --- exactly once ------------------------------------------------------------------------------------------------


class FakeWorkers:
    """Workers that answer at once and lose what they are told to lose, as often as told."""

    def __init__(self, loses: dict[str, int]) -> None:
        self.loses = loses
        self.given: list[str] = []
        self.under_way: list[StudyFiles] = []
        self.closed = False

    @property
    def room(self) -> bool:
        return len(self.under_way) < 2

    @property
    def busy(self) -> bool:
        return bool(self.under_way)

    def submit(self, study: StudyFiles) -> None:
        self.given.append(study.study_instance_uid)
        self.under_way.append(study)

    def next(self) -> Answer:
        study = self.under_way.pop(0)
        uid = study.study_instance_uid
        if self.loses.get(uid, 0):
            self.loses[uid] -= 1
            return Answer(study, None)
        return Answer(study, record(uid))

    def close(self) -> None:
        self.closed = True


def record(uid: str) -> Record:
    return Record(
        name=uid, status="ok", n_slices=2, indices=(0, 1), contributions=((1.0, 0.0, 0.5), (0.0, 1.0, 2.0)),
        ms_total=3.0, device="cpu", run_at="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An archive whose list is made up: forty studies."""
    uids = [f"1.2.{number}" for number in range(40)]

    def made_up(self: ArchiveIndex, folder: Path, _found: Any, _told: Any) -> tuple[int, int]:
        for uid in uids:
            archive_index._append(self._folder / f"{bucket_of(uid)}.jsonl", [(uid, str(folder / uid))])
        return len(uids), 0

    monkeypatch.setattr(ArchiveIndex, "_listed", made_up)
    return uids


def test_lost_studies_are_handed_out_again_and_the_third_loss_sets_one_aside(listed, tmp_path, monkeypatch):
    workers = FakeWorkers({"1.2.3": 2, "1.2.7": 3})
    monkeypatch.setattr(ArchiveRun, "start_workers", lambda _self: workers)

    score_archive(archive_run(tmp_path), tmp_path / "out")

    assert {uid: workers.given.count(uid) for uid in set(workers.given)} == {
        uid: 3 if uid in ("1.2.3", "1.2.7") else 1 for uid in listed
    }
    studies = {one["study_uid"]: one for one in lines(tmp_path / "out" / "studies.jsonl")}
    assert sorted(studies) == sorted(listed)
    assert [uid for uid, one in studies.items() if one["status"] == "failed"] == ["1.2.7"]
    assert "set aside" in studies["1.2.7"]["sentence"]
    assert workers.closed


def test_a_run_stopped_by_a_person_keeps_its_studies_and_scores_none_of_them_again(listed, tmp_path, monkeypatch):
    first, second = FakeWorkers({}), FakeWorkers({})

    def stop(_step: str, done: int, _all: int | None) -> None:
        if done == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(ArchiveRun, "start_workers", lambda _self: first)
    with pytest.raises(KeyboardInterrupt):
        score_archive(archive_run(tmp_path), tmp_path / "out", stop)
    kept = [one["study_uid"] for one in lines(tmp_path / "out" / "studies.jsonl")]
    monkeypatch.setattr(ArchiveRun, "start_workers", lambda _self: second)
    score_archive(archive_run(tmp_path), tmp_path / "out")

    assert len(kept) == 10
    assert first.closed
    assert sorted(second.given) == sorted(set(listed) - set(kept))
    assert sorted(one["study_uid"] for one in lines(tmp_path / "out" / "studies.jsonl")) == sorted(listed)


def test_another_archive_or_provider_does_not_write_into_the_folder(listed, tmp_path, monkeypatch):
    monkeypatch.setattr(ArchiveRun, "start_workers", lambda _self: FakeWorkers({}))
    score_archive(archive_run(tmp_path), tmp_path / "out")

    with pytest.raises(RunFolderError, match="archive differ"):
        score_archive(archive_run(tmp_path / "other"), tmp_path / "out")
    with pytest.raises(RunFolderError, match="provider differ"):
        score_archive(archive_run(tmp_path, provider="auto"), tmp_path / "out")


def test_journals_that_were_put_away_still_know_their_studies(tmp_path):
    journals = PartJournals(tmp_path / "parts", most_open=2)
    uids = [f"1.2.{number}" for number in range(30)]
    for uid in uids:
        journals.append(record(uid))

    assert all(journals.has(uid) for uid in uids)
    with pytest.raises(ValueError, match="only once"):
        journals.append(failed(uids[0], "again", 0.0))
    assert len(journals._open) <= 2
    assert sorted(one.name for one in journals.records()) == sorted(uids)


# --- the list ----------------------------------------------------------------------------------------------------


def test_the_list_finds_scattered_studies_and_archives_and_counts_files_of_no_study(archive, tmp_path):
    index = ArchiveIndex(tmp_path / "index")
    with Reader() as reader:
        counts = index.build(archive, reader)

    studies = {study.study_instance_uid: study.paths for study in index.studies()}

    assert (counts.studies, counts.left_out) == (STUDIES + 1, 2)
    assert {path.parent.name for path in studies[phantom.chest("a0").study_instance_uid]} == {"study0", "lost"}
    assert studies[phantom.chest("a1").study_instance_uid] == (archive / "disc.zip",)
    nameless = {Path(one["path"]).name: one["sentence"] for one in index.left_out()}
    assert nameless.keys() == {"notes.dcm", "broken.dcm"}
    assert all(nameless.values())
    beside = {study.study_instance_uid: study.beside for study in index.studies()}
    assert beside[phantom.chest("a2").study_instance_uid] == ((str(archive / "year0" / "study2"), 1),)
    assert beside[phantom.chest("a0").study_instance_uid] == ()
    assert index.counts == counts


def test_a_list_that_was_cut_off_is_made_anew(archive, tmp_path):
    index = ArchiveIndex(tmp_path / "index")
    (tmp_path / "index").mkdir()
    (tmp_path / "index" / "00.jsonl").write_text('["1.2.3", "/half"')

    assert index.counts is None
    with Reader() as reader:
        counts = index.build(archive, reader)

    assert "1.2.3" not in {study.study_instance_uid for study in index.studies()}
    assert counts.studies == STUDIES + 1


@pytest.mark.skipif(os.name == "nt", reason="Windows names are text")
def test_names_that_are_no_text_reach_the_worker_as_they_are():
    paths = Path(os.fsdecode(b"/a/\xff\xfe.dcm")), Path("/b/ä.dcm")
    study = StudyFiles("1.2.3", paths, ((os.fsdecode(b"/a/\xff"), 2),))

    assert StudyFiles.decoded(study.encoded()) == study


def test_memory_does_not_grow_with_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_index, "FILES_AT_ONCE", 32)

    def peak(name: str, folders: int) -> int:
        for number in range(folders):
            small = phantom.chest(f"{name}{number}").with_slices(8).with_matrix(32)
            small.written_to(tmp_path / name / f"{number:04}")
        tracemalloc.start()
        try:
            with Reader() as reader:
                ArchiveIndex(tmp_path / f"{name} index").build(tmp_path / name, reader)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak("warm", 8)  # as many files as make the reader keep a second process

    assert peak("large", 120) < peak("small", 15) + 600_000  # with all headers held it is a megabyte more


# --- the command -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in", "--out", "in/results"], "outside the archive"),
        (["in/notes.dcm", "--out", "out"], "must be a folder"),
        (["nothing", "--out", "out"], "nothing at"),
        (["in", "--out", "out", "--address", "10.0.0.1:6379"], "--engine ray"),
    ],
)
def test_wrong_use_is_said_before_anything_is_written(archive, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(archive.parent)

    assert command(["score-archive", *arguments]) == 2

    assert said in capsys.readouterr().err
    assert not (archive / "results").exists()
    assert not (archive.parent / "out").exists()
