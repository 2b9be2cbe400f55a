import pytest
import torch

from pendio.descent.devices import launch, loggers, reading_processes
from pendio.descent.plan import Plan
from pendio.errors import InputError


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_missing_gpu_is_named_before_anything_starts():
    with pytest.raises(InputError, match="--accelerator cuda: this machine has no CUDA device"):
        launch(Plan(accelerator="cuda"))


def test_the_plans_precision_reaches_the_computation():
    fabric = launch(Plan(precision="bf16", accelerator="cpu"))
    with fabric.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_the_number_of_readers_is_the_plans_or_follows_the_cores():
    fabric = launch(Plan(accelerator="cpu"))
    assert reading_processes(Plan(workers=0), fabric) == 0
    assert 1 <= reading_processes(Plan(), fabric) <= 8


def test_no_logger_unless_asked(tmp_path):
    assert loggers(Plan(), tmp_path) == []
    assert list(tmp_path.iterdir()) == []
