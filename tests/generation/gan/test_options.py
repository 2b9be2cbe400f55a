import pytest

from pendio.errors import InputError
from pendio.generation.gan.options import GanOptions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "--latent must be 1 to 4096"),
        ({"width": 0}, "--width must be 1"),
        ({"critic_steps": 0}, "--critic-steps must be 1"),
        ({"size": 68}, "--size must be 8 to 64"),
        ({"size": 18}, "--size must be a multiple of 4"),
        ({"r1": -1.0}, "--r1 must not be negative"),
        ({"gradient_penalty": float("nan")}, "--gradient-penalty must not be negative"),
        ({"discriminator_lr": 0.0}, "--discriminator-lr must be greater than 0"),
        ({"diff_augment": "colour"}, "unknown change 'colour' in --diff-augment.*color"),
        ({"loss": "least-squares"}, "--loss must be one of"),
        ({"beta1": 1.0}, "--beta1 must be in"),
        ({"critics": 3}, "unknown option 'critics'"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        GanOptions.of(options)


def test_each_game_has_what_keeps_its_discriminator_smooth():
    assert (GanOptions(loss="wasserstein").penalty, GanOptions(loss="wasserstein").normalized) == (10.0, False)
    assert (GanOptions(loss="hinge").penalty, GanOptions(loss="hinge").normalized) == (0.0, True)
    games = ("minimax", "non-saturating", "hinge", "wasserstein")
    assert [GanOptions(loss=game).r1_weight(images=True) for game in games] == [1, 1, 0, 0]
    assert [GanOptions(loss=game).r1_weight(images=False) for game in games] == [0.02, 0.02, 0, 0]
    chosen = (GanOptions(gradient_penalty=1.0), GanOptions(loss="hinge", r1=2.0), GanOptions(r1=0.0))
    assert [options.r1_weight(images=True) for options in chosen] == [0, 2, 0]
    own = GanOptions(loss="wasserstein", gradient_penalty=1.0, spectral_norm=True)
    assert (own.penalty, own.normalized) == (1.0, True)


def test_images_are_augmented_unless_one_says_otherwise_and_tables_are_not():
    assert GanOptions().changes(channels=3) == ("color", "translation", "cutout")
    assert GanOptions().changes(channels=1) == ("translation",)
    assert GanOptions().changes(channels=0) == ()
    assert GanOptions(diff_augment="none").changes(channels=3) == ()
    assert GanOptions(diff_augment="translation, color").changes(channels=1) == ("translation", "color")
