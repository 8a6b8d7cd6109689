"""The commands as a person types them: outputs, JSON, exit codes, one clear line on errors."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aicorona_desktop.cli.main import run
from aicorona_desktop.model.pack import default_pack
from tests import phantom

STUDY_KEYS = {
    "study_uid", "series_uid", "patient_id", "state", "lane", "rank", "reason", "p_normal", "p_cp", "p_covid", "logits",
    "slices_total", "slices_used", "slice_indices", "warnings", "files", "seconds_read", "seconds_infer", "provider",
    "pack", "pack_sha256",
}  # fmt: skip
PACK = default_pack().folder


def answer(*arguments: str | Path, json_file: Path) -> Any:
    assert run([*map(str, arguments), "--json", str(json_file)]) == 0
    return json.loads(json_file.read_text("utf-8"))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return phantom.chest().with_ground_glass(0.6).written_to(tmp_path_factory.mktemp("study") / "in")


def test_triage_gives_the_documented_object_of_a_study(study: Path, tmp_path: Path) -> None:
    (one,) = answer("triage", study, json_file=tmp_path / "out.json")

    assert set(one) >= STUDY_KEYS
    assert one["state"] == "done"
    assert one["lane"] == "ranked"
    assert one["rank"] == 1
    assert one["slice_indices"] == list(range(5, 15))
    assert one["p_normal"] + one["p_cp"] + one["p_covid"] == pytest.approx(1)
    assert {outcome["outcome"] for outcome in one["files"].values()} == {"scored"}
    assert set(one["files"]) == {str(path) for path in study.rglob("*.dcm")}
    assert one["provider"] == "cpu"


def test_the_score_does_not_depend_on_the_order_or_the_place_of_the_files(study: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for number, path in enumerate(sorted(study.rglob("*.dcm"), reverse=True)):
        shutil.copy(path, elsewhere / f"{number:03}")

    (one,), (other,) = (answer("triage", place, json_file=tmp_path / "out.json") for place in (study, elsewhere))

    assert one["logits"] == other["logits"]
    assert one["p_covid"] == other["p_covid"]


def test_triage_of_nothing_scorable_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.dcm").write_text("no image")
    (tmp_path / "in" / "README.txt").write_text("no image")

    objects = answer("triage", tmp_path / "in", json_file=tmp_path / "out.json")

    assert {one["state"] for one in objects} == {"refused", "ignored"}
    assert all(one["study_uid"] is None and one["p_covid"] is None for one in objects)


def test_triage_of_an_empty_folder_is_an_empty_list(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()

    assert answer("triage", tmp_path / "in", json_file=tmp_path / "out.json") == []


def test_the_table_names_the_pack_in_plain_words_and_that_this_is_no_diagnosis(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["triage", str(study)]) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert "Not a diagnosis" in said
    assert "not validated" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["triage", "there-is-nothing-here"],
        ["triage"],
        ["no-such-command"],
        ["triage", ".", "--provider", "abacus"],
        ["triage", ".", "--json", "no/such/folder/out.json"],
        ["watch", "there-is-nothing-here"],
        ["score-images", "there-is-nothing-here"],
        ["worklist", "--history", "there-is-nothing-here.sqlite"],
        ["triage", ".", "--pack", "there-is-nothing-here"],
    ],
)
def test_wrong_use_is_exit_code_2_and_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = run(arguments)
    except SystemExit as ended:
        code = int(str(ended.code))

    assert code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_a_damaged_pack_is_our_failure_and_says_which_part(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = tmp_path / PACK.name
    shutil.copytree(PACK, pack)
    model = bytearray((pack / "model.onnx").read_bytes())
    model[1000] ^= 1
    (pack / "model.onnx").write_bytes(model)

    assert run(["triage", str(study), "--pack", str(pack)]) == 3

    error = capsys.readouterr().err
    assert "model.onnx" in error
    assert error.count("\n") == 1


def test_a_device_that_is_not_there_is_said_and_the_study_scored_on_the_cpu(
    study: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (one,) = answer("triage", study, "--provider", "cuda", json_file=tmp_path / "out.json")

    assert one["state"] == "done"
    assert one["provider"] == "cpu"
    assert "cuda" in " ".join(one["warnings"]) + capfd.readouterr().err


def test_a_stored_score_is_proven_identical_and_a_changed_file_is_noticed(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy, history = tmp_path / "in", tmp_path / "history.sqlite"
    shutil.copytree(study, copy)
    (one,) = answer("triage", copy, "--history", history, json_file=tmp_path / "out.json")
    rescore = ["rescore", "--verify", one["study_uid"], "--history", str(history)]

    proof = answer(*rescore, json_file=tmp_path / "proof.json")

    assert proof["identical"] is True
    assert proof["logits_now"] == one["logits"]

    scored = sorted(copy.rglob("*.dcm"))[one["slice_indices"][3]]
    data = bytearray(scored.read_bytes())
    data[-5] ^= 1
    scored.write_bytes(data)
    capsys.readouterr()
    assert run(rescore) == 3
    assert "changed" in capsys.readouterr().err


def test_with_copies_a_score_is_proven_when_the_files_have_gone(study: Path, tmp_path: Path) -> None:
    files, history = tmp_path / "in", tmp_path / "history.sqlite"
    shutil.copytree(study, files)
    (one,) = answer("triage", files, "--copy", "--history", history, json_file=tmp_path / "out.json")
    shutil.rmtree(files)

    proof = answer("rescore", "--verify", one["study_uid"], "--history", history, json_file=tmp_path / "proof.json")

    assert proof["identical"] is True


def test_the_worklist_of_a_history_has_the_study(study: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.sqlite"
    (one,) = answer("triage", study, "--history", history, json_file=tmp_path / "out.json")

    (row,) = answer("worklist", "--history", history, json_file=tmp_path / "worklist.json")

    assert row["study_uid"] == one["study_uid"]
    assert row["p_covid"] == one["p_covid"]
    assert row["lane"] == "ranked"


def test_rescore_without_verify_scores_again_and_keeps_one_result(study: Path, tmp_path: Path) -> None:
    history = tmp_path / "history.sqlite"
    (one,) = answer("triage", study, "--history", history, json_file=tmp_path / "out.json")

    (again,) = answer("rescore", one["study_uid"], "--history", history, json_file=tmp_path / "again.json")

    assert again["logits"] == one["logits"]


def test_a_heat_map_is_a_png_with_the_notice_in_it(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "map.png"

    assert run(["heatmap", str(study), "--slice", "9", "--out", str(out)]) == 0

    data = out.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert b"Not a diagnosis" in data
    width, height = int.from_bytes(data[16:20]), int.from_bytes(data[20:24])
    assert width == 2 * height


def test_a_heat_map_of_a_slice_that_is_not_there_is_wrong_use(study: Path, tmp_path: Path) -> None:
    assert run(["heatmap", str(study), "--slice", "99", "--out", str(tmp_path / "map.png")]) == 2


def test_pictures_are_scored_as_slices_and_folders_as_scans(shared: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    scan = shared / "data" / "ct_scans" / "ctmd_p002"
    pictures = sorted(scan.glob("*.webp"))[:2]
    manifest.write_text("file\n" + "\n".join(str(place) for place in (*pictures, scan, tmp_path / "none.png")) + "\n")

    lines = answer("score-images", manifest, json_file=tmp_path / "out.json")

    assert [line["kind"] for line in lines] == ["slice", "slice", "scan", "slice"]
    assert lines[2]["slices_used"] == 45 - 2 * (45 // 4)
    assert lines[3]["p_covid"] is None
    assert lines[3]["error"]
    assert all(line["p_normal"] + line["p_cp"] + line["p_covid"] == pytest.approx(1) for line in lines[:3])


def test_features_are_given_when_asked_for(shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(next((shared / "data" / "ct_slices" / "tune" / "covid").glob("*.webp")), folder / "a.webp")

    lines = answer("score-images", folder, "--features", json_file=tmp_path / "out.json")

    assert {line["kind"] for line in lines} == {"slice", "scan"}
    assert all(len(line["features"]) == 1536 for line in lines)


def test_self_check_finds_every_part_working(tmp_path: Path) -> None:
    report = answer("self-check", json_file=tmp_path / "out.json")

    assert report["ok"]
    assert {check["name"] for check in report["checks"]} >= {
        "model pack",
        "history",
        "decoders",
        "known answer",
        "speed",
    }


def test_watch_scores_what_arrives(tmp_path: Path) -> None:
    watched, out = tmp_path / "in", tmp_path / "out.json"
    phantom.chest().written_to(watched / "study")
    options = ["--quiet-time", "0.5", "--poll", "0.5", "--for", "12", "--history", str(tmp_path / "h.sqlite")]

    assert run(["watch", str(watched), *options, "--json", str(out)]) == 0

    (one,) = [one for one in json.loads(out.read_text("utf-8")) if one["study_uid"]]
    assert one["state"] == "done"


def test_the_demo_ranks_marked_disease_above_clear_lungs(tmp_path: Path) -> None:
    objects = answer("demo", json_file=tmp_path / "out.json")

    done = {one["patient_id"]: one for one in objects if one["state"] == "done"}
    assert done["DEMO-2"]["rank"] < done["DEMO-1"]["rank"]
    assert {one["lane"] for one in objects if one["state"] != "done"} == {"needs_person", "not_for_tool"}


def test_a_history_that_another_program_writes_is_left_alone(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from aicorona_desktop.history.store import History

    history = tmp_path / "history.sqlite"
    with History.open(history):
        assert run(["triage", str(study), "--history", str(history)]) == 3

    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(os.name == "nt", reason="signals are a matter of POSIX")
def test_ctrl_c_ends_the_program_quickly_without_a_traceback(tmp_path: Path) -> None:
    folder = phantom.chest().with_slices(300, 1).written_to(tmp_path / "in")
    command = [sys.executable, "-m", "aicorona_desktop", "triage", str(folder)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    time.sleep(4)
    process.send_signal(signal.SIGINT)

    _, error = process.communicate(timeout=15)

    assert process.returncode in (130, 0)
    assert "Traceback" not in error


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes in folders")
def test_what_is_no_plain_file_is_never_overwritten(study: Path, tmp_path: Path) -> None:
    pipe, link = tmp_path / "pipe", tmp_path / "link.json"
    os.mkfifo(pipe)
    link.symlink_to(tmp_path / "target.json")

    with pytest.raises(SystemExit) as ended:
        run(["triage", str(study), "--json", str(pipe)])
    assert run(["triage", str(study), "--json", str(link)]) == 0

    assert ended.value.code == 2
    assert pipe.is_fifo()
    assert link.is_symlink()
    assert (tmp_path / "target.json").is_file()


def test_odd_lines_of_a_manifest_are_errors_of_their_own(study: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"label,file\nx\nx,{'n' * 3000}.png\nx,no\0such.png\nx,esc\x1b[31m.png\n", "utf-8")

    lines = answer("score-images", manifest, json_file=tmp_path / "out.json")

    assert len(lines) == 4
    assert all(line["error"] and line["p_covid"] is None and line["pack_sha256"] for line in lines)


def test_a_manifest_that_is_no_text_is_wrong_use(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    manifest.write_bytes(b"file\n\xff\xfe.png\n")

    assert run(["score-images", str(manifest)]) == 2


def test_escape_sequences_of_file_names_never_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "\x1b[31mred.dcm").write_bytes(b"no image")

    assert run(["triage", str(tmp_path / "in")]) == 0

    assert "\x1b[31m" not in capsys.readouterr().out


def test_a_file_of_somebody_else_is_never_taken_for_a_history(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("not yours")

    assert run(["triage", str(study), "--history", str(notes)]) == 3

    assert notes.read_text() == "not yours"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    assert "not a history" in capsys.readouterr().err


def test_worklist_and_self_check_print_their_json_where_no_file_is_named(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "history.sqlite"
    (one,) = answer("triage", study, "--history", history, json_file=tmp_path / "out.json")
    capsys.readouterr()

    assert run(["worklist", "--history", str(history), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["study_uid"] == one["study_uid"]
    assert run(["self-check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True
