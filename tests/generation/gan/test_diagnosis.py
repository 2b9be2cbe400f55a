from dataclasses import replace

import torch

from pendio.generation.gan.coverage import GanProbe, nearest_classes, probe
from pendio.generation.gan.diagnosis import Restraint, diagnose_gan, diagnose_gan_curves, diagnose_made
from pendio.generation.gan.recipe import load_gan, open_data, run_options
from pendio.runs.diagnosis import Evidence, LayerStep

WELL = GanProbe(("a", "b"), (0.5, 0.5), (0.4, 0.6), 0.95, 1.0, None, None, 0.9, 0.1, 0.7)
CALM = Restraint(1.0, ("translation",), 1)


def kinds(found):
    return [one.kind for one in found]


def curves(accuracy=0.6, diversity=1.0, kernels=(1.0, 0.2), gradients=(1.0, 1.0), epochs=10):
    """A run whose values go from the first to the second half."""
    halves = [0] * (epochs // 2) + [1] * (epochs - epochs // 2)
    history = [
        {"epoch": n, "val_accuracy": accuracy, "val_diversity": diversity, "val_kernel": kernels[half]}
        for n, half in enumerate(halves, 1)
    ]
    layers = [{"generator.layers.0.weight": LayerStep(1.0, gradients[half], 0.01)} for half in halves]
    return Evidence(history, layers)


def test_a_game_that_goes_well_has_no_diagnosis():
    assert diagnose_gan_curves(curves(), CALM) == []
    assert diagnose_made(WELL, CALM) == []


def test_each_thing_that_goes_wrong_on_the_way_is_named():
    assert kinds(diagnose_gan_curves(curves(accuracy=0.99), CALM)) == ["overpowering"]
    assert kinds(diagnose_gan_curves(curves(accuracy=0.92, gradients=(1.0, 0.01)), CALM)) == ["overpowering"]
    assert (
        diagnose_gan_curves(curves(accuracy=0.92), CALM)
        == diagnose_gan_curves(curves(gradients=(1.0, 0.01)), CALM)
        == []
    )
    assert kinds(diagnose_gan_curves(curves(diversity=0.2), CALM)) == ["mode-collapse"]
    assert kinds(diagnose_gan_curves(curves(kernels=(0.2, 1.0), epochs=40), CALM)) == ["past-its-best"]
    assert diagnose_gan_curves(curves(kernels=(0.2, 1.0)), CALM) == []
    assert diagnose_gan_curves(curves(accuracy=1.0, epochs=3), CALM) == []


def test_a_game_is_past_its_best_after_a_while_and_not_in_its_first_epochs():
    def told(best, last):
        history = [
            {"epoch": n, "val_accuracy": 0.6, "val_diversity": 1.0, "val_kernel": 0.1 if n == best else 1.0}
            for n in range(1, last + 1)
        ]
        return kinds(diagnose_gan_curves(Evidence(history, []), CALM)) == ["past-its-best"]

    assert [told(3, 17), told(3, 18), told(11, 16)] == [False, True, True]


def test_advice_suits_the_data_and_goes_beyond_what_is_done():
    assert Restraint(1.0, ("translation",), 1).more == "--r1 5"
    assert Restraint(0.0, (), 1).more == "--diff-augment translation --r1 1"
    assert Restraint(0.2, ("translation",), 3).more == "--diff-augment color,translation,cutout --r1 1"
    assert Restraint(0.02, (), 0).more == "--r1 0.1"
    assert Restraint(0.0, (), 0).more == "--r1 0.02"


def test_each_thing_that_is_wrong_with_what_is_made_is_named():
    missing = replace(WELL, made=(0.99, 0.01))
    assert missing.missing == ["b"]
    (found,) = diagnose_made(missing, CALM)
    assert found.kind == "missing-modes"
    assert "b (1.0% instead of 50.0%)" in found.evidence
    assert kinds(diagnose_made(replace(WELL, diversity=0.1), CALM)) == ["mode-collapse"]
    assert kinds(diagnose_made(replace(WELL, overfitting=0.9), CALM)) == ["discriminator-overfitting"]
    assert kinds(diagnose_made(replace(WELL, copied=0.1), CALM)) == ["copies"]
    assert kinds(diagnose_made(replace(WELL, obeyed=0.3), CALM)) == ["classes-ignored"]


def test_examples_are_named_by_the_vote_of_their_neighbours():
    known = torch.tensor([[0.0], [0.1], [0.2], [5.0], [5.1], [5.2], [0.05]])
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    assert nearest_classes(known, labels, torch.tensor([[0.04], [4.0]]), 2).tolist() == [0, 1]


def test_a_generator_that_makes_one_class_misses_the_others(gan_run, monkeypatch):
    task, data = load_gan(gan_run), open_data(run_options(gan_run))
    bar = task.prepare(data.train.inputs[data.train.targets == 1][:1])
    monkeypatch.setattr(type(task), "generate", lambda self, codes: bar.expand(len(codes), -1, -1, -1))
    seen = probe(task, data)
    assert seen.missing == ["0"]
    assert seen.copied < 1e-3
    assert {"missing-modes", "mode-collapse", "copies"} <= set(kinds(diagnose_gan(gan_run, task, data)))
