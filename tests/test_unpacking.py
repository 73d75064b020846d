"""Archives that someone else made, also with the Pythons whose tarfile knows no filter."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from punie.unpacking import extract

CONTENT = b"x = 1\n"
BAD = {
    "a name with dots": ("../escape.py", tarfile.REGTYPE, ""),
    "dots in the middle": ("a/../../escape.py", tarfile.REGTYPE, ""),
    "a link out": ("escape", tarfile.SYMTYPE, "../../outside"),
    "an absolute link": ("escape", tarfile.SYMTYPE, "/etc/passwd"),
    "a hard link out": ("escape", tarfile.LNKTYPE, "../outside"),
    "a pipe": ("escape", tarfile.FIFOTYPE, ""),
}


@pytest.fixture(params=["this Python", "an older Python"], autouse=True)
def python(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "an older Python":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


def packed(path: Path, name: str, kind: bytes, link: str) -> Path:
    with tarfile.open(path, "w") as archive:
        good = tarfile.TarInfo("top/ok.py")
        good.size = len(CONTENT)
        archive.addfile(good, io.BytesIO(CONTENT))
        odd = tarfile.TarInfo(name)
        odd.type, odd.linkname = kind, link
        archive.addfile(odd)
    return path


@pytest.mark.parametrize("name", BAD)
def test_what_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "outside").write_text("secret")
    folder = tmp_path / "deep" / "folder"
    folder.mkdir(parents=True)
    bad = packed(tmp_path / "bad.tar", *BAD[name])
    with tarfile.open(bad) as archive, pytest.raises(tarfile.TarError):
        extract(archive, folder)
    assert not [path for path in tmp_path.rglob("escape*") if path.exists()]


def test_what_stays_inside_is_unpacked(tmp_path: Path) -> None:
    path = packed(tmp_path / "good.tar", "top/same.py", tarfile.SYMTYPE, "ok.py")
    with tarfile.open(path) as archive:
        extract(archive, tmp_path / "folder")
    assert (tmp_path / "folder" / "top" / "same.py").read_bytes() == CONTENT


def test_what_another_user_packed_is_ours(tmp_path: Path) -> None:
    path = tmp_path / "others.tar"
    with tarfile.open(path, "w") as archive:
        for name, kind, mode in (("top", tarfile.DIRTYPE, 0o2777), ("top/run", b"0", 0o6777)):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, mode, 12345, 12345
            archive.addfile(member)
    with tarfile.open(path) as archive:
        extract(archive, tmp_path / "folder")
    for name in ("top", "top/run"):
        found = (tmp_path / "folder" / name).stat()
        assert (found.st_uid, found.st_gid) == (os.getuid(), os.getgid())
        assert not found.st_mode & 0o6022
