import pytest
import torch

from pendio.errors import InputError
from pendio.generation.diffusion.editing import inpaint, resemble

from .conftest import make_task, seeded


def test_only_what_is_hidden_changes():
    task, images = make_task(), torch.rand(2, 1, 8, 8, generator=seeded())
    hidden = torch.zeros(8, 8, dtype=torch.bool)
    hidden[:, 4:] = True
    filled = inpaint(task, images, hidden, generator=seeded(), steps=4, repeats=2)
    torch.testing.assert_close(filled[..., :4], images[..., :4])
    assert float((filled[..., 4:] - images[..., 4:]).abs().mean()) > 0.05
    other = inpaint(task, images.masked_fill(hidden, 0.9), hidden, generator=seeded(), steps=4, repeats=2)
    torch.testing.assert_close(other, filled, msg="what is hidden must not leak")


def test_what_is_filled_in_fits_what_is_known(moons):
    rows = torch.tensor([[0.0, 99.0], [-0.8, 99.0]]).repeat_interleave(60, 0)
    labels = torch.zeros(120, dtype=torch.long)
    filled = inpaint(moons, rows, torch.tensor([False, True]), generator=seeded(), labels=labels, steps=40, repeats=5)
    torch.testing.assert_close(filled[:, 0], rows[:, 0])
    # The upper moon is the half circle.
    assert float(filled[:60, 1].median()) == pytest.approx(1.0, abs=0.15)
    assert float(filled[60:, 1].median()) == pytest.approx(0.6, abs=0.2)


def test_the_weaker_the_more_is_kept(moons):
    rows = moons.sample(100, generator=seeded(), labels=torch.zeros(100).long())
    moved = [
        float(
            (resemble(moons, rows, strength, generator=seeded(1), labels=torch.zeros(100).long()) - rows)
            .norm(dim=1)
            .mean()
        )
        for strength in (0.05, 0.4, 1.0)
    ]
    assert moved[0] < 0.25
    assert moved[0] < moved[1] < moved[2]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda task, images: resemble(task, images, 0.0, generator=seeded()), "--strength must be above 0"),
        (lambda task, images: resemble(task, images, 1.5, generator=seeded()), "--strength must be above 0"),
        (lambda task, images: resemble(task, images[..., :5], 0.5, generator=seeded()), "this model makes such of"),
        (lambda task, images: resemble(task, images, 0.5, generator=seeded(), steps=2000), "--steps 2000"),
        (lambda task, images: inpaint(task, images, torch.ones(3, 3).bool(), generator=seeded()), "the mask is"),
        (lambda task, images: inpaint(task, images, torch.ones(8, 8).bool(), generator=seeded(), repeats=0), "--repeats"),
        (lambda task, images: inpaint(task, images, torch.ones(8, 8).bool(), generator=seeded(),
                                      labels=torch.zeros(2).long()), "--conditional"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        change(make_task(), torch.zeros(2, 1, 8, 8))
