import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pendio.errors import InputError
from pendio.exact.check import Check
from pendio.exact.verify import CHECKS, verify

from ..conftest import mistake
from . import (
    slips_of_autoencoding,
    slips_of_darknet,
    slips_of_detection,
    slips_of_diffusion,
    slips_of_flow,
    slips_of_gan,
    slips_of_latent,
    slips_of_manifold,
    slips_of_precision,
    slips_of_quality,
    slips_of_segmentation,
    slips_of_sequences,
    slips_of_vae,
)

# Each truth


@pytest.mark.parametrize("name", CHECKS)
def test_every_truth_holds(name):
    row = CHECKS[name].run()
    assert row.passed, row


# Broken methods: each breaks one thing as a slip of the pen would, and names a row that must notice.


def perceptron_subtracts(patch):
    import pendio.neurons.perceptron as module

    patch.setattr(module.Perceptron, "__call__", lambda self, inputs: inputs @ self.weights.to(inputs) - self.bias > 0)


def margin_forgets_half(patch):
    import pendio.neurons.perceptron as module

    original = module._margin
    patch.setattr(module, "_margin", lambda signed: 2 * original(signed))


def separability_is_guessed(patch):
    import pendio.neurons.perceptron as module

    patch.setattr(module, "prove", lambda inputs, labels: module.Proof(True, 1.0, 1.0))


def choice_swaps_its_branches(patch):
    from pendio.neurons.gates import _Builder

    def choose(self, condition, then, otherwise):
        return self.nand(self.nand(condition, otherwise), self.nand(self.negate(condition), then))

    patch.setattr(_Builder, "choose", choose)


def corners_are_bunched(patch):
    import pendio.neurons.approximation as module

    patch.setattr(module, "_corners", lambda points, targets, width: torch.linspace(0, 0.2, width).double())


def fold_forgets_a_factor(patch):
    import pendio.neurons.depth as module

    original = module._linear
    patch.setattr(
        module,
        "_linear",
        lambda weight, bias: original([[2 * w if w == -4 else w for w in row] for row in weight], bias),
    )


def gradient_is_climbed(patch):
    original = torch.optim.SGD.step

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad.neg_()
        return original(self, closure)

    patch.setattr(torch.optim.SGD, "step", step)


def nesterov_is_momentum(patch):
    from pendio.descent import optimizers

    original = optimizers.make_optimizer

    def make(player, plan):
        optimizer = original(player, plan)
        for group in optimizer.param_groups:
            group["nesterov"] = False
        return optimizer

    patch.setattr(optimizers, "make_optimizer", make)


def biases_are_decayed_and_weights_not(patch):
    from pendio.descent import optimizers

    patch.setattr(optimizers, "is_decayed", lambda parameter: parameter.ndim < 2)


def rate_forgets_the_steep_direction(patch):
    from pendio.descent import surfaces

    patch.setattr(surfaces, "plain_rate", lambda lr, curvatures: abs(1 - lr * max(curvatures)))


def a_part_of_the_batch_is_lost(patch):
    from pendio.descent import turns

    original = turns.split_batch
    patch.setattr(turns, "split_batch", lambda batch, parts: original(batch, parts)[1:])


def the_average_is_too_slow(patch):
    from pendio.descent.averaging import Average

    original = Average._move
    patch.setattr(Average, "_move", lambda self, share: original(self, share / 2))


def the_optimizer_is_not_restored(patch):
    patch.setattr(torch.optim.AdamW, "load_state_dict", lambda self, state: None)


def randomness_is_not_restored(patch):
    patch.setattr(torch, "set_rng_state", lambda state: None)
    patch.setattr("pendio.descent.loop._Walk._seed_epoch", lambda self: None)


def a_slope_is_taken_of_the_value(patch):
    from pendio.descent.backpropagation import ACTIVATIONS, Activation

    tanh = ACTIVATIONS["tanh"]
    patch.setitem(ACTIVATIONS, "tanh", Activation(tanh.value, lambda z: 1 - z**2))


def tied_entries_are_averaged(patch):
    from pendio.descent import backpropagation

    original = backpropagation.backpropagate_convolution

    def averaged(layer, images, delta):
        kernel, below = original(layer, images, delta)
        return kernel / delta[0, 0].numel(), below

    patch.setattr(backpropagation, "backpropagate_convolution", averaged)


def the_matrix_ignores_dilation(patch):
    from pendio.anatomy import matrix

    original = matrix._entries

    def entries(layer, *rest):
        kept, layer.dilation = layer.dilation, (1, 1)
        try:
            return original(layer, *rest)
        finally:
            layer.dilation = kept

    patch.setattr(matrix, "_entries", entries)


def same_pads_before(patch):
    from pendio.nn.convolution import Conv2d

    original = Conv2d.forward

    def forward(self, images):
        if not self.same:
            return original(self, images)
        total = [self._total(images.shape[2 + axis], axis) for axis in (0, 1)]
        return nn.Conv2d.forward(self, F.pad(images, (total[1], 0, total[0], 0)))

    patch.setattr(Conv2d, "forward", forward)


def causal_looks_ahead(patch):
    from pendio.nn.convolution import CausalConv1d

    patch.setattr(CausalConv1d, "forward", lambda self, x: nn.Conv1d.forward(self, F.pad(x, (2, 2))))


def variance_is_biased(patch):
    from pendio.nn.normalization import BatchNorm

    original = BatchNorm.forward

    def forward(self, images):
        count = images.numel() / images.shape[1]
        out = original(self, images)
        if self.training:
            self.running_variance.mul_((count - 1) / count)
        return out

    patch.setattr(BatchNorm, "forward", forward)


def channels_are_shifted_not_scaled(patch):
    from pendio.nn.squeeze import SqueezeExcitation

    original = SqueezeExcitation.forward
    patch.setattr(SqueezeExcitation, "forward", lambda self, images: images + original(self, images))


def the_shortcut_is_lost(patch):
    from pendio.nn.residual import Residual

    patch.setattr(Residual, "forward", lambda self, images: self.branch(images))


def groups_are_not_counted(patch):
    from pendio.anatomy import operations

    original = operations._FORMULAS[torch.ops.aten.convolution]
    patch.setitem(operations._FORMULAS, torch.ops.aten.convolution, lambda inputs, output: 2 * original(inputs, output))


def the_stride_does_not_widen_the_field(patch):
    from pendio.anatomy.receptive import Axis

    def through(self, kernel, stride, padding, dilation):
        return Axis(self.stride * stride, self.first - padding, self.last + (kernel - 1) * dilation - padding)

    patch.setattr(Axis, "through", through)


def labels_are_not_smoothed(patch):
    from pendio.classification import task

    original = F.cross_entropy
    patch.setattr(task.F, "cross_entropy", lambda *a, label_smoothing=0.0, **options: original(*a, **options))


def f1_is_the_plain_mean(patch):
    from pendio.descent import classes

    original = classes.per_class

    def per_class(confusion):
        return [{**row, "f1": (row["precision"] + row["recall"]) / 2} for row in original(confusion)]

    patch.setattr(classes, "per_class", per_class)


def colours_are_normalised_as_for_another_network(patch):
    from pendio.classification import models

    original = models.preprocessing
    imagenet = models._IMAGENET

    def preprocessing(name):
        form = original(name)
        return models.Preprocessing(form.size, form.crop, imagenet.mean, imagenet.std)

    patch.setattr(models, "preprocessing", preprocessing)


def the_input_descends(patch):
    from pendio.ascent import rules

    original = rules._gradient
    patch.setattr(rules, "_gradient", lambda points: -original(points))


def the_border_is_misjudged(patch):
    from pendio.ascent.attacks.deepfool import _Walk

    original = _Walk._border

    def border(self, apart, slope):
        distance, direction = original(self, apart, slope)
        return 1.1 * distance, direction

    patch.setattr(_Walk, "_border", border)


def a_gram_forgets_its_places(patch):
    from pendio.ascent import objectives

    original = objectives.gram
    patch.setattr(objectives, "gram", lambda output, mask=None: original(output, mask) * output.shape[-1])


def variation_counts_one_direction(patch):
    from pendio.ascent import objectives

    def value(readings):
        return readings.images.diff(dim=3).abs().flatten(1).sum(1) / readings.images[0].numel()

    patch.setattr(objectives, "total_variation", lambda: objectives.Objective(frozenset(), value))


def readings_are_cut_off(patch):
    from pendio.ascent import objectives

    original = objectives.channels_first
    patch.setattr(objectives, "channels_first", lambda output: original(output.detach() * 0.5 + output * 0.5))


def views_depend_on_the_batch(patch):
    from pendio.ascent import transforms

    original = transforms.uniforms
    patch.setattr(
        transforms, "uniforms", lambda seed, step, rows, draws: original(seed, step, torch.arange(len(rows)), draws)
    )


def waves_count_once(patch):
    from pendio.ascent import canvas

    original = torch.full_like
    patch.setattr(canvas.torch, "full_like", lambda like, value: original(like, value / 2))


def the_reward_is_forgotten(patch):
    import pendio.reinforcement.processes.planning as module

    original = module.q_from_v
    patch.setattr(module, "q_from_v", lambda mdp, values: original(mdp, values) - mdp.expected_rewards)


def the_discount_is_forgotten(patch):
    import pendio.reinforcement.processes.planning as module

    def q_from_v(mdp, values):
        return mdp.expected_rewards + (mdp.continuation @ values).reshape(mdp.expected_rewards.shape)

    patch.setattr(module, "q_from_v", q_from_v)


def exploring_never_takes_the_best(patch):
    import pendio.reinforcement.processes.planning as module

    original = module.epsilon_greedy

    def without(q, epsilon):
        found = original(q, epsilon)
        return found - (q == q.max(1, keepdims=True)) * epsilon / q.shape[1]

    patch.setattr(module, "epsilon_greedy", without)


def terminal_states_are_bootstrapped(patch):
    from pendio.reinforcement.values.replay import Replay

    original = Replay._returns

    def returns(self, rows):
        rewards, ends, discounts = original(self, rows)
        return rewards, ends, discounts + (discounts == 0) * self.discount

    patch.setattr(Replay, "_returns", returns)


def sums_drift_with_each_change(patch):
    from pendio.reinforcement.values.priorities import SumTree

    original = SumTree.update

    def update(self, indices, values):
        original(self, indices, values)
        self._sums[0] += 1e-9

    patch.setattr(SumTree, "update", update)


def the_last_leaves_are_never_found(patch):
    from pendio.reinforcement.values.priorities import SumTree

    find = SumTree.find

    def skewed(self, prefixes):
        return find(self, prefixes * 0.97)

    patch.setattr(SumTree, "find", skewed)


def the_table_discounts_twice(patch):
    from pendio.reinforcement.values.dqn import QLearning

    original = QLearning.loss

    def loss(self, batch):
        return original(self, batch._replace(discounts=0.9 * batch.discounts))

    patch.setattr(QLearning, "loss", loss)


def the_mean_action_follows(patch):
    from pendio.reinforcement.values.dqn import DQN

    patch.setattr(DQN, "future", lambda self, observations: self.target(observations).mean(1))


def advantages_run_into_the_next_episode(patch):
    import pendio.exact.policy as rows
    import pendio.reinforcement.policy.advantages as module

    original = module.generalized_advantages

    def running(rewards, values, next_values, terminated, ended, *rest):
        return original(rewards, values, next_values, terminated, ended & False, *rest)

    patch.setattr(rows, "generalized_advantages", running)


def the_gradient_is_doubled(patch):
    import pendio.exact.policy as rows
    import pendio.reinforcement.policy.policy_gradient as module

    def gains(log_probs, old, advantages, clip):
        return 2 * (log_probs - old).exp() * advantages

    for room in (module, rows):
        if hasattr(room, "clipped_gains"):
            patch.setattr(room, "clipped_gains", gains)


SABOTAGE = {
    the_input_descends: "visualize-linear",
    the_border_is_misjudged: "attack-l2",
    a_gram_forgets_its_places: "gram",
    variation_counts_one_direction: "total-variation",
    readings_are_cut_off: "objective-gradients",
    views_depend_on_the_batch: "climb-alone",
    waves_count_once: "spectrum",
    perceptron_subtracts: "perceptron-nand",
    margin_forgets_half: "perceptron-margin",
    separability_is_guessed: "perceptron-xor",
    choice_swaps_its_branches: "nand-circuits",
    corners_are_bunched: "approximation-bound",
    fold_forgets_a_factor: "sawtooth-deep",
    gradient_is_climbed: "least-squares",
    nesterov_is_momentum: "optimizer-nesterov",
    biases_are_decayed_and_weights_not: "optimizer-adamw",
    rate_forgets_the_steep_direction: "rate-plain",
    a_part_of_the_batch_is_lost: "accumulation",
    the_average_is_too_slow: "average-ema",
    the_optimizer_is_not_restored: "resume",
    randomness_is_not_restored: "resume",
    a_slope_is_taken_of_the_value: "backpropagation-tanh",
    tied_entries_are_averaged: "tied-gradient",
    the_matrix_ignores_dilation: "convolution-matrix",
    same_pads_before: "convolution-same",
    causal_looks_ahead: "convolution-causal",
    variance_is_biased: "batch-norm-variance",
    channels_are_shifted_not_scaled: "squeeze-excitation",
    the_shortcut_is_lost: "residual",
    groups_are_not_counted: "summary-operations",
    the_stride_does_not_widen_the_field: "receptive-field",
    labels_are_not_smoothed: "cross-entropy",
    f1_is_the_plain_mean: "f1",
    colours_are_normalised_as_for_another_network: "efficientnet",
    the_reward_is_forgotten: "value-iteration-lake",
    the_discount_is_forgotten: "q-from-v",
    exploring_never_takes_the_best: "epsilon-greedy",
    terminal_states_are_bootstrapped: "n-step-return",
    sums_drift_with_each_change: "sum-tree",
    the_last_leaves_are_never_found: "prioritised-sampling",
    the_table_discounts_twice: "q-learning-rule",
    the_mean_action_follows: "dqn-table",
    advantages_run_into_the_next_episode: "gae",
    the_gradient_is_doubled: "ppo-first-step",
}
for slips in (
    slips_of_sequences, slips_of_segmentation, slips_of_detection, slips_of_darknet, slips_of_precision,
    slips_of_autoencoding, slips_of_manifold, slips_of_vae, slips_of_gan, slips_of_flow, slips_of_diffusion, slips_of_latent,
    slips_of_quality,
):  # fmt: skip
    SABOTAGE |= slips.SABOTAGE


@pytest.mark.parametrize("sabotage", SABOTAGE, ids=lambda sabotage: sabotage.__name__)
def test_a_broken_method_makes_its_row_fail(sabotage, monkeypatch):
    sabotage(monkeypatch)
    assert not CHECKS[SABOTAGE[sabotage]].run().passed


# The command


def test_a_row_passes_within_its_tolerance_and_on_the_right_side():
    def row(measured, expected, tolerance=0.1, relation="="):
        return Check("x", "y", lambda: (measured, expected), tolerance, relation).run().passed

    assert row(1.05, 1)
    assert not row(1.2, 1)
    assert not row(0.8, 1)
    assert row(0.5, 1, relation="≤")
    assert not row(1.2, 1, relation="≤")
    assert not row(float("nan"), 1)
    assert not row(float("nan"), 1, relation="≤")


def test_a_method_that_breaks_down_fails_its_row_and_says_why():
    row = Check("x", "y", lambda: (1 / 0, 1)).run()
    assert not row.passed
    assert "ZeroDivisionError" in row.about


def test_names_choose_rows_by_their_beginning():
    assert [row.name for row in verify(["perceptron-n"])] == ["perceptron-nand", "perceptron-novikoff"]
    with pytest.raises(InputError, match="there is no check 'perceptro-nand': did you mean 'perceptron-nand'"):
        list(verify(["perceptro-nand"]))


def test_the_command_prints_rows_and_exits_with_1_when_one_fails(cli, monkeypatch):
    good = cli("verify", "f1", "residual")
    assert good.code == 0
    assert "2 checks" in good.out
    assert "all passed" in good.out
    the_shortcut_is_lost(monkeypatch)
    bad = cli("verify", "f1", "residual")
    assert bad.code == 1
    assert "failed: residual" in bad.out
    assert "FAILED" in bad.out
    assert '"passed": false' in cli("verify", "residual", "--json").out
    assert "there is no check" in mistake(cli("verify", "nothing"))
