"""Attacking networks: how small a change of an image changes their mind."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from pendio.cli.app import Json, app, climbing, console, print_json, say
from pendio.cli.images import How, HowOptions, read_mask, write_file
from pendio.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from pendio.ascent.attacks.goal import Attacked, Goal
    from pendio.ascent.audit import AttackAudit
    from pendio.nn.network import Network

__all__ = ["attack", "fool"]

_SHOWN = 8
"""Images in the picture."""


@app.command
def attack(
    network: str,
    *inputs: str,
    method: str = "pgd",
    target: str | None = None,
    epsilon: str | None = None,
    norm: Literal["linf", "l2"] | None = None,
    steps: int | None = None,
    restarts: int | None = None,
    loss: Literal["cross-entropy", "margin", "ratio"] | None = None,
    confidence: float | None = None,
    pixels: int | None = None,
    budget: int | None = None,
    population: int | None = None,
    mask: Path | None = None,
    data: str | None = None,
    count: int = 100,
    curve: str | None = None,
    out: Path = Path("attack"),
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Change images a little so that a network takes them for something else, and audit what came of it.

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME.
    inputs
        Image files, folders of them, or names of embedded photos (photos: all).
    method
        fgsm, iterative, momentum, pgd, autopgd, carlini, deepfool, pixel or genetic.
    target
        The class to be taken for, by name or number; random: another one for each image. By default any but the true one.
    epsilon
        The largest distance, as a fraction such as 8/255 or a number; by default 8/255. Not of carlini and deepfool, which
        look for the nearest image.
    norm
        In which the distance is measured; by default linf, of deepfool l2.
    steps
        At most; by default 40 of pgd, 100 of autopgd, 200 of carlini, 50 of deepfool, 10 of iterative and momentum.
    restarts
        How many random starts are tried (pgd, autopgd).
    loss
        What is climbed (pgd, autopgd): by default cross-entropy, of autopgd ratio.
    confidence
        By how much the wanted logit must lead (carlini).
    pixels
        How many pixels may change (pixel).
    budget
        Queries an image (pixel, genetic).
    population
        Candidates a generation (pixel, genetic).
    mask
        A grey image: white where images may change.
    data
        Labelled images to attack: a data set's test split, with its true classes.
    count
        How many of --data at most.
    curve
        Distances such as 0,1/255,2/255,4/255: the accuracy on --data that is left at each.
    out
        A folder for the changed images, one PNG each, and attack.png with the first of them.
    """
    from pendio.ascent.attacks.named import attack_in_batches, make_attack, robust_accuracy
    from pendio.ascent.audit import audit_attack

    given: dict[str, Any] = {
        "epsilon": None if epsilon is None else _number(epsilon, "--epsilon"), "norm": norm, "steps": steps,
        "restarts": restarts, "loss": loss, "confidence": confidence, "pixels": pixels, "budget": budget,
        "population": population,
    }  # fmt: skip
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    opened = how.classifier(network)
    if mask is not None:
        options["mask"] = read_mask(mask, opened.shape[1:])
    made_attack = make_attack(method, options)
    if bool(inputs) == (data is not None):
        raise InputError("give images to attack, or --data with labelled ones: pendio attack NETWORK IMAGE …")
    names, images, labels = _labelled(opened, data, count) if data is not None else _named(opened, inputs)
    if curve is not None:
        if data is None or target is not None:
            raise InputError("--curve needs the true classes of --data, and no --target")
        distances = sorted({_number(text, "--curve") for text in curve.split(",")})
        with climbing("curve", len(distances)) as bar:
            left = robust_accuracy(
                method, options, opened, images, labels, distances, seed=how.seed, precision=how.precision, on_batch=bar
            )
        _show_curve(distances, left, method, out, json_)
        return
    goal = _goal(opened, labels, images, target, how.seed)
    with climbing(method, len(images)) as bar:
        attacked = attack_in_batches(
            made_attack, opened, images, goal, seed=how.seed, precision=how.precision, on_batch=bar
        )
    # Only attacks within a ball have a radius to keep.
    radius = getattr(made_attack, "epsilon", None)
    found = audit_attack(opened, attacked, goal, radius, norm or "linf")
    rows = _rows(opened, names, labels, attacked, found)
    _write_images(out, names, attacked.originals, found.saved, rows)
    summary = {
        "attack": repr(made_attack), "reached": float(found.reached.float().mean()),
        "within_budget": float(found.within.float().mean()), "queries": int(attacked.queries.sum()),
        "outputs": found.outputs, "zero_gradients": found.zero_gradients, "reached_without_budget": found.unbounded,
    }  # fmt: skip
    if json_:
        print_json({**summary, "images": rows})
        return
    _show(method, summary, rows)
    if not found.within.all():
        say(f"noticed: {int((~found.within).sum())} images left the budget when rounded to 8 bits")
    say(f"wrote {out}/attack.png and {len(rows)} images")


def _rows(
    network: "Network", names: list[str], labels: "Tensor", attacked: "Attacked", found: "AttackAudit"
) -> list[dict[str, Any]]:
    """What came of each image."""
    return [
        {
            "input": name, "class": network.classes[int(labels[number])],
            "predicted": network.classes[int(found.predicted[number])], "probability": float(found.certainty[number]),
            "reached": bool(found.reached[number]), "within_budget": bool(found.within[number]),
            "queries": int(attacked.queries[number]), **{key: float(values[number]) for key, values in found.moved.items()},
        }
        for number, name in enumerate(names)
    ]  # fmt: skip


def _show(method: str, summary: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Print the first rows, and what holds of all."""
    table = Table("input", "was", "is taken for", "p", "reached", "L0", "L2", "L∞·255", "SSIM", "queries")
    for row in rows[:40]:
        table.add_row(
            row["input"], row["class"], row["predicted"], f"{row['probability']:.3f}", "yes" if row["reached"] else "no",
            f"{row['l0']:.0f}", f"{row['l2']:.3g}", f"{row['linf'] * 255:.1f}", f"{row['ssim']:.3f}", str(row["queries"]),
        )  # fmt: skip
    console().print(table)
    print(
        f"{method}: {summary['reached']:.1%} of {len(rows)} images reached their goal, saved in 8 bits and read back; "
        f"{summary['queries']:,} queries"
    )
    if summary["outputs"] == "probabilities":
        say("noticed: this network ends in a softmax, whose flat parts hide its gradient: that is no robustness")
    if summary["zero_gradients"] > 0 or summary["reached_without_budget"] < 1:
        flat, fall = summary["zero_gradients"], summary["reached_without_budget"]
        say(
            f"noticed signs of gradient masking: {flat:.0%} of the images have no gradient, and without a budget only "
            f"{fall:.0%} fall; try --method pixel or genetic, or --loss ratio"
        )


def _number(text: str, option: str) -> float:
    """A number, or a fraction such as 8/255."""
    above, slash, below = text.partition("/")
    try:
        return float(above) / float(below) if slash else float(above)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{option} must be a number or a fraction such as 8/255, got '{text}'") from error


def _named(network: "Network", inputs: tuple[str, ...]) -> "tuple[list[str], Tensor, Tensor]":
    """Images as the network sees them, and the classes it takes them for."""
    import torch

    from pendio.data.images import ImageError
    from pendio.data.inputs import named_images
    from pendio.data.streams import frame

    names, images = [], []
    for name, image in named_images(inputs, grey=network.shape[0] == 1):
        if isinstance(image, ImageError):
            say(f"skipped: {image}")
            continue
        names.append(name)
        images.append(frame(image, network.shape[1], network.crop))
    if not images:
        raise InputError(f"none of the images could be read: {', '.join(inputs)}")
    values = torch.stack(images).float() / 255
    return names, values, _taken_for(network, values)


def _taken_for(network: "Network", images: "Tensor") -> "Tensor":
    """``(N,)`` the class that a network takes each image for."""
    import torch

    with torch.no_grad():
        return torch.cat([network.eval()(part).argmax(1) for part in images.split(32)])


def _labelled(network: "Network", data: str, count: int) -> "tuple[list[str], Tensor, Tensor]":
    """Test images of a data set with their true classes."""
    import torch

    from pendio.ascent.attacks.goal import eight_bit
    from pendio.data.opening import open as open_data
    from pendio.nn.network import unit_range

    if count < 1:
        raise InputError(f"--count must be at least 1, got {count}")
    examples = open_data(data, size=network.shape[1], crop=network.crop)
    unknown = [name for name in examples.classes if name not in network.classes]
    if unknown:
        raise InputError(f"--data '{data}' has classes the network does not know: {', '.join(unknown[:5])}")
    split = examples.split("test")
    batch = split.take(torch.arange(min(count, len(split))))
    values = unit_range(batch.inputs).float()
    if values.ndim != 4 or values.shape[1] != network.shape[0]:
        raise InputError(f"--data '{data}' has no images of {network.shape[0]} channels")
    numbers = torch.tensor([network.classes.index(name) for name in examples.classes])
    # What comes of it is saved as PNG files, so that it begins as one.
    return [f"{data}-{number}" for number in batch.indices.tolist()], eight_bit(values), numbers[batch.targets]


def _goal(network: "Network", labels: "Tensor", images: "Tensor", target: str | None, seed: int) -> "Goal":
    import torch

    from pendio.ascent.attacks.goal import Goal
    from pendio.ascent.spoken import class_number
    from pendio.data.randomness import uniforms

    if target is None:
        return Goal(labels)
    if target == "random":
        # One of the other classes, each as likely as any.
        shift = (uniforms(seed, 0, torch.arange(len(labels)), 1)[:, 0] * (len(network.classes) - 1)).long() + 1
        return Goal((labels + shift) % len(network.classes), targeted=True)
    number = class_number(network, target)
    same = (_taken_for(network, images) == number).nonzero()[:, 0]
    if len(same):
        raise InputError(f"--target {target}: image {int(same[0]) + 1} is taken for it already; choose another class")
    return Goal(torch.full_like(labels, number), targeted=True)


def _write_images(
    out: Path, names: list[str], originals: "Tensor", saved: "Tensor", rows: list[dict[str, Any]]
) -> None:  # fmt: skip
    import torch

    from pendio.pictures.grids import draw_grid
    from pendio.pictures.png import image_png

    used: set[str] = set()
    for number, name in enumerate(names):
        stem = Path(name).stem or f"image-{number}"
        stem = stem if stem not in used else f"{stem}-{number}"
        used.add(stem)
        rows[number]["file"] = str(out / f"{stem}.png")
        write_file(out / f"{stem}.png", image_png(saved[number]))
    before, after = originals[:_SHOWN], saved[:_SHOWN]
    apart = (0.5 + 10 * (after - before)).clamp(0, 1)
    trios = torch.stack([before, apart, after], 1).flatten(0, 1)
    captions = []
    for row in rows[:_SHOWN]:
        taken = f"{row['predicted'][:18]}\n{row['probability']:.0%}"
        captions += [row["class"][:18], "change ×10", taken]
    write_file(out / "attack.png", draw_grid(trios, captions, columns=6))


def _show_curve(distances: list[float], left: list[float], method: str, out: Path, json_: bool) -> None:
    from pendio.pictures.lines import draw_lines

    write_file(out / "curve.png", draw_lines({method: (distances, left)}, "ε", "accuracy", dots=True))
    rows = [{"epsilon": distance, "accuracy": share} for distance, share in zip(distances, left, strict=True)]
    if json_:
        print_json(rows)
    else:
        for row in rows:
            print(f"ε = {row['epsilon'] * 255:6.2f}/255   accuracy {row['accuracy']:.1%}")
        say(f"wrote {out}/curve.png")


@app.command
def fool(
    network: str,
    *,
    budget: int = 20_000,
    out: Path = Path("fool"),
    how: HowOptions = How(),  # noqa: B008  (frozen)
    json_: Json = False,
) -> None:
    """Evolve from nothing images that a network is sure of, one for each class, only by asking it (MAP-Elites).

    Parameters
    ----------
    network
        A run folder, efficientnet-lite0, timm:NAME or torchvision:NAME.
    budget
        Images the network may be asked about.
    out
        A folder for fool.png and one PNG a class.
    """
    from pendio.ascent.attacks.elites import map_elites
    from pendio.pictures.grids import draw_grid
    from pendio.pictures.png import image_png

    opened = how.classifier(network)
    with climbing("generations", budget) as bar:
        made = map_elites(opened, budget=budget, seed=how.seed, precision=how.precision, on_generation=bar)
    order = made.probabilities.argsort(descending=True)
    for number in order[:100].tolist():
        write_file(out / f"{number:04d}.png", image_png(made.images[number]))
    shown = order[:32]
    captions = [f"{opened.classes[number][:16]}\n{float(made.probabilities[number]):.2%}" for number in shown.tolist()]
    write_file(out / "fool.png", draw_grid(made.images[shown], captions))
    last = made.history[-1]
    result = {
        "queries": made.queries, "coverage": last.coverage, "certainty": last.certainty,
        "above_99": int((made.probabilities > 0.99).sum()), "classes": len(made.probabilities),
    }  # fmt: skip
    if json_:
        print_json(result)
        return
    print(
        f"{result['above_99']} of {result['classes']} classes are seen with more than 99 % certainty in images evolved "
        f"from noise; {made.queries:,} queries"
    )
    say(f"wrote {out}/fool.png")
