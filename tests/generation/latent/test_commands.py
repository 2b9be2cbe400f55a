import json

import pytest

from ...conftest import mistake, pixels


def tiles(path):
    height, width, _ = pixels(path.read_bytes()).shape
    return (height - 2) // 50, (width - 2) // 50


def test_a_path_has_a_row_for_each_pair(cli, compressed_run, tmp_path):
    result = cli("latent", "interpolate", compressed_run.folder, "--at", 0, "--at", 1, "--at", 2, "--steps", 5)
    assert result.code == 0, result.err
    assert tiles(tmp_path / "interpolate.png") == (2, 5)
    assert "2 rows of 5 steps, spherical" in result.out


@pytest.mark.parametrize("principal", [[], ["--principal"]])
def test_traversals_go_where_codes_vary_most(cli, narrow_vae_run, tmp_path, principal):
    result = cli("latent", "traverse", narrow_vae_run.folder, "--dimensions", 3, "--steps", 4, "--json", *principal)
    assert result.code == 0, result.err
    spreads = json.loads(result.out)["deviations"]
    assert spreads == sorted(spreads, reverse=True)
    assert tiles(tmp_path / "traverse.png") == (3, 4)


def test_an_edit_moves_its_class_most(cli, compressed_run, tmp_path):
    result = cli("latent", "edit", compressed_run.folder, "--attribute", "0", "--at", 1, "--at", 2, "--json")
    assert result.code == 0, result.err
    found = json.loads(result.out)
    assert max(found["moved"], key=found["moved"].get) == "0"
    assert found["entanglement"] < 1
    assert tiles(tmp_path / "edit.png") == (2, 7)


def test_directions_and_scores_of_disentanglement(cli, narrow_vae_run):
    found = json.loads(cli("latent", "directions", narrow_vae_run.folder, "--json").out)
    assert set(found["directions"]) == set("0123456789")
    assert all(0 <= found[name] <= 1 for name in ("mig", "sap", "disentanglement", "completeness"))
    assert sum(found["components"]) == pytest.approx(1, abs=0.01)


def test_a_plane_has_its_examples_in_the_corners(cli, compressed_run, tmp_path):
    result = cli(
        "latent", "plane", compressed_run.folder, "--at", 3, "--at", 4, "--at", 5, "--side", 4, "--scatter", "codes.png"
    )
    assert result.code == 0, result.err
    assert tiles(tmp_path / "plane.png") == (4, 4)
    assert (tmp_path / "codes.png").exists()


def test_a_map_between_unlike_models_keeps_what_the_target_can_say(cli, compressed_run, narrow_vae_run, tmp_path):
    result = cli("latent", "map", compressed_run.folder, narrow_vae_run.folder, "--curve", "curve.png", "--json")
    assert result.code == 0, result.err
    errors = json.loads(result.out)["errors"]
    assert [error["support"] for error in errors] == [8, 16, 32, 64]
    assert errors[-1]["ratio"] < min(1.5, errors[0]["ratio"])
    assert tiles(tmp_path / "map.png") == (4, 10)
    assert (tmp_path / "curve.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["interpolate", "RUN", "--at", "1"], "--at needs two examples"),
        (["interpolate", "RUN", "--at", "0", "--at", "9999"], "--at must be 0 to"),
        (["interpolate", "RUN", "--steps", "1"], "--steps must be 2 to 100"),
        (["traverse", "RUN", "--reach", "0"], "--reach must be above 0"),
        (["traverse", "RUN", "--dimensions", "0"], "--dimensions must be at least 1"),
        (["edit", "RUN", "--attribute", "cat"], "there is no class 'cat'"),
        (["plane", "RUN", "--at", "1"], "--at needs three examples"),
        (["plane", "RUN", "--side", "1"], "--side must be 2 to 50"),
        (["map", "RUN", "RUN", "--support", "100000"], "--support must be 2 to"),
        (["directions", "RUN", "--most", "1"], "--most must be at least 2"),
    ],
)
def test_mistakes_cost_a_line(cli, compressed_run, arguments, message):
    given = [str(compressed_run.folder) if part == "RUN" else part for part in arguments]
    assert message in mistake(cli("latent", *given))


def test_a_classifier_has_no_latent_space(cli, digits_run):
    assert "has no latent space" in mistake(cli("latent", "interpolate", digits_run.folder))


def test_runs_of_other_splits_have_no_map(cli, compressed_run, tmp_path):
    from pendio.generation.autoencoder.options import AutoencodeOptions
    from pendio.generation.autoencoder.recipe import train_autoencoder

    out = tmp_path / "other"
    options = {
        "data": "digits",
        "size": 8,
        "latent": 4,
        "width": 4,
        "steps": 1,
        "epochs": 1,
        "normal": "3",
        "out": str(out),
    }
    train_autoencoder(AutoencodeOptions.of({**options, "false_alarms": 0.2}), progress=False)
    assert "--split-seed" in mistake(cli("latent", "map", compressed_run.folder, out))
