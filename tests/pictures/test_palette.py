import itertools

from pendio.pictures.palette import class_color


def test_a_class_has_one_colour_and_the_first_ones_differ_well():
    assert class_color(3) == class_color(3)
    for one, other in itertools.combinations(range(10), 2):
        apart = sum(abs(a - b) for a, b in zip(class_color(one), class_color(other), strict=True))
        assert apart > 50, (one, other)


def test_ninety_classes_have_ninety_colours():
    colors = {class_color(number) for number in range(90)}
    assert len(colors) == 90
    assert all(0 <= value <= 255 for color in colors for value in color)
