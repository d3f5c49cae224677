"""Files of arrays from anybody: what NumPy wrote is read, what would fill the memory or run code is refused."""

import pickle
import zipfile

import numpy as np
import pytest

from jaxnotes.command import archive


def test_the_first_examples_are_those_that_numpy_stored(tmp_path):
    random = np.random.default_rng(0)
    stored = {
        "inputs": random.normal(size=(20, 3, 4)).astype(np.float32),
        "by_columns": np.asfortranarray(random.normal(size=(20, 5))),
        "targets": random.integers(0, 9, 20),
        "number": np.float16(3.5),
        "none": np.zeros((0, 4)),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "batch.npz", **stored)
        found = archive.first_examples(tmp_path / "batch.npz", 8)
        assert {*found} == {*stored}
        for name, array in found.items():
            expected = stored[name][:8] if stored[name].shape else stored[name]
            np.testing.assert_array_equal(array, expected)
            assert array.dtype == expected.dtype


def header(shape: str, dtype: str) -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def write(path, content: bytes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("inputs.npy", content)
    return path


class Dangerous:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_what_is_dangerous_or_damaged_is_refused_in_a_line_that_names_the_array(tmp_path):
    path = tmp_path / "batch.npz"
    for content, said in (
        (header("(10,)", "|O") + pickle.dumps(Dangerous()), "array inputs: it holds Python objects"),
        (header("(1, 2000000000000)", "<f4"), r"array inputs: 8,000,000,000,000 bytes would be read, expected at most"),
        (header("(100, 4)", "<f4") + bytes(100), "array inputs: it is cut off after 100 of 128 bytes"),
        (b"no array", "array inputs: "),
    ):
        with pytest.raises(ValueError, match=said):
            archive.first_examples(write(path, content), 8)
    for whole in (b"", b"not a zip", np.savez(path, inputs=np.ones(9)) or path.read_bytes()[:-40]):
        path.write_bytes(whole)
        with pytest.raises(ValueError, match="it cannot be read: "):
            archive.first_examples(path, 8)


def test_a_small_archive_of_many_zeros_is_read_as_far_as_is_needed(tmp_path):
    path = write(tmp_path / "batch.npz", header("(10000000, 10)", "<f8") + bytes(10**7))  # it says 800 MB
    assert archive.first_examples(path, 4)["inputs"].tolist() == [[0.0] * 10] * 4
