import math

import pytest
import torch

from pendio.data.examples import Examples
from pendio.errors import InputError
from pendio.generation.diffusion.denoising import NetworkDenoiser
from pendio.generation.making import Latent, Maker

from ...conftest import pixels
from .conftest import make_task, seeded


def batch(count=16, shape=(1, 8, 8), classes=3):
    inputs = torch.rand(count, *shape, generator=seeded())
    return Examples(inputs, torch.arange(count) % classes, torch.arange(count))


@pytest.mark.parametrize("predict", ["noise", "image", "velocity"])
def test_the_loss_is_the_error_of_what_is_predicted(predict):
    task = make_task(predict=predict)
    task.network.leave[-1].weight.data.zero_()
    task.network.leave[-1].bias.data.zero_()
    inputs = task.restored(torch.randn(2000, 1, 8, 8, generator=seeded()) * 0.5)
    values = task.standardized(inputs)
    torch.manual_seed(0)
    with torch.no_grad():
        loss = task.loss(Examples(inputs, torch.zeros(2000).long(), torch.arange(2000)))
    power = float(values.square().mean())
    a2, b2 = (float((task.levels[row] ** 2).mean()) for row in (1, 2))
    expected = {"noise": 1.0, "image": power, "velocity": a2 + b2 * power}[predict]
    assert float(loss.total / loss.weight) == pytest.approx(expected, rel=0.03)


def losses(task, examples, times=200):
    torch.manual_seed(0)
    with torch.no_grad():
        found = [task.loss(examples) for _ in range(times)]
    assert {loss.weight for loss in found} == {len(examples.inputs)}
    return torch.stack([loss.total / loss.weight for loss in found])


def test_several_draws_change_the_loss_by_less_noise_alone():
    task = make_task(predict="noise", shape=(2,))
    task.network.leave[-1].weight.data.zero_()
    task.network.leave[-1].bias.data.fill_(5.0)
    once = losses(task, batch(8, (2,)))
    task.draws = 2
    pairs = losses(task, batch(8, (2,)))
    # (ε − 5)² of noise and of its negative: what grows with ε itself is gone.
    assert float(pairs.mean()) == pytest.approx(26, abs=0.3)
    assert float(once.mean()) == pytest.approx(26, abs=1)
    assert float(pairs.std()) < float(once.std()) / 4


def test_each_noise_meets_an_example_at_a_level_and_so_does_its_negative(monkeypatch):
    task, seen = make_task(shape=(2,)), []
    task.draws = 4
    original = task.noised

    def noised(values, noise, numbers):
        seen.append((values, noise, numbers))
        return original(values, noise, numbers)

    monkeypatch.setattr(task, "noised", noised)
    losses(task, batch(5, (2,)), times=1)
    values, noise, numbers = seen[0]
    assert len(values) == 20
    assert torch.equal(values[:10], values[10:])
    assert torch.equal(numbers[:10], numbers[10:])
    assert torch.equal(noise[:10], -noise[10:])
    assert not torch.equal(noise[:5], noise[5:10])
    # Spread over the schedule as evenly as ten can be.
    gaps = numbers[:10].sort().values.diff()
    assert (int(gaps.min()), int(gaps.max())) == (100, 100) or set(gaps.tolist()) <= {99, 100, 101}


def test_rows_are_measured_at_many_levels_by_noise_of_variance_one(monkeypatch):
    task, seen = make_task(shape=(2,)), []
    original = task.errors

    def errors(batch, numbers, draw):
        seen.append((numbers[0].item(), task.noise_for(batch.indices, "cpu", draw)[0]))
        return original(batch, numbers, draw)

    monkeypatch.setattr(task, "errors", errors)
    with torch.no_grad():
        task.measure(batch(3, (2,)))
    levels, noises = zip(*seen, strict=True)
    assert len(set(levels)) == 32
    assert len({tuple(noise.tolist()) for noise in noises}) == 16
    everything = task.noise_for(torch.arange(8192), "cpu")
    torch.testing.assert_close(everything.square().mean(0), torch.ones(2))
    assert torch.equal(task.noise_for(torch.arange(9), "cpu", 1), -task.noise_for(torch.arange(9), "cpu", 0))


def test_every_draw_of_an_example_knows_its_class(monkeypatch):
    task = make_task("abc", predict="image", shape=(2,))
    task.draws, task.label_dropout = 4, 0.0
    known = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.8, 0.0]])
    labels = torch.tensor([2, 0, 1, 1, 0])
    monkeypatch.setattr(task.network.conditioning, "forward", lambda angles, told: told)
    monkeypatch.setattr(task.network, "forward", lambda noised, told: task.standardized(known)[told])
    loss = task.loss(Examples(known[labels], labels, torch.arange(5)))
    assert float(loss.total) == pytest.approx(0, abs=1e-10)


def test_measuring_is_the_same_each_time_and_in_any_batches():
    task, whole = make_task("abc"), batch(20)
    with torch.no_grad():
        task.measure(whole)
        first = task.metrics()
        torch.manual_seed(5)
        for part in torch.arange(20).split(7):
            task.measure(Examples(*(column[part] for column in whole)))
        second = task.metrics()
    assert second == pytest.approx(first, rel=1e-5)


def test_what_explains_nothing_and_all_is_zero_and_one():
    task = make_task(predict="image", shape=(4,))
    inputs = torch.randn(400, 4, generator=seeded(7)) * 0.3 + 0.4
    values = task.standardized(inputs)
    for guess, explained in (("best", 1.0), ("trivial", 0.0)):
        task.network.forward = lambda noised, vectors, guess=guess: values if guess == "best" else noised * task.a
        original = task.noised

        def noised(*given, original=original):
            found = original(*given)
            task.a = found[2]
            return found

        task.noised = noised
        task.measure(Examples(inputs, torch.zeros(400).long(), torch.arange(400)))
        assert task.metrics()["explained"] == pytest.approx(explained, abs=0.05)


def test_training_overfits_one_image_and_makes_it_again():
    task = make_task().train()
    image = torch.zeros(1, 1, 8, 8)
    image[:, :, 2:6, 3:5] = 1
    inputs = image.expand(16, -1, -1, -1)
    optimizer = torch.optim.AdamW(task.parameters(), 1e-2)
    torch.manual_seed(0)
    for step in range(80):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 80)
        loss = task.loss(Examples(inputs, torch.zeros(16).long(), torch.arange(16)))
        optimizer.zero_grad()
        (loss.total / loss.weight).backward()
        optimizer.step()
    for sampler in ("deterministic", "ddpm", "heun"):
        made = task.sample(4, generator=seeded(), sampler=sampler, steps=8)
        assert float((made - image).abs().mean()) < 0.1, sampler


def test_it_is_what_the_latent_space_asks_for():
    assert isinstance(make_task(), Maker)
    assert isinstance(make_task(), Latent)


def test_samples_are_images_and_the_same_for_the_same_seed():
    task = make_task("abc")
    made = task.sample(5, generator=seeded(), steps=3)
    assert made.shape == (5, 1, 8, 8)
    assert 0 <= float(made.min()) <= float(made.max()) <= 1
    torch.testing.assert_close(task.sample(5, generator=seeded(), steps=3), made, rtol=0, atol=0)
    assert float((task.sample(5, generator=seeded(1), steps=3) - made).abs().max()) > 0.1
    assert task.sample(0, generator=seeded()).shape == (0, 1, 8, 8)


def test_bfloat16_makes_nearly_the_same():
    task = make_task("abc")
    labels = torch.tensor([0, 1, 2])
    exact, rough = (
        task.sample(3, generator=seeded(), labels=labels, steps=5, precision=precision)
        for precision in ("float32", "bf16")
    )
    assert float((exact - rough).abs().max()) < 0.05


def test_temperature_scales_the_noise_that_is_begun_with():
    task = make_task()
    cold = [task.sample(3, generator=seeded(number), temperature=0.0, steps=3) for number in (0, 1)]
    torch.testing.assert_close(*cold)


def test_a_network_laid_out_for_speed_says_the_same():
    task, values = make_task("abc"), torch.randn(3, 1, 8, 8, generator=seeded())
    path = task.schedule.path(2)
    with torch.no_grad():
        for guidance in (1.0, 2.5):
            plain, fast = (
                NetworkDenoiser(task.network, "velocity", path, torch.tensor([0, 1, 3]), guidance, ready=ready)
                for ready in (None, values)
            )
            torch.testing.assert_close(fast(values, path[1]), plain(values, path[1]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 1001}, "--steps 1001: the schedule has 1000 noise levels; give 1 to 1000"),
        ({"steps": 1001, "sampler": "heun"}, "--steps 1001"),
        ({"steps": 0}, "--steps 0"),
        ({"labels": torch.tensor([0, 4])}, "labels must be 2 class numbers from 0 to 2"),
        ({"labels": torch.tensor([0])}, "labels must be 2 class numbers"),
        ({"eta": 1.5, "sampler": "ddim"}, r"--eta must be in \[0, 1\], got 1.5"),
    ],
)
def test_what_cannot_be_sampled_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        make_task("abc").sample(2, generator=seeded(), **options)


def test_a_model_without_classes_cannot_be_asked_for_one():
    with pytest.raises(InputError, match="train with --conditional"):
        make_task().sample(2, generator=seeded(), labels=torch.tensor([0, 1]))
    with pytest.raises(InputError, match="train with --conditional"):
        make_task().encode(torch.zeros(1, 1, 8, 8), torch.tensor([0]))


def test_pictures_do_not_touch_the_global_generator():
    task = make_task("abc")
    torch.manual_seed(3)
    drawn = task.pictures()["samples"]
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    assert drawn == task.pictures()["samples"]
    assert pixels(drawn).shape == (2 * 50 + 2, 10 * 50 + 2, 3)


def test_labels_are_drawn_as_often_as_the_data_has_them():
    task = make_task("abc")
    task.frequencies = torch.tensor([0.0, 3.0, 1.0])
    drawn = task._drawn_labels(4000, seeded())
    assert torch.bincount(drawn, minlength=3).tolist() == [
        0,
        pytest.approx(3000, abs=120),
        pytest.approx(1000, abs=120),
    ]


def test_moons_are_made_encoded_and_told_apart(moons):
    labels = torch.arange(400) % 2
    made = moons.sample(400, generator=seeded(), labels=labels, steps=40)
    angle = torch.linspace(0, math.pi, 300)
    upper = torch.stack([angle.cos(), angle.sin()], 1)
    lower = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], 1)
    apart = torch.stack([torch.cdist(made, arc).min(1).values for arc in (upper, lower)], 1)
    assert float(apart[torch.arange(400), labels].mean()) < 0.16, "noise alone is 0.08"
    assert float((apart.argmin(1) == labels).float().mean()) > 0.93
    codes = moons.encode(made, labels)
    assert codes.shape == made.shape
    torch.testing.assert_close(moons.decode(codes, labels), made, rtol=0, atol=0.1)
    assert float(codes.std()) == pytest.approx(1, abs=0.15)
