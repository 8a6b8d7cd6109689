"""What must hold for the checkout as a whole: what documents promise, what is committed, where things lie."""

from __future__ import annotations

import argparse
import io
import os
import re
import string
import subprocess
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import hooks
import lock
import numpy as np
import pydicom
import pytest
import run

import aicorona_desktop
from aicorona_desktop.cli.main import parser
from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.writing import ct_slice, uid_of
from aicorona_desktop.imaging.phantom import Thorax

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TOP_LEVEL = {
    *("pyproject.toml", "aicorona_desktop", "resources", "installer", "tests", "README.md"),
    *("requirements.lock", "requirements-dev.lock", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md", "docs"),
    *(".ci", ".gitattributes", ".gitignore", ".pre-commit-config.yaml"),
}
# Written so that this file does not hold what it looks for.
MACHINE_WORDS = re.compile(
    r"/(?:w[o]rk|f[a]rm|h[o]me|r[o]ot|U[s]ers)/|\.libr[a]ry\b|index[-_]u[r]l"
    r"|\b(?:py[p]i|python[h]osted|np[m]js|debi[a]n|ubunt[u]|conda|anac[o]nda)\.(?:org|com|io|net)\b",
    re.IGNORECASE,
)
LEFT_OPEN = re.compile(r"\b(?:TO[D]O|FIX[M]E|XX[X]|NotImplemented[E]rror)\b")
COMMANDS = next(action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)).choices


@lru_cache(maxsize=1)
def committed() -> tuple[Path, ...]:
    """Every file that is committed or would be; links are left out."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("this is not a git checkout")
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file() and not path.is_symlink())


@lru_cache(maxsize=1)
def texts() -> dict[str, str]:
    """Every committed text file, by its path in the checkout."""
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in committed()}
    return {name: content.decode() for name, content in contents.items() if b"\0" not in content}


def documents() -> dict[str, str]:
    return {name: text for name, text in texts().items() if name.endswith(".md")}


def found(pattern: re.Pattern[str], names: dict[str, str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in names.items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def pinned(name: str) -> set[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return {pin.split("==")[0] for pins in lock.pins(text).values() for pin in pins}


# --- what is committed -------------------------------------------------------------------------------------------


def test_the_top_level_holds_only_what_belongs_there():
    assert {path.relative_to(ROOT).parts[0] for path in committed()} <= TOP_LEVEL


def test_no_file_names_a_registry_or_a_place_on_a_machine():
    assert found(MACHINE_WORDS, texts()) == []


@pytest.mark.parametrize(
    "line", ["https://py" + "pi.org/simple", "cd /wo" + "rk/main", "--index" + "-url x", "C:/Us" + "ers/anna"]
)
def test_the_search_for_them_finds_them(line: str):
    assert found(MACHINE_WORDS, {"a file": line}) == [f"a file:1: {line}"]


def test_no_file_is_a_dicom_file_but_the_samples():
    assert hooks.refused("dicom", committed()) == []


@pytest.mark.parametrize("path", sorted((ROOT / "resources" / "samples").iterdir()), ids=lambda path: path.stem)
def test_a_sample_holds_what_our_code_writes_and_nothing_else(path: Path):
    thorax = Thorax(slices=40, matrix=64)
    words = {"PatientName": "Sample^Synthetic", "PatientID": "SAMPLE", "Modality": "CT"}
    uids = {name: uid_of("sample", name) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    plain = ct_slice(thorax.slice(20), thorax.positions_mm[20], thorax.pixel_spacing_mm, words | uids)
    ours, sample = pydicom.dcmread(io.BytesIO(plain)), pydicom.dcmread(path)

    assert np.array_equal(sample.pixel_array, ours.pixel_array)
    for dataset in (ours, sample):
        del dataset.PixelData
    assert sample == ours
    assert not any(path.read_bytes()[: hooks.DICOM_MARK_AT])


def test_no_file_is_over_25_mib():
    assert hooks.refused("large", committed()) == []


def test_no_text_has_space_at_the_end_of_a_line():
    assert hooks.refused("space", [path for path in committed() if path.name != "model.json"]) == []


def test_nothing_is_left_open_in_the_code():
    assert found(LEFT_OPEN, {name: text for name, text in texts().items() if name.endswith(".py")}) == []


def test_the_hooks_before_a_commit_fetch_nothing():
    config = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")

    assert re.findall(r"repo: (\S+)", config) == ["local"]
    assert set(re.findall(r"language: (\S+)", config)) == {"script"}


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no such bit")
def test_the_hooks_can_be_started():
    assert os.access(hooks.__file__, os.X_OK)


# --- one version, one place a folder -----------------------------------------------------------------------------


def test_the_version_stands_in_one_place():
    assert re.fullmatch(r"\d+\.\d+\.\d+", aicorona_desktop.__version__)
    assert "version" in PYPROJECT["project"]["dynamic"]
    assert "version" not in PYPROJECT["project"]
    stated = re.compile(rf"version__? *= *[\"']{re.escape(aicorona_desktop.__version__)}[\"']")
    assert [line.split(":")[0] for line in found(stated, texts())] == ["aicorona_desktop/__init__.py"]


def test_the_program_states_that_version():
    done = subprocess.run(
        [sys.executable, "-m", "aicorona_desktop", "--version"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == f"aicorona-desktop {aicorona_desktop.__version__}\n"


def test_every_folder_of_the_package_has_its_place_in_the_layers():
    (street,) = (one for one in PYPROJECT["tool"]["importlinter"]["contracts"] if one["name"].startswith("The street"))
    placed = {name.strip(" ()") for line in street["layers"] for name in re.split(r"[|:]", line)}

    folders = {Path(name).parts[1] for name in texts() if re.fullmatch(r"aicorona_desktop/\w+/.*\.py", name)}

    assert street["exhaustive"]
    assert folders <= placed


@pytest.mark.parametrize("library", ["PySide6", "onnxruntime", "pydicom", "gdcm", "PIL", "sqlite3", "socket"])
def test_a_library_that_lives_in_one_folder_is_forbidden_in_all_others(library: str):
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]

    (contract,) = (one for one in contracts if library in one.get("forbidden_modules", ()))

    assert contract["source_modules"] == ["aicorona_desktop"]


# --- what the documents promise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_is_in_the_readme_and_has_its_section_in_the_guide(command: str):
    assert f"aicorona-desktop {command}" in texts()["README.md"] or f"run.py {command}" in texts()["README.md"]
    assert re.search(rf"^## {re.escape(command)}\b", texts()["docs/command-line.md"], re.MULTILINE)


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_option_is_in_the_guide(command: str):
    options = {name for action in COMMANDS[command]._actions for name in action.option_strings if name[:2] == "--"}

    missing = {name for name in options - {"--help"} if not re.search(rf"{name}\b", texts()["docs/command-line.md"])}

    assert missing == set()


def test_every_section_of_the_guide_is_a_command():
    titles = re.findall(r"^## ([a-z-]+)", texts()["docs/command-line.md"], re.MULTILINE)

    assert set(titles) <= set(COMMANDS)


def test_every_reason_is_in_the_guide():
    guide = texts()["docs/outcomes.md"]

    assert [reason.code for reason in Reason if f"`{reason.code}`" not in guide] == []


def test_every_call_of_the_installer_in_the_documents_is_one_it_knows():
    calls = {call for text in documents().values() for call in re.findall(r"run\.py ([a-z]+)", text)}

    assert {"demo", "test"} <= calls
    assert calls <= set(run.COMMANDS)


def test_every_link_between_the_documents_leads_somewhere():
    broken = [
        f"{name}: {target}"
        for name, text in documents().items()
        for target in re.findall(r"\]\((?![a-z]+:)([^)#\s]+)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]

    assert broken == []


def test_every_package_that_is_installed_to_run_the_program_has_its_licence_in_the_table():
    table = texts()["docs/licences.md"].split("## Libraries inside")[0]

    named = set(re.findall(r"^\| ([a-z0-9-]+) \|", table, re.MULTILINE))

    assert named == pinned(run.RUN_LOCK)


def test_the_changelog_has_a_place_for_what_is_next():
    assert "## [Unreleased]" in texts()["CHANGELOG.md"]


# --- what a person may read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.code)
def test_every_reason_is_one_sentence_that_takes_the_evidence(reason: Reason):
    fields = {field for _, field, _, _ in string.Formatter().parse(reason.value) if field}

    with_evidence = str(Finding(Outcome.WARNED, reason, found=1234.5, needed=0.25, name="PatientPosition"))
    without = str(Finding(Outcome.WARNED, reason))

    assert fields <= {"found", "needed", "name"}
    assert with_evidence[0].isupper() or with_evidence.startswith(("1234", "PatientPosition"))
    assert with_evidence[-1] in ".?"
    assert "{" not in with_evidence + without
