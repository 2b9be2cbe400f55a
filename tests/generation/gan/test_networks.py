import copy

import pytest
import torch
import torch.nn.functional as F

from pendio.generation.gan.networks import (
    SpectralNorm,
    conv_discriminator,
    conv_generator,
    dense_discriminator,
    dense_generator,
    normalize_spectra,
)  # fmt: skip


@pytest.mark.parametrize("size", range(8, 65, 4))
def test_images_of_every_multiple_of_four_are_made_and_judged(size):
    shape = (3, size, size)
    made = conv_generator(5, shape, 1)(torch.randn(2, 5))
    assert made.shape == (2, *shape)
    assert float(made.detach().abs().max()) <= 1
    assert conv_discriminator(shape, 1)(made).shape == (2,)


@pytest.mark.parametrize("shape", [(2,), (1, 9, 5)])
def test_dense_networks_take_rows_and_images_of_any_size(shape):
    made = dense_generator(5, shape, 8)(torch.randn(3, 5))
    assert made.shape == (3, *shape)
    assert dense_discriminator(shape, 8)(made).shape == (3,)


def test_no_example_changes_the_logit_of_another():
    images = torch.randn(5, 1, 16, 16)
    judge = conv_discriminator((1, 16, 16), 2)
    torch.testing.assert_close(judge(images)[:2], judge(images[:2]))


def test_the_class_changes_the_logit_by_its_projection():
    images, classes = torch.randn(4, 1, 8, 8), F.one_hot(torch.tensor([0, 1, 2, 0]), 3).float()
    judge = conv_discriminator((1, 8, 8), 2, classes=3)
    features = judge.features(images)
    expected = (features * (judge.head.weight + judge.embedding.weight.T[classes.argmax(1)])).sum(1) + judge.head.bias
    torch.testing.assert_close(judge(images, classes), expected)


def test_each_class_has_its_own_scales_and_starts_like_the_others():
    generator = conv_generator(4, (1, 8, 8), 2, classes=2).eval()
    noise, (one, two) = torch.randn(3, 4), torch.eye(2)
    first, second = generator(noise, one.expand(3, -1)), generator(noise, two.expand(3, -1))
    torch.testing.assert_close(first, second)
    with torch.no_grad():
        generator.norms[0].scales.weight[:, 1] *= 2
    torch.testing.assert_close(generator(noise, one.expand(3, -1)), first)
    assert not torch.allclose(generator(noise, two.expand(3, -1)), second)


def test_every_kernel_of_a_normalised_discriminator_has_norm_one_even_after_averaging():
    judge = normalize_spectra(conv_discriminator((1, 8, 8), 2))
    for _ in range(200):
        judge(torch.randn(2, 1, 8, 8))
    averaged = copy.deepcopy(judge).eval()
    with torch.no_grad():
        for module in averaged.modules():
            if isinstance(module, SpectralNorm):
                module.u *= 0.5
    kernels = [judge.features[0].weight, averaged.features[0].weight, averaged.features[2].weight, averaged.head.weight]
    for kernel in kernels:
        assert float(torch.linalg.svdvals(kernel.detach().flatten(1))[0]) == pytest.approx(1, abs=1e-3)


def test_evaluation_leaves_the_power_iteration_where_it_is():
    judge = normalize_spectra(conv_discriminator((1, 8, 8), 2)).eval()
    before = {name: value.clone() for name, value in judge.state_dict().items()}
    judge(torch.randn(2, 1, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in judge.state_dict().items())
