"""The first examples of the arrays of an .npz file, which may come from anybody."""

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

LARGEST = 2**32  # bytes of an array that are read
HEADERS = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}


def first_examples(path: Path, examples: int) -> dict[str, np.ndarray]:
    """Returns the first entries along the first axis of each array, by name.

    No more is read than that, since a small archive can hold terabytes of zeros, and nothing is unpickled.

    Args:
      path: of the file.
      examples: how many entries at most.

    Raises:
      ValueError: the file is no .npz, is damaged or cut off, or an array holds Python objects or is larger than 4 GiB; the
        message says which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return {name.removesuffix(".npy"): _read(archive, name, examples) for name in archive.namelist()}
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ValueError(f"it cannot be read: {error}") from error


def _read(archive: zipfile.ZipFile, name: str, examples: int) -> np.ndarray:
    with archive.open(name) as stream:
        try:
            return _first(stream, examples)
        except ValueError as error:
            raise ValueError(f"array {name.removesuffix('.npy')}: {error}") from error


def _first(stream: Any, examples: int) -> np.ndarray:
    major, _ = np.lib.format.read_magic(stream)
    if major not in HEADERS:
        raise ValueError(f"format {major} of NumPy, expected 1 or 2; save plain arrays with np.savez")
    shape, by_columns, dtype = HEADERS[major](stream)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which could run code as they are read; save arrays of numbers")
    read = shape if by_columns or not shape else (min(shape[0], examples), *shape[1:])
    size = math.prod(read) * dtype.itemsize
    if size > LARGEST:
        raise ValueError(f"{size:,} bytes would be read, expected at most {LARGEST:,}; save fewer or smaller examples")
    data = stream.read(size)
    if len(data) < size:
        raise ValueError(f"it is cut off after {len(data):,} of {size:,} bytes")
    array = np.frombuffer(data, dtype).reshape(read, order="F" if by_columns else "C")
    return array[:examples] if shape else array
