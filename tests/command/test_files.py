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


def test_the_cache_folder_is_the_users_and_named_where_it_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" and (tmp_path / ".cache").is_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    assert files.cache_folder() == tmp_path / "other"
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(OSError, match=r"the cache folder .*file cannot be written \(.*\); set XDG_CACHE_HOME"):
        files.cache_folder()
