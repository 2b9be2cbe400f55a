import math

import pytest
import torch

from pendio.nn.positions import Positions, Rotary, sinusoidal


def test_waves_are_those_of_the_paper():
    waves = sinusoidal(torch.tensor([0, 3, 50]), 6)
    assert waves.shape == (3, 6)
    assert waves[0].tolist() == [0, 1, 0, 1, 0, 1]
    for row, place in enumerate((0, 3, 50)):
        for pair in range(3):
            angle = place / 10_000 ** (2 * pair / 6)
            assert waves[row, 2 * pair] == pytest.approx(math.sin(angle), abs=1e-5)
            assert waves[row, 2 * pair + 1] == pytest.approx(math.cos(angle), abs=1e-5)


def test_a_shift_is_a_linear_map_that_does_not_depend_on_the_place():
    waves = sinusoidal(torch.arange(60), 8).double()
    shift = torch.linalg.lstsq(waves[:20], waves[7:27]).solution
    torch.testing.assert_close(waves[20:50] @ shift, waves[27:57], atol=1e-3, rtol=0)


def test_an_odd_width_does_not_fit():
    with pytest.raises(ValueError, match="width 7 is odd"):
        sinusoidal(torch.arange(3), 7)


def test_a_learned_table_learns_at_the_places_that_were_asked_and_waves_are_no_parameters():
    learned = Positions("learned", 5, 4)
    places = torch.tensor([[0, 1], [3, 3]])
    assert torch.equal(learned(places)[1, 0], learned.table[3])
    learned(places).sum().backward()
    assert learned.table.grad[:, 0].tolist() == [1, 1, 0, 2, 0]
    fixed = Positions("sinusoidal", 5, 4)
    assert not list(fixed.parameters())
    assert not fixed.state_dict()
    assert torch.equal(fixed(places), sinusoidal(places, 4))


def test_rotary_products_depend_on_distance_only():
    torch.manual_seed(0)
    query, key = torch.randn(2, 1, 1, 1, 8).double()
    rotary = Rotary(64, 8).double()

    def product(at, other):
        return float((rotary(query, torch.tensor([at])) * rotary(key, torch.tensor([other]))).sum())

    for distance in (0, 1, 5, 20):
        found = [product(place + distance, place) for place in (0, 3, 30)]
        assert found == pytest.approx([found[0]] * 3, abs=1e-5)
    assert product(5, 0) != pytest.approx(product(0, 5), abs=1e-2)
    assert product(9, 9) == pytest.approx(float((query * key).sum()), abs=1e-5)


def test_rotary_turns_each_pair_in_its_plane_by_its_place_times_its_rate():
    torch.manual_seed(0)
    vectors = torch.randn(1, 1, 4, 6)
    turned = Rotary(4, 6)(vectors, torch.arange(4))
    before, after = (torch.view_as_complex(v.unflatten(-1, (3, 2)).contiguous()) for v in (vectors, turned))
    for place in range(4):
        angles = torch.tensor([place / 10_000 ** (2 * pair / 6) for pair in range(3)])
        torch.testing.assert_close(after[0, 0, place], before[0, 0, place] * torch.exp(1j * angles))


def test_each_row_of_rotary_may_stand_elsewhere():
    torch.manual_seed(0)
    vectors, places = torch.randn(2, 3, 4, 6), torch.tensor([[0, 1, 2, 3], [5, 6, 7, 8]])
    rotary = Rotary(9, 6)
    turned = rotary(vectors, places)
    for row in range(2):
        torch.testing.assert_close(turned[row : row + 1], rotary(vectors[row : row + 1], places[row]))


def test_a_place_beyond_the_last_does_not_fit():
    with pytest.raises(IndexError):
        Positions("learned", 5, 4)(torch.tensor([5]))
    with pytest.raises(IndexError):
        Rotary(5, 4)(torch.zeros(1, 1, 1, 4), torch.tensor([5]))
