import dataclasses

import pytest

from pendio.descent.plan import Plan
from pendio.errors import InputError


@pytest.mark.parametrize(
    ("option", "value", "flag"),
    [
        ("epochs", 0, "--epochs"),
        ("batch", 0, "--batch"),
        ("lr", 0.0, "--lr"),
        ("lr", -1.0, "--lr"),
        ("lr", float("nan"), "--lr"),
        ("lr", float("inf"), "--lr"),
        ("weight_decay", -0.1, "--weight-decay"),
        ("weight_decay", float("nan"), "--weight-decay"),
        ("momentum", 1.0, "--momentum"),
        ("beta1", 1.0, "--beta1"),
        ("beta2", -0.1, "--beta2"),
        ("dropout", 1.0, "--dropout"),
        ("clip", 0.0, "--clip"),
        ("patience", 0, "--patience"),
        ("workers", -1, "--workers"),
        ("step_factor", float("nan"), "--step-factor"),
    ],
)
def test_values_out_of_range_name_their_option(option, value, flag):
    with pytest.raises(InputError, match=f"^{flag} must"):
        Plan(**{option: value})


def test_batch_all_is_everything_and_a_larger_one_is_refused():
    assert Plan(batch="all").batch_size(37) == 37
    assert Plan(batch=37).batch_size(37) == 37
    assert (Plan().batch_size(1000), Plan().batch_size(37)) == (64, 37)
    with pytest.raises(InputError, match="--batch 38 is larger than the 37 training examples"):
        Plan(batch=38).batch_size(37)


def test_a_batch_cannot_be_cut_into_more_parts_than_it_has_examples():
    with pytest.raises(InputError, match="--accumulate 5 cannot split a batch of 4"):
        Plan(batch=4, accumulate=5).batch_size(100)


def test_a_plan_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan().lr = 1.0  # type: ignore[misc]
