"""Files are written whole or not at all."""

import os

import pytest

from jaxnotes.command import files


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "page.html"
    files.write_text(path, "old: é")
    assert path.read_bytes() == "old: é".encode()

    def fail(*_):
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        files.write_text(path, "new")
    assert [entry.name for entry in path.parent.iterdir()] == ["page.html"]
    assert path.read_text(encoding="utf-8") == "old: é"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    files.check_writable(tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder").is_dir() and not list((tmp_path / "new" / "folder").iterdir())
    with pytest.raises(OSError, match=r"--out_dir=.*file/below cannot be written \(.*\); choose another folder"):
        files.check_writable(tmp_path / "file" / "below")
