import math
import warnings

from pendio.pictures.surprise import draw_surprise

from ..conftest import pixels


def orange(picture):
    return picture[..., 0].int() - picture[..., 2].int() > 60


def drawn(bits, names=None):
    return pixels(draw_surprise(names or ["a"] * len(bits), [one * math.log(2) for one in bits]))


def test_what_surprises_is_coloured_and_what_was_expected_is_not():
    picture = drawn([0.0] * 70 + [8.0] * 10)
    columns = orange(picture).nonzero(as_tuple=True)[1]
    assert int(columns.min()) > 0.8 * picture.shape[1]
    assert not orange(drawn([0.0] * 80)).any()


def test_the_colour_is_full_at_eight_bits():
    assert (drawn([8.0] * 80).int() - drawn([80.0] * 80).int()).abs().max() <= 1
    assert orange(drawn([8.0] * 80)).float().mean() > orange(drawn([1.0] * 80)).float().mean()


def test_a_line_ends_where_the_text_says_so_and_where_it_is_full():
    one = drawn([1.0] * 20).shape[0]
    assert drawn([1.0] * 20, [*["a"] * 9, "\\n", *["a"] * 10]).shape[0] > one
    assert drawn([1.0] * 81).shape[0] == drawn([1.0] * 160).shape[0] > drawn([1.0] * 80).shape[0]
    # A line end at the very end begins no new line of its own that would hold something.
    assert drawn([1.0] * 30, ["abc"] * 30).shape[0] > one


def test_drawing_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawn([1.0, 9.0, 3.0], ["a$b", "\\n", "$\\frac"])
