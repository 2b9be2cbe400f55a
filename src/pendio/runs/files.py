"""Writing files so that a kill at any instant leaves the previous version whole, and reading weights safely."""

import contextlib
import errno
import os
import pickle
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from pendio.errors import InputError

__all__ = ["read_state", "read_weights", "replacing", "write_text", "write_weights", "writing"]


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system refuses while writing ``path`` into an error a person can act on.

    Raises:
        InputError: the disk is full, a quota is reached, or writing there is not allowed.
    """
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot write '{path}': {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "the disk is full; free some space and go on with --resume, nothing that was saved is lost"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "no permission to write there; choose another folder with --out"
    return error.strerror or str(error)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write ``path``'s new content to: flushed to disk and renamed over it at the end, removed on failure."""
    with writing(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield cast(BinaryIO, file)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o666 & ~_umask())
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: Path, text: str) -> None:
    """Replace a text file's content."""
    with replacing(path) as file:
        file.write(text.encode())


def write_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Replace a safetensors file's content. Tensors that share memory are written each on its own."""
    seen: set[int] = set()
    separate = {}
    for name, value in weights.items():
        value = value.detach().cpu().contiguous()
        separate[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(separate[name].data_ptr())
    content = safetensors.torch.save(separate, metadata={"format": "pt"})
    with replacing(path) as file:
        file.write(content)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Weights from a ``.safetensors`` file, or from a ``.pt`` or ``.pth`` file that holds tensors alone.

    Raises:
        InputError: the file is missing or damaged, or is a pickle that would run code.
    """
    if path.suffix == ".safetensors":
        try:
            return dict(safetensors.torch.load_file(path))
        except FileNotFoundError as error:
            raise InputError(f"there is no weights file '{path}'") from error
        except (OSError, safetensors.SafetensorError) as error:
            raise InputError(f"weights file '{path}' is damaged or no safetensors file: {error}") from error
    state = read_state(path)
    weights = state.get("state_dict", state)
    if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
        raise InputError(f"'{path}' holds no plain dictionary of tensors; save the model's state_dict()")
    return weights


def read_state(path: Path) -> dict[str, Any]:
    """A dictionary saved by ``torch.save``, without running any code in it.

    Raises:
        InputError: the file is missing or damaged, or holds anything but tensors and plain values.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no file '{path}'") from error
    except pickle.UnpicklingError as error:
        raise InputError(
            f"'{path}' holds Python objects beside tensors, which could run code, or is damaged: it was not loaded; "
            "ask for it as .safetensors"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = (str(error).splitlines() or ["it ends too soon"])[0]
        raise InputError(f"'{path}' is damaged or no file of torch.save: {reason}") from error
    if not isinstance(state, dict):
        raise InputError(f"'{path}' holds a {type(state).__name__} instead of a dictionary")
    return state
