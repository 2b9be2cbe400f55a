"""The guided tour: every chapter on embedded data, and one page of results."""

import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from pendio.anatomy.summary import summarize
from pendio.ascent import objectives
from pendio.ascent.attacks.goal import Goal
from pendio.ascent.attacks.gradient import PGD
from pendio.ascent.audit import audit_attack
from pendio.ascent.dream import Octaves, dream
from pendio.ascent.invert import invert
from pendio.ascent.levels import levels
from pendio.ascent.style import Recipe, StyleImage, stylize
from pendio.ascent.visualize import visualize
from pendio.classification.evaluation import evaluate_classifiers
from pendio.classification.models import blank
from pendio.classification.options import Classify
from pendio.classification.prediction import Prediction, predict
from pendio.classification.recipe import load_classifier, open_data, run_options
from pendio.data.embedded import PHOTOS, photo
from pendio.data.streams import frame
from pendio.descent.plan import Plan
from pendio.descent.surfaces import SURFACES, descend
from pendio.errors import InputError
from pendio.neurons.approximation import approximate, parse_function
from pendio.neurons.depth import compare
from pendio.neurons.gates import GATES, SQUARE, circuit
from pendio.neurons.perceptron import learn, prove
from pendio.neurons.vanishing import Kind, gradient_by_layer, stack
from pendio.pictures.approximation import draw_approximation
from pendio.pictures.curves import draw_curves
from pendio.pictures.grids import draw_grid
from pendio.pictures.lines import draw_lines
from pendio.pictures.paths import draw_paths
from pendio.recipes import load, network, train
from pendio.reinforcement.evaluation import evaluate_agent
from pendio.reinforcement.playing import film
from pendio.runs.files import writing
from pendio.runs.page import Picture, Section, Table, write_page
from pendio.runs.run import Run

__all__ = ["STOPS", "Stop", "tour"]


@dataclass(frozen=True)
class Stop:
    """A stop of the tour: a title, and what happens there in a folder of its own."""

    title: str
    visit: Callable[[Path], Section]


def tour(out: Path) -> Path:
    """Make every stop and write ``out/index.html``.

    Returns:
        The page.

    Raises:
        InputError: ``out`` is not the folder of an earlier tour and not empty, or cannot be written.
    """
    _clear(out)
    sections, began = [], time.perf_counter()
    for number, stop in enumerate(STOPS, 1):
        print(f"[{number}/{len(STOPS)}] {stop.title}", file=sys.stderr)
        start = time.perf_counter()
        section = stop.visit(out)
        sections.append(section)
        print(f"      {time.perf_counter() - start:.0f} s", file=sys.stderr)
    subtitle = (
        f"{len(STOPS)} stops on data that comes with pendio, in {time.perf_counter() - began:.0f} seconds on this machine. "
        "Each shows the command that does the same for you; put your own folder after --data."
    )
    page = out / "index.html"
    write_page(page, "A tour of pendio", subtitle, sections)
    return page


def _clear(out: Path) -> None:
    """Empty the folder of an earlier tour."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())) and not (out / ".pendio-tour").is_file():
        raise InputError(f"'{out}' exists and is no earlier tour; choose another folder with --out")
    with writing(out):
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        (out / ".pendio-tour").touch()


def _picture(run: Run, name: str, caption: str) -> Picture:
    return Picture((run.folder / "pictures" / f"{name}.png").read_bytes(), caption)


def _test_accuracy(run: Run) -> float:
    data = open_data(run_options(run))
    return evaluate_classifiers([load_classifier(run)], data, [data.split("test")]).metrics["accuracy"]


def _neurons(out: Path) -> Section:
    nand, proof = learn(SQUARE, torch.tensor(GATES["nand"])), prove(SQUARE, torch.tensor(GATES["nand"]))
    truth = [bool(answer) for answer in GATES["xor"]]
    fits = approximate(parse_function("sin(6*x) + abs(x - 0.5)"), [2, 4, 8, 16, 32, 64])
    outputs, widths, errors = zip(*((fit.outputs, fit.width, fit.error) for fit in fits), strict=True)
    rows = [(folds, compare(folds).deep, compare(folds).shallow) for folds in (2, 4, 6, 8, 10)]
    return Section(
        "One neuron, and many",
        text=f"The perceptron learning rule finds NAND after {nand.mistakes} mistakes; by Novikoff's theorem it cannot make "
        f"more than {proof.bound:.0f}. No single neuron can do XOR, which pendio proves instead of trying for ever; "
        f"{len(circuit(truth).gates)} NAND neurons can. One hidden layer fits any continuous function, the better the wider "
        "it is. But depth is cheaper: the sawtooth with 2ⁿ⁻¹ teeth costs n layers of two units, or one layer of 2ⁿ.",
        code='pendio perceptron nand\npendio approximate "sin(6*x) + abs(x - 0.5)" --out fit.png',
        tables=[Table(("folds", "parameters in depth", "parameters in width"), rows)],
        pictures=[
            Picture(
                draw_approximation(fits[0].points, fits[0].targets, outputs, widths, errors),
                "Networks of one hidden layer, and their error against their width.",
            )
        ],
    )


def _descent(out: Path) -> Section:
    surface = SURFACES["ravine"]
    plans = {name: Plan(optimizer=name, lr=surface.lr, momentum=0.8) for name in ("sgd", "momentum", "nesterov")}
    plans["adam"] = Plan(optimizer="adam", lr=3 * surface.lr)
    paths = {str(name): descend(surface, plan, 60).points for name, plan in plans.items()}
    losses = {}
    for name, batch in (("full batch", "all"), ("mini-batches of 64", 64), ("online", 1)):
        options = {
            "data": "digits",
            "model": "mlp",
            "epochs": 8,
            "optimizer": "sgd",
            "lr": 0.05,
            "schedule": "constant",
        }
        run = train("classify", **options, batch=batch, progress=False, out=str(out / f"batch-{batch}"))
        losses[name] = ([r["epoch"] for r in run.history()], [r["val_loss"] for r in run.history()])
    return Section(
        "Walk down in the open",
        text="The optimisers that train networks, on a ravine thirty times steeper across than along; plain descent would "
        "diverge from a learning rate of 2/30 on. Below, the digits with the same rate and the same examples seen: the more "
        "steps an epoch is cut into, the further it gets, but single examples are too noisy a guide to settle by.",
        code="pendio descend ravine --out path.png\npendio find-lr --data digits --model cnn",
        pictures=[
            Picture(draw_paths(surface.height, surface.bounds, paths, surface.minimum), "Sixty steps each."),
            Picture(
                draw_lines(losses, "epoch", "validation loss", log_y=True), "One step an epoch, twenty, and 1,259."
            ),
        ],
    )


def _depth(out: Path) -> Section:
    return Section(
        "Why depth needs help",
        text="What is left of the gradient in each layer of networks twenty layers deep, before training begins. A sigmoid "
        "passes on a quarter at most, so that the first layers learn nothing. ReLU passes on more; normalisation and "
        "residual connections keep it whole. A diagnosis tells a run's ailments, with a fix for each.",
        code="pendio diagnose tour/digits-cnn",
        pictures=[Picture(draw_vanishing(), "Root mean square of each layer's gradient on a batch of digits.")],
    )


def draw_vanishing() -> bytes:
    """The gradient in each layer of networks twenty layers deep, of three kinds of networks, on a batch of digits."""
    batch = next(open_data(Classify(data="digits")).train.batches(256))
    lines = {}
    kinds: tuple[tuple[Kind, str], ...] = (
        ("sigmoid", "sigmoid"), ("relu", "ReLU"), ("residual", "ReLU, normalised, residual"),
    )  # fmt: skip
    for kind, name in kinds:
        torch.manual_seed(0)
        gradients = gradient_by_layer(
            stack(kind, 64, 10), lambda logits: nn.functional.cross_entropy(logits, batch.targets), batch.inputs
        )
        lines[name] = (list(range(1, len(gradients) + 1)), gradients)
    return draw_lines(lines, "layer", "gradient", log_y=True, dots=True)


def _anatomy(out: Path) -> Section:
    rows = []
    for name in ("torchvision:vgg16", "timm:resnet18", "timm:vit_base_patch16_224", "efficientnet-lite0"):
        module, shape = blank(name, None)
        counted = summarize(module, shape)
        rows.append((name, f"{counted.parameters:,}", f"{counted.multiply_adds:,}", f"{counted.bytes / 2**20:.0f} MB"))
    return Section(
        "Count before you train",
        text="Layers, shapes, parameters, operations, memory and receptive fields of any network, without computing it.",
        code="pendio summary torchvision:vgg16\npendio summary timm:resnet18 --depth 1",
        tables=[Table(("network", "parameters", "multiply-adds", "outputs"), rows)],
    )


def _digits(out: Path) -> Section:
    rows, runs = [], {}
    for model in ("mlp", "lenet", "cnn"):
        start = time.perf_counter()
        runs[model] = train("classify", data="digits", model=model, progress=False, out=str(out / f"digits-{model}"))
        parameters = sum(p.numel() for p in load_classifier(runs[model]).parameters())
        seconds = f"{time.perf_counter() - start:.1f} s"
        rows.append((model, f"{parameters:,}", f"{_test_accuracy(runs[model]):.2%}", seconds))
    return Section(
        "Learn to read digits",
        text="Three networks from scratch on 1,259 handwritten digits of 8×8 pixels, measured on 359 others. The run folder "
        "each leaves has a report with everything below and more.",
        code="pendio train classify --data digits --model cnn",
        tables=[Table(("model", "parameters", "test accuracy", "time"), rows)],
        pictures=[
            Picture(draw_curves(runs["cnn"].history(), "accuracy"), "How the CNN learned."),
            _picture(runs["cnn"], "worst", "The test digits the CNN found hardest: red where it was wrong."),
        ],
    )


def _spirals(out: Path) -> Section:
    run = train("classify", data="spirals", model="mlp", progress=False, out=str(out / "spirals"), epochs=60, lr=5e-3)
    return Section(
        "Draw a boundary",
        text="A multi-layer perceptron bends a boundary between two spiral arms that no straight line could part.",
        code="pendio train classify --data spirals --model mlp --epochs 60 --lr 5e-3",
        pictures=[_picture(run, "regions", f"Test accuracy {_test_accuracy(run):.1%}. Paler where less sure.")],
    )


def _textures(out: Path) -> Section:
    run = train(
        "classify", data="textures", model="efficientnet-lite0", freeze=True, progress=False, out=str(out / "textures")
    )
    return Section(
        "Teach an old network new classes",
        text="EfficientNet-Lite0 has seen a million photographs of other things. Its body stays as it is; what it makes of "
        "each patch of brick, grass and gravel is computed once, and a new head learns from that in seconds.",
        code="pendio train classify --data textures --model efficientnet-lite0 --freeze",
        pictures=[
            _picture(run, "data", f"Training patches. Test accuracy {_test_accuracy(run):.1%} on parts never seen."),
        ],
    )


def _photos(out: Path) -> Section:
    lite0 = network("efficientnet-lite0")
    answers = [answer for answer in predict(lite0, ["photos"], top=3) if isinstance(answer, Prediction)]
    captions = ["\n".join(f"{name[:15]} {value:.0%}" for name, value in _pairs(answer)) for answer in answers]
    images = torch.stack([frame(photo(name), 224) for name in PHOTOS])
    return Section(
        "Name what is in a picture",
        text="The same network with its own 1,000 classes, on photographs that come with scikit-image and scikit-learn.",
        code="pendio predict efficientnet-lite0 photos\npendio predict efficientnet-lite0 my-picture.jpg --json",
        pictures=[Picture(draw_grid(images, captions, columns=6), "The three likeliest classes of each.")],
    )


def _pairs(answer: Prediction) -> list[tuple[str, float]]:
    return list(zip(answer.classes, answer.probabilities, strict=True))


def _colored(name: str, size: int) -> torch.Tensor:
    """An embedded photograph as an ascent takes it: ``(1, 3, size, size)`` in [0, 1]."""
    return frame(photo(name), size)[None].float() / 255


def _inside(out: Path) -> Section:
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


def _dreams(out: Path) -> Section:
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


def _fooled(out: Path) -> Section:
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


def _acting(out: Path) -> Section:
    table = train("qlearn", env="FrozenLake-v1", env_steps=600_000, progress=False, out=str(out / "lake"))
    pole = train("ppo", env="CartPole-v1", env_steps=40_000, epochs=10, progress=False, out=str(out / "pole"))
    lake, agent = evaluate_agent(load(table.folder), 1_000), load(pole.folder)
    film(agent, out / "pole.gif")
    balanced = evaluate_agent(agent, 100)
    rows = [
        (name, float(found.played.returns.mean()), float(found.random.returns.mean()), found.optimal or "")
        for name, found in (("FrozenLake-v1", lake), ("CartPole-v1", balanced))
    ]
    return Section(
        "Learn by acting",
        text="On a frozen lake, where a step in three goes where it was meant, a table of action values learns the way from "
        "reward alone; the world is small enough to be solved exactly beside it. A pole on a cart has no table: a network "
        "learns to balance it by small steps of its policy, or, as a deep Q-network, by what actions are worth.",
        code="pendio train qlearn --env FrozenLake-v1\npendio train ppo --env CartPole-v1\n"
        "pendio train dqn --env CartPole-v1\npendio play tour/pole --gif pole.gif\n"
        "pendio solve FrozenLake-v1 --out lake.png",
        tables=[Table(("world", "mean return", "of random actions", "the best there can be"), rows)],
        pictures=[
            _picture(table, "world", "Values and policy, learned and true."),
            _picture(pole, "curves", "How the network learned to balance."),
        ],
    )


STOPS = (
    Stop("One neuron, and many", _neurons),
    Stop("Walk down in the open", _descent),
    Stop("Learn to read digits", _digits),
    Stop("Draw a boundary", _spirals),
    Stop("Why depth needs help", _depth),
    Stop("Count before you train", _anatomy),
    Stop("Teach an old network new classes", _textures),
    Stop("Name what is in a picture", _photos),
    Stop("Look inside", _inside),
    Stop("Dream and paint", _dreams),
    Stop("Change its mind", _fooled),
    Stop("Learn by acting", _acting),
)
"""The stops, in order."""
