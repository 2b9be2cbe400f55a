import math

import pytest
import torch

from pendio.data.arrays import from_arrays
from pendio.generation.vae.diagnosis import CodeProbe, diagnose_codes, diagnose_vae, diagnose_vae_curves, probe
from pendio.generation.vae.likelihoods import Gaussian
from pendio.generation.vae.objective import Objective
from pendio.generation.vae.recipe import load_vae, open_data, run_options
from pendio.runs.diagnosis import Evidence

from .conftest import make_image_vae, make_vae, rows


def healthy(**changes):
    facts = {
        "divergences": torch.tensor([1.0, 0.7]), "posterior": torch.tensor([0.2, 0.3]), "spread": torch.tensor([0.8, 0.7]),
        "variance": 0.5, "eigenvalues": torch.tensor([4.0, 2.0, 0.3]), "misfit": 0.1, "sharpness": 0.9,
    }  # fmt: skip
    return CodeProbe(**{**facts, **changes})


def kinds(found):
    return [one.kind for one in found]


def test_healthy_codes_have_no_diagnosis():
    assert diagnose_codes(healthy()) == []


@pytest.mark.parametrize(
    ("changes", "kind", "evidence"),
    [
        ({"spread": torch.tensor([1e-4, 2e-3]), "divergences": torch.tensor([1e-4, 1e-3])}, "posterior-collapse",
         "0 of 2 dimensions are in use"),
        ({"spread": torch.tensor([0.8, 1e-3]), "posterior": torch.tensor([0.2, 1.0])}, "unused-dimensions", "1 of 2"),
        ({"spread": torch.tensor([2.0, 0.7])}, "variance-law", "0.2 + 2 = 2.2 in dimension 1"),
        ({"misfit": 3.0}, "prior-mismatch", "3.00 nats likelier"),
        ({"sharpness": 0.3}, "blur", "30% of the roughness"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_its_evidence(changes, kind, evidence):
    (found,) = diagnose_codes(healthy(**changes))
    assert found.kind == kind
    assert evidence in found.evidence
    assert found.flag.startswith("--")


def test_where_there_is_a_second_stage_the_mismatch_is_cured():
    assert diagnose_codes(healthy(misfit=3.0, staged=True)) == []


def test_collapse_hides_its_consequences_and_tells_the_threshold():
    probe = healthy(spread=torch.zeros(2), divergences=torch.zeros(2), sharpness=0.0, variance=5.0)
    (found,) = diagnose_codes(probe)
    assert "βσ² = 5" in found.evidence
    assert "up to 4, and 0 lie above it" in found.evidence


def test_the_prediction_is_half_the_logarithm_of_what_lies_above_the_variance():
    assert healthy().predicted == pytest.approx([0.5 * math.log(8), 0.5 * math.log(4)])
    assert healthy(variance=3.0).predicted == pytest.approx([0.5 * math.log(4 / 3)])
    assert healthy(variance=9.0).predicted == []


def test_a_probe_measures_what_a_linear_model_has():
    task = make_vae(Gaussian(0.5, bounded=False), features=4, latent=2, objective=Objective(beta=3.0))
    task.encoder.weight.data.zero_()
    task.encoder.weight.data[0, 0] = 2.0
    task.encoder.bias.data[:] = torch.tensor([0.0, 0.0, math.log(0.25), 0.0])
    inputs = rows(600)
    data = from_arrays(inputs.numpy(), torch.zeros(600, dtype=torch.long).numpy() + (inputs[:, 0] > 0).long().numpy())
    seen = probe(task, data)
    assert seen.posterior.tolist() == pytest.approx([0.25, 1.0])
    assert float(seen.spread[0]) == pytest.approx(4 * float(data.train.inputs[:, 0].var(correction=0)), rel=1e-4)
    assert seen.active == 1
    assert seen.variance == pytest.approx(0.75)
    assert seen.sharpness is None
    covariance = data.train.inputs.T.cov(correction=0)
    assert torch.allclose(seen.eigenvalues, torch.linalg.eigvalsh(covariance).flip(0), atol=1e-4)
    assert seen.misfit > 0.3


def test_a_decoder_of_one_grey_is_blurred_altogether():
    task = make_image_vae(Gaussian(0.1, bounded=True))
    task.decoder[0].weight.data.zero_()
    task.decoder[0].bias.data.zero_()
    images = torch.rand(60, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = from_arrays(images.numpy(), (torch.arange(60) % 2).numpy())
    seen = probe(task, data)
    # Padding is no edge: the Laplacian looks at whole neighbourhoods alone.
    assert seen.sharpness == pytest.approx(0, abs=1e-6)


def history(*records):
    return Evidence([{"epoch": number, "step": number, **record} for number, record in enumerate(records, 1)])


def test_curves_tell_of_collapse_while_there_is_time_to_stop():
    flat = [{"loss": 50.0 - n, "val_loss": 50.0, "val_kl": 0.01, "val_elbo": -50.0} for n in range(6)]
    assert kinds(diagnose_vae_curves(history(*flat))) == ["posterior-collapse"]
    assert diagnose_vae_curves(history(*flat[:3])) == []
    lively = [{**record, "val_kl": 4.0} for record in flat]
    assert diagnose_vae_curves(history(*lively)) == []


def test_curves_tell_of_overfitting():
    bounds = [-100.0, -60, -40, -30, -35, -40, -45, -50, -55, -60, -65]
    records = [{"loss": 90.0 - 8 * n, "val_loss": -b, "val_kl": 5.0, "val_elbo": b} for n, b in enumerate(bounds)]
    assert kinds(diagnose_vae_curves(history(*records))) == ["overfitting"]


def test_a_density_that_is_negative_from_the_start_is_no_exploding_loss():
    from pendio.runs.diagnosis import LayerStep

    records = [{"loss": -100.0 - n, "val_loss": -100.0, "val_kl": 5.0, "val_elbo": 100.0, "lr": 1e-3} for n in range(4)]
    evidence = Evidence(history(*records).history, [{"a": LayerStep(1.0, 0.1, 1e-3)}] * 4)
    assert diagnose_vae_curves(evidence) == []


def test_a_run_is_diagnosed_from_its_folder(vae_run):
    found = diagnose_vae(vae_run, load_vae(vae_run), open_data(run_options(vae_run)))
    assert all(one.sentence and one.evidence and one.fix and one.flag for one in found)
    assert "prior-mismatch" not in kinds(found)
