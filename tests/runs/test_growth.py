from pendio.runs.diagnosis import Evidence, LayerStep, diagnose


def test_a_layer_that_begins_at_zero_is_no_explosion():
    steps = {"first": LayerStep(0.1, 0.01, 1e-4), "last": LayerStep(0.0, 0.01, 1e-4)}
    kinds = {found.kind for found in diagnose(Evidence([], [steps]))}
    assert "exploding-gradients" not in kinds
    steps["last"] = LayerStep(1e-9, 0.01, 1e-4)
    assert "exploding-gradients" in {found.kind for found in diagnose(Evidence([], [steps]))}
