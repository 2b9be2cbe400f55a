"""What is inside networks, and how they are fooled."""

from pathlib import Path

import torch

from pendio.ascent import objectives
from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.gradient import PGD
from pendio.ascent.audit import audit_attack
from pendio.ascent.dream import Octaves, dream
from pendio.ascent.invert import invert
from pendio.ascent.levels import levels
from pendio.ascent.style import Recipe, StyleImage, stylize
from pendio.ascent.visualize import visualize
from pendio.classification.options import Classify
from pendio.classification.recipe import open_data
from pendio.data.embedded import photo
from pendio.data.streams import frame
from pendio.pictures.grids import draw_grid
from pendio.recipes import network
from pendio.runs.page import Picture, Section

__all__ = ["dreams", "fooled", "inside"]


def _colored(name: str, size: int) -> torch.Tensor:
    """An embedded photograph as an ascent takes it: ``(1, 3, size, size)`` in [0, 1]."""
    return frame(photo(name), size)[None].float() / 255


def inside(out: Path) -> Section:
    """What a network sees, and what it throws away."""
    digits = network(str(out / "digits-cnn"))
    real = next(open_data(Classify(data="digits")).train.batches(256)).inputs
    imagined = visualize(digits, objectives.logit(torch.arange(10)), count=10, steps=100, real=real)
    lite0 = network("efficientnet-lite0")
    classes = ["espresso", "flamingo", "tarantula", "strawberry"]
    numbers = torch.tensor([lite0.classes.index(name) for name in classes])
    seen = visualize(lite0, objectives.logit(numbers), count=len(classes), size=128, steps=80)
    cat = _colored("chelsea", 128)
    shown = levels(lite0)[1:4]
    rebuilt = invert(lite0, cat, shown, steps=60)
    captions = ["the cat", *(f"from {one.layer}\n{one.correlation:.2f}" for one in rebuilt)]
    return Section(
        "Look inside",
        text="The weights stay as they are, and the input climbs. From noise rises what a class looks like to the network; "
        "beside it, a photograph rebuilt from what single layers made of it, with its correlation with the original: the "
        "deeper the layer, the more is thrown away.",
        code="pendio visualize efficientnet-lite0 class:espresso\npendio visualize tour/digits-cnn class:all\n"
        "pendio invert efficientnet-lite0 chelsea",
        pictures=[
            Picture(draw_grid(imagined.images, [str(digit) for digit in range(10)], columns=10),
                    "The digits, as the CNN of this tour imagines them."),
            Picture(draw_grid(seen.images, classes, columns=4), "Four classes of EfficientNet-Lite0."),
            Picture(draw_grid(torch.cat([cat, *(one.image for one in rebuilt)]), captions), "A cat, layer by layer."),
        ],
    )  # fmt: skip


def dreams(out: Path) -> Section:
    """A dream and a painting."""
    lite0, place = network("efficientnet-lite0"), _colored("china", 256)
    layer = levels(lite0)[3]
    dreamt = dream(lite0, place, objectives.whole(layer), Octaves(count=3, steps=10))
    painted = stylize(
        lite0, _colored("astronaut", 192), [StyleImage(_colored("immunohistochemistry", 192))], Recipe(steps=50)
    )
    return Section(
        "Dream and paint",
        text=f"A dream strengthens what a layer sees already: the mean square of {layer} rose from {dreamt.before:.0f} to "
        f"{dreamt.after:.0f}. A painting keeps the content of one picture, as a deep layer sees it, and takes on another's "
        "style: how often its layers' channels fire together.",
        code="pendio dream efficientnet-lite0 china --out dream.png\npendio style astronaut immunohistochemistry",
        pictures=[
            Picture(draw_grid(torch.cat([place, dreamt.image]), ["", "dreamt"], width=2.6), "The pavilion, and its dream."),
            Picture(
                draw_grid(
                    torch.cat([_colored("astronaut", 192), _colored("immunohistochemistry", 192), painted.image]),
                    ["content", "style", "painted"], width=2.1,
                ),
                f"The loss fell to {painted.end / painted.begin:.0%} of noise's.",
            ),
        ],
    )  # fmt: skip


def fooled(out: Path) -> Section:
    """Images changed a little, and taken for something else."""
    lite0 = network("efficientnet-lite0")
    images = torch.cat([_colored(name, 224) for name in ("coffee", "chelsea", "rocket", "flower")])
    with torch.no_grad():
        before = lite0(images).argmax(1)
    goal = Goal(
        torch.tensor([lite0.classes.index(name) for name in ("goldfish", "guacamole", "teapot", "ambulance")]), True
    )
    found = audit_attack(lite0, PGD(epsilon=4 / 255, steps=20)(lite0, images, goal), goal, 4 / 255)
    trios = torch.stack([images, (0.5 + 10 * (found.saved - images)).clamp(0, 1), found.saved], 1).flatten(0, 1)
    captions = []
    for number, was in enumerate(before.tolist()):
        taken = f"{lite0.classes[int(found.predicted[number])]} {found.certainty[number]:.0%}"
        captions += [lite0.classes[was], "change ×10", taken]
    return Section(
        "Change its mind",
        text="A change of at most four grey levels in 255, which nobody sees, and the network takes the picture for what "
        f"the attacker chose: {int(found.reached.sum())} of {len(images)}, saved as 8-bit PNG and read back.",
        code="pendio attack efficientnet-lite0 coffee --target goldfish --epsilon 4/255\n"
        "pendio attack tour/digits-cnn --data digits --method pixel",
        pictures=[Picture(draw_grid(trios, captions, columns=6), "Before, the change, and after.")],
    )
