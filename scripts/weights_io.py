"""Weight files as numpy arrays: safetensors and PyTorch checkpoints, in and out.

Nothing here needs torch. A PyTorch checkpoint is a zip archive with a pickle and raw storages;
the pickle is read by an unpickler that knows the few names a state dict needs and refuses every
other one, so that reading a file never runs code from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
import pickletools
import secrets
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, Iterable, Iterator, Mapping, NamedTuple

import numpy as np

MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
MAX_PICKLE_BYTES = 64_000_000  # a state dict's pickle is a few hundred kilobytes
CHUNK_BYTES = 1 << 20


class DataError(Exception):
    """A file or a download that cannot be read, or cannot be trusted."""


class ModelError(Exception):
    """A readable file that does not hold the model asked for."""


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, as lower-case hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` whole, when the block ends without error, or not at all."""
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    file = open(temporary, "xb")
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` durable, where the system can do that."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# --- safetensors ---------------------------------------------------------------------------------

_SAFETENSORS_TO_NUMPY = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),  # widened to float32 when read
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NUMPY_TO_SAFETENSORS = {
    dtype: name for name, dtype in _SAFETENSORS_TO_NUMPY.items() if name != "BF16"
}


class TensorEntry(NamedTuple):
    """Where a tensor lies in a safetensors file, counted in bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class Header(NamedTuple):
    metadata: dict[str, str]
    tensors: dict[str, TensorEntry]


def write_safetensors(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Writes `tensors` in the order of their names; the file appears whole or not at all."""
    if any(not isinstance(text, str) for item in metadata.items() for text in item):
        raise TypeError("safetensors metadata maps strings to strings")
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    names = sorted(tensors)
    for name in names:
        array = tensors[name]
        dtype = _NUMPY_TO_SAFETENSORS.get(array.dtype.newbyteorder("<"))
        if dtype is None:
            raise TypeError(f"safetensors has no type for {name} ({array.dtype})")
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with atomic_file(path) as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in names:
            array = tensors[name]
            file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())


def read_safetensors_header(path: Path) -> Header:
    """Reads the header and checks that the tensors fit their shapes and fill the file."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(size - 8, MAX_HEADER_BYTES):
            raise DataError(f"{path} is not a safetensors file, or is cut short")
        text = file.read(length)
    try:
        fields = json.loads(text, object_pairs_hook=_unique_keys)
        if not isinstance(fields, dict):
            raise ValueError("the header is not an object")
        metadata = fields.pop("__metadata__", {})
        if not isinstance(metadata, dict) or any(
            not isinstance(value, str) for value in metadata.values()
        ):
            raise ValueError("__metadata__ does not map strings to strings")
        tensors = {name: _tensor_entry(name, entry, 8 + length) for name, entry in fields.items()}
        _check_layout(tensors, 8 + length, size)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a valid safetensors file: {error}") from error
    return Header(metadata, tensors)


def read_safetensors(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """All tensors of a safetensors file (bfloat16 as float32) and its metadata."""
    header = read_safetensors_header(path)
    data = path.read_bytes()
    tensors = {}
    for name, entry in header.tensors.items():
        flat = np.frombuffer(
            data, _SAFETENSORS_TO_NUMPY[entry.dtype], math.prod(entry.shape), entry.begin
        )
        tensors[name] = (_widen_bfloat16(flat) if entry.dtype == "BF16" else flat).reshape(
            entry.shape
        )
    return tensors, header.metadata


def tensors_checksum(path: Path) -> str:
    """SHA-256 over names, types, shapes and bytes of all tensors in the order of their names.

    Equal for files of the same weights, whatever their metadata; `nagl inspect` shows it too.
    """
    header = read_safetensors_header(path)
    data = path.read_bytes()
    digest = hashlib.sha256()
    for name, entry in sorted(header.tensors.items()):
        digest.update(f"{name}\n{entry.dtype}\n{list(entry.shape)}\n".encode())
        digest.update(data[entry.begin : entry.end])
    return digest.hexdigest()


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a name stands twice in the header")
    return fields


def _tensor_entry(name: str, entry: Any, data_start: int) -> TensorEntry:
    if not isinstance(entry, dict) or entry.get("dtype") not in _SAFETENSORS_TO_NUMPY:
        raise ValueError(f"{name} has an unknown type")
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2:
        raise ValueError(f"{name} has a malformed shape or place")
    begin, end = offsets
    if end - begin != math.prod(shape) * _SAFETENSORS_TO_NUMPY[entry["dtype"]].itemsize:
        raise ValueError(f"the size of {name} does not fit its shape")
    return TensorEntry(entry["dtype"], tuple(shape), data_start + begin, data_start + end)


def _check_layout(tensors: Mapping[str, TensorEntry], data_start: int, file_size: int) -> None:
    position = data_start
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != position:
            raise ValueError(f"{name} overlaps another tensor or leaves a gap")
        position = entry.end
    if position != file_size:
        raise ValueError(f"the header describes {position} bytes, the file has {file_size}")


def _are_counts(values: Any) -> bool:
    return isinstance(values, (list, tuple)) and all(
        type(value) is int and value >= 0 for value in values
    )


def _widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


# --- PyTorch checkpoints -------------------------------------------------------------------------


def read_torch_checkpoint(path: Path) -> Any:
    """What `torch.save` wrote (zip format), with numpy arrays for tensors (bfloat16 as float32).

    Only containers, numbers, strings and tensors are read; any other Python object is refused and
    nothing is run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Archive(path, archive).load()
    except DataError:
        raise
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not a complete PyTorch checkpoint ({error}); fetch it again"
        ) from error
    except MemoryError as error:
        raise DataError(f"{path} asks for more memory than there is") from error
    except (
        Exception
    ) as error:  # a damaged pickle can fail in any way; none of them is more than a damaged file
        raise DataError(
            f"{path} is not a readable PyTorch checkpoint ({_reason(error)})"
        ) from error


def write_torch_checkpoint(path: Path, tensors: Mapping[str, np.ndarray]) -> None:
    """Writes float32 arrays as `torch.save` does a state dict; the file appears whole or not at all.

    `torch.load` reads it, with weights_only too.
    """
    items, archive_bytes = [], io.BytesIO()
    with zipfile.ZipFile(archive_bytes, "w", zipfile.ZIP_STORED) as archive:
        for index, (name, array) in enumerate(tensors.items()):
            values = np.ascontiguousarray(array, "<f4")
            items.append(_op_text(name) + _op_tensor(str(index), values))
            archive.writestr(f"archive/data/{index}", values.tobytes())
        content = b"\x80\x02" + _op_global("collections", "OrderedDict") + b")R"  # OrderedDict()
        content += b"(" + b"".join(items) + b"u."  # its items, all at once
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/byteorder", b"little")
        archive.writestr("archive/version", b"3\n")
    with atomic_file(path) as file:
        file.write(archive_bytes.getbuffer())


def _op_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _op_text(text: str) -> bytes:
    encoded = text.encode("utf-8")
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def _op_tuple(values: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(values) + b"t"


def _op_count(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def _op_tensor(key: str, array: np.ndarray) -> bytes:
    """Opcodes of torch._utils._rebuild_tensor_v2(storage, 0, size, stride, False, OrderedDict())."""
    storage = _op_tuple(
        (
            _op_text("storage"),
            _op_global("torch", "FloatStorage"),
            _op_text(key),
            _op_text("cpu"),
            _op_count(array.size),
        )
    )
    arguments = (
        storage + b"Q",  # by reference: the reader fetches it from the archive
        _op_count(0),
        _op_tuple(map(_op_count, array.shape)),
        _op_tuple(_op_count(stride // array.itemsize) for stride in array.strides),
        b"\x89",  # False: no gradient
        _op_global("collections", "OrderedDict") + b")R",  # no hooks
    )
    return _op_global("torch._utils", "_rebuild_tensor_v2") + _op_tuple(arguments) + b"R"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


class _StorageType:
    """Stands for torch.FloatStorage and its like."""

    __slots__ = ("dtype", "is_bfloat16")

    def __init__(self, dtype: str, is_bfloat16: bool = False) -> None:
        self.dtype = np.dtype(dtype)
        self.is_bfloat16 = is_bfloat16

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a storage type has no state")


class _Storage:
    """The flat values of one stored block."""

    __slots__ = ("values",)

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a storage has no state")


class _Function:
    """A function that a pickle may call, without attributes that a pickle could set."""

    __slots__ = ("_function",)

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("a function has no state")


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> np.ndarray:
    """A view into a storage, as torch._utils._rebuild_tensor_v2 makes it, with its size checked."""
    if not isinstance(storage, _Storage):
        raise pickle.UnpicklingError("a tensor without a storage")
    if (
        not _are_counts((offset,))
        or not _are_counts(size)
        or not _are_counts(stride)
        or len(size) != len(stride)
    ):
        raise pickle.UnpicklingError("a tensor with a malformed size, stride or offset")
    values = storage.values
    if math.prod(size) == 0:
        return np.empty(size, values.dtype)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride))
    if last >= values.size or math.prod(size) > values.size:
        raise pickle.UnpicklingError(
            f"a tensor of shape {list(size)} reaches outside its storage of {values.size} values"
        )
    strides = [step * values.itemsize if count > 1 else 0 for count, step in zip(size, stride)]
    return np.lib.stride_tricks.as_strided(values[offset:], size, strides, writeable=False)


def _rebuild_parameter(data: Any, *_: Any) -> np.ndarray:
    if not isinstance(data, np.ndarray):
        raise pickle.UnpicklingError("a parameter without a tensor")
    return data


_KNOWN_NAMES: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch._utils", "_rebuild_parameter"): _Function(_rebuild_parameter),
    ("torch", "FloatStorage"): _StorageType("f4"),
    ("torch", "HalfStorage"): _StorageType("f2"),
    ("torch", "BFloat16Storage"): _StorageType("u2", is_bfloat16=True),
    ("torch", "DoubleStorage"): _StorageType("f8"),
    ("torch", "LongStorage"): _StorageType("i8"),
}


def _check_memo(content: bytes) -> None:
    """Refuses memo numbers that no writer needs: the unpickler's memory grows with the largest."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and argument > len(content):
            raise pickle.UnpicklingError(f"a memo number of {argument}")


class _RestrictedUnpickler(pickle.Unpickler):
    def __init__(self, file: BinaryIO, archive: _Archive) -> None:
        super().__init__(file)
        self._archive = archive

    def find_class(self, module: str, name: str) -> Any:
        known = _KNOWN_NAMES.get((module, name))
        if known is None:
            raise DataError(
                f"{self._archive.path} is refused: its pickle asks for the Python object"
                f" {module}.{name}, which weights do not need (nothing was run); use a file that"
                " holds a state dict only"
            )
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        if not (
            isinstance(pid, tuple)
            and len(pid) == 5
            and pid[0] == "storage"
            and isinstance(pid[1], _StorageType)
            and isinstance(pid[2], str)
            and _are_counts((pid[4],))
        ):
            raise pickle.UnpicklingError("a malformed storage reference")
        return self._archive.storage(kind=pid[1], key=pid[2], count=pid[4])


class _Archive:
    """The zip archive of a checkpoint: FOLDER/data.pkl, FOLDER/data/KEY, FOLDER/byteorder."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self.path = path
        self._archive = archive
        pickles = [
            name for name in archive.namelist() if name == "data.pkl" or name.endswith("/data.pkl")
        ]
        if len(pickles) != 1:
            raise DataError(
                f"{path} is a zip archive, but not a PyTorch checkpoint: it has no single data.pkl"
            )
        self._pickle_name = pickles[0]
        self._folder = pickles[0][: -len("data.pkl")]
        self._byte_order = ">" if self._optional("byteorder").strip() == b"big" else "<"
        self._storages: dict[str, tuple[_StorageType, _Storage]] = {}

    def load(self) -> Any:
        if self._archive.getinfo(self._pickle_name).file_size > MAX_PICKLE_BYTES:
            raise DataError(
                f"{self.path}: its pickle is larger than {MAX_PICKLE_BYTES} bytes, too large for"
                " weights"
            )
        content = self._archive.read(self._pickle_name)
        _check_memo(content)
        return _RestrictedUnpickler(io.BytesIO(content), self).load()

    def storage(self, kind: _StorageType, key: str, count: int) -> _Storage:
        if key in self._storages:
            known_kind, storage = self._storages[key]
            if known_kind is not kind:
                raise DataError(f"{self.path} uses the storage {key} with two types")
            return storage
        name = f"{self._folder}data/{key}"
        try:
            size = self._archive.getinfo(name).file_size
        except KeyError:
            raise DataError(f"{self.path} lacks the storage {name}; fetch it again") from None
        if size != count * kind.dtype.itemsize:
            raise DataError(
                f"{self.path}: the storage {name} has {size} bytes where its pickle says {count}"
                f" values of {kind.dtype.itemsize} bytes; fetch it again"
            )
        stored = np.frombuffer(self._archive.read(name), kind.dtype.newbyteorder(self._byte_order))
        values = (
            _widen_bfloat16(stored) if kind.is_bfloat16 else stored.astype(kind.dtype, copy=False)
        )
        storage = _Storage(values)
        self._storages[key] = (kind, storage)
        return storage

    def _optional(self, name: str) -> bytes:
        try:
            return self._archive.read(self._folder + name)
        except KeyError:
            return b""
