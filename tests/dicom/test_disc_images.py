"""Disc images: their files are found wherever they lie, and nothing in one leads out of it or round for ever."""

from __future__ import annotations

import hashlib
import io
import random
from pathlib import Path

import pycdlib
import pytest

from aicorona_desktop.core.findings import Finding, Outcome, Reason
from aicorona_desktop.dicom.child import disc_images
from aicorona_desktop.dicom.child.disc_images import listed
from aicorona_desktop.dicom.child.elements import RefusedError
from aicorona_desktop.dicom.client import Reader
from aicorona_desktop.dicom.protocol import ImageFile, ImageListed, ImageNeeds
from aicorona_desktop.intake.walking import Found
from aicorona_desktop.triage.disc_image import DiscImage, ImageError

FILES = {
    "DICOMDIR": b"index",
    "PT0/ST0/IM0": random.Random(1).randbytes(70_000),
    "PT0/ST0/IM1": random.Random(2).randbytes(3),
    "PT1/IM0": random.Random(3).randbytes(4096),
}


def iso(
    files: dict[str, bytes] = FILES,
    *,
    joliet: bool = True,
    rock_ridge: bool = True,
    udf: bool = False,
    link: bool = False,
) -> bytes:
    image = pycdlib.PyCdlib()
    options = {"joliet": 3} if joliet else {}
    image.new(interchange_level=3, rock_ridge="1.09" if rock_ridge else None, udf="2.60" if udf else None, **options)

    def names(path: str) -> dict[str, str]:
        given = {"joliet_path": "/" + path} if joliet else {}
        given |= {"rr_name": path.rpartition("/")[2]} if rock_ridge else {}
        return given | ({"udf_path": "/" + path} if udf else {})

    folders = {path.rpartition("/")[0] for path in files} - {""}
    for folder in sorted(
        {"/".join(one.split("/")[: depth + 1]) for one in folders for depth in range(one.count("/") + 1)}
    ):
        image.add_directory("/" + folder.upper(), **names(folder))
    for path, data in files.items():
        plain = path.upper() + ("" if "." in path else ".")
        image.add_fp(io.BytesIO(data), len(data), f"/{plain};1", **names(path))
    if link:
        image.add_symlink("/LINK.;1", "link", "../../etc/passwd")
    out = io.BytesIO()
    image.write_fp(out)
    image.close()
    return out.getvalue()


def all_of(data: bytes) -> tuple[ImageFile, ...]:
    answer = listed(len(data), ((0, data),))
    assert isinstance(answer, ImageListed)
    return answer.files


def refusal(data: bytes) -> Reason:
    with pytest.raises(RefusedError) as caught:
        listed(len(data), ((0, data),))
    return caught.value.finding.reason


def contents(data: bytes, files: tuple[ImageFile, ...]) -> dict[str, bytes]:
    return {one.name: b"".join(data[at : at + size] for at, size in one.extents) for one in files}


@pytest.mark.parametrize(
    "options",
    [{}, {"rock_ridge": False}, {"joliet": False}, {"rock_ridge": False, "joliet": False}, {"udf": True}],
    ids=["both", "joliet", "rock-ridge", "plain", "udf-bridge"],
)
def test_every_file_of_an_image_is_found_under_its_best_name(options: dict[str, bool]) -> None:
    data = iso(**options)

    assert contents(data, all_of(data)) == FILES


def test_only_the_ranges_that_are_needed_are_asked_for(tmp_path: Path) -> None:
    data = iso({f"D{number // 90}/F{number}": bytes([number % 251]) * 30_000 for number in range(180)})
    asked: list[tuple[int, int]] = []

    def read(offset: int, size: int) -> bytes:
        asked.append((offset, size))
        return data[offset : offset + size]

    with Reader() as reader:
        files = reader.image(len(data), read, "0" * 64)

    assert not isinstance(files, Finding)
    assert len(files) == 180
    assert sum(size for _, size in asked) < len(data) / 2
    assert len(asked) <= 4


def test_an_image_that_is_here_in_part_says_what_it_needs() -> None:
    data = iso()

    answer = listed(len(data), ((0, data[:40_000]),))

    assert isinstance(answer, ImageNeeds)
    assert answer.offset >= 40_000


def test_a_link_in_an_image_is_named_and_led_nowhere() -> None:
    files = {one.name: one for one in all_of(iso(link=True))}

    assert files["link"].finding == Finding(Outcome.REFUSED, Reason.LINK)
    assert files["link"].extents == ()
    assert len(files) == len(FILES) + 1


def test_a_folder_that_contains_itself_ends_the_reading() -> None:
    data = bytearray(iso({"A/B/X": b"x"}, joliet=False, rock_ridge=False))
    image = pycdlib.PyCdlib()
    image.open_fp(io.BytesIO(bytes(data)))
    above = image.get_record(iso_path="/A").extent_location()
    below = image.get_record(iso_path="/A/B").extent_location()
    image.close()
    at = data.index(below.to_bytes(4, "little") + below.to_bytes(4, "big"), above * 2048)  # B's entry in A
    data[at : at + 8] = above.to_bytes(4, "little") + above.to_bytes(4, "big")

    assert refusal(bytes(data)) is Reason.IMAGE_DAMAGED


def test_bounds_of_number_size_and_depth_refuse_an_image(monkeypatch: pytest.MonkeyPatch) -> None:
    data = iso({"A/B/C/X": b"x" * 5000, "A/Y": b"y" * 5000})
    for name, value, reason in (
        ("MOST_ENTRIES", 1, Reason.ARCHIVE_TOO_MANY),
        ("MOST_BYTES", 9999, Reason.ARCHIVE_TOO_LARGE),
        ("HIGHEST_RATIO", 0, Reason.ARCHIVE_TOO_LARGE),
        ("DEEPEST_FOLDER", 2, Reason.FOLDER_TOO_DEEP),
        ("MOST_BYTES_READ", 40_000, Reason.ARCHIVE_TOO_LARGE),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(disc_images, name, value)
            assert refusal(data) is reason, name
    assert len(all_of(data)) == 2


@pytest.mark.parametrize("name", ["..", "a/../../b", "a\\b"])
def test_a_name_that_leads_out_refuses_an_image(name: str) -> None:
    with pytest.raises(RefusedError) as caught:
        disc_images._checked(100_000, iter([ImageFile(name, ((40_000, 10),))]))
    assert caught.value.finding.reason is Reason.ARCHIVE_PATH


def test_a_file_that_runs_into_others_is_left_and_the_others_are_read() -> None:
    data = iso(joliet=False, rock_ridge=False)
    size = len(FILES["PT0/ST0/IM0"])
    at = data.index(size.to_bytes(4, "little") + size.to_bytes(4, "big"))
    huge = 10_000_000
    lying = data[:at] + huge.to_bytes(4, "little") + huge.to_bytes(4, "big") + data[at + 8 :]

    files = {one.name: one.finding for one in all_of(lying)}

    assert files.pop("PT0/ST0/IM0") == Finding(Outcome.REFUSED, Reason.ARCHIVE_OVERLAP)
    assert set(files.values()) == {None}


@pytest.mark.parametrize("data", [b"", b"no image", bytes(100_000), b"CD001" * 20_000])
def test_what_is_no_image_is_refused_with_a_next_step(data: bytes) -> None:
    reason = refusal(data)

    assert reason is Reason.IMAGE_DAMAGED
    assert "copy its files" in str(Finding(Outcome.REFUSED, reason))


def test_a_mutated_image_is_listed_or_refused_and_nothing_else() -> None:
    whole, rng = iso(), random.Random(5)
    end = whole.index(FILES["PT1/IM0"][:64])
    for _ in range(250):
        data = bytearray(whole)
        for _ in range(rng.choice((1, 2, 8))):
            data[rng.randrange(32_768, end)] = rng.randrange(256)
        try:
            answer = listed(len(data), ((0, bytes(data)),))
        except RefusedError:
            continue
        assert isinstance(answer, ImageListed | ImageNeeds)
        if isinstance(answer, ImageListed):
            assert all(at + size <= len(data) for one in answer.files for at, size in one.extents if size)


def test_a_truncated_image_gives_the_files_that_are_there(tmp_path: Path) -> None:
    data = iso({"A": b"a" * 50_000, "B": b"b" * 50_000})
    (tmp_path / "cut.iso").write_bytes(data[:-60_000])

    with Reader() as reader, DiscImage(Found(tmp_path / "cut.iso", "cut.iso"), reader) as image:
        read = {one.name: image.read(one) for one in image.files}

    assert [one.reason for one in read.values() if isinstance(one, Finding)] == [Reason.ARCHIVE_TRUNCATED] * 2


def test_what_an_image_holds_that_is_an_archive_or_empty_is_refused_by_itself(tmp_path: Path) -> None:
    (tmp_path / "disc.iso").write_bytes(iso({"IM1": b"x", "MORE.ZIP": b"PK", "EMPTY": b""}, joliet=False))

    with Reader() as reader:
        with DiscImage(Found(tmp_path / "disc.iso", "disc.iso"), reader) as image:
            read = {one.name: image.read(one) for one in image.files}
        with pytest.raises(ImageError), DiscImage(Found(tmp_path / "none.iso", "none.iso"), reader):
            pass

    assert read["IM1"] == b"x"
    assert [read[name].reason for name in ("MORE.ZIP", "EMPTY") if isinstance(read[name], Finding)] == [  # type: ignore[union-attr]
        Reason.ARCHIVE_NESTED,
        Reason.EMPTY_FILE,
    ]


def test_a_real_disc_comes_out_of_an_image_byte_for_byte(shared: Path, tmp_path: Path) -> None:
    root = shared / "data" / "dicom" / "disc_chest_ct"
    files = {one.relative_to(root).as_posix(): one.read_bytes() for one in sorted(root.rglob("*")) if one.is_file()}
    (tmp_path / "disc.iso").write_bytes(iso(files))

    with Reader() as reader, DiscImage(Found(tmp_path / "disc.iso", "disc.iso"), reader) as image:
        read = {one.name: image.read(one) for one in image.files}

    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == {
        name: hashlib.sha256(data).hexdigest() for name, data in read.items() if isinstance(data, bytes)
    }
