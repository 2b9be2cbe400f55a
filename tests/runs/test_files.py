import errno
import os
import stat

import pytest
import torch

from pendio.errors import InputError
from pendio.runs.files import read_state, read_weights, replacing, write_text, write_weights


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "notes.txt"
    write_text(path, "first")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:
        file.write(b"half of the second" + bytes(1 // 0))
    assert path.read_text() == "first"
    assert left(tmp_path) == ["notes.txt"], "no draft must stay behind"
    write_text(path, "second é")
    assert path.read_text(encoding="utf-8") == "second é"
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask()


def umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "no permission to write there; choose another folder with --out"),
        (errno.EROFS, "no permission to write there"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_what_the_system_refuses_is_told_and_loses_nothing(tmp_path, number, message):
    path = tmp_path / "notes.txt"
    write_text(path, "first")
    with pytest.raises(InputError) as error, replacing(path):
        raise OSError(number, os.strerror(number))
    assert f"cannot write '{path}': {message}" in str(error.value)
    assert path.read_text() == "first"
    assert left(tmp_path) == ["notes.txt"]


def test_weights_come_back_as_they_were(tmp_path):
    path = tmp_path / "w.safetensors"
    shared = torch.arange(6.0).view(2, 3)
    weights = {"a": shared, "tied": shared, "view": shared.t(), "whole": torch.tensor(3), "empty": torch.zeros(0)}
    write_weights(path, weights)
    back = read_weights(path)
    assert set(back) == set(weights)
    for name, value in weights.items():
        assert torch.equal(back[name], value), name
        assert back[name].dtype == value.dtype


def test_a_state_dict_within_a_checkpoint_is_found(tmp_path):
    torch.save({"state_dict": {"a": torch.ones(2)}, "epoch": 3}, tmp_path / "w.pt")
    assert torch.equal(read_weights(tmp_path / "w.pt")["a"], torch.ones(2))


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04 and no more", bytes(100)])
def test_damaged_weights_are_told(tmp_path, suffix, content):
    path = tmp_path / f"w.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        read_weights(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_truncated_weights_are_told_at_every_length(tmp_path):
    whole = tmp_path / "whole.safetensors"
    write_weights(whole, {"a": torch.rand(10)})
    torch.save({"a": torch.rand(10)}, tmp_path / "whole.pt")
    for source in (whole, tmp_path / "whole.pt"):
        content = source.read_bytes()
        cut = tmp_path / f"cut{source.suffix}"
        for length in range(0, len(content), max(1, len(content) // 40)):
            cut.write_bytes(content[:length])
            with pytest.raises(InputError):
                read_weights(cut)


def test_missing_files_are_told(tmp_path):
    for name in ("w.safetensors", "w.pt"):
        with pytest.raises(InputError, match=f"there is no .*{name}"):
            read_weights(tmp_path / name)


def test_what_would_run_code_is_not_loaded(malicious):
    path, mark = malicious
    for read in (read_weights, read_state):
        with pytest.raises(InputError, match="which could run code, or is damaged: it was not loaded"):
            read(path)
    assert not mark.exists()


def test_other_values_than_dictionaries_of_tensors_are_no_weights(tmp_path):
    path = tmp_path / "w.pt"
    torch.save([1, 2], path)
    with pytest.raises(InputError, match="holds a list instead of a dictionary"):
        read_state(path)
    torch.save({"a": 1}, path)
    with pytest.raises(InputError, match=r"save the model's state_dict\(\)"):
        read_weights(path)
