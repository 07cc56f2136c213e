import json

import pytest
from command_line import call, failed, succeeded
from tools.bench import workflow as bench_workflow
from tools.bench.workflow import (
    TIMED_STAGES,
    Cost,
    cost_scaling,
    measure_workflow,
)

from simspine.core.errors import InputError


def costs(*lengths, bend=0.0):
    """Stage a takes 2 s and 3 ms a frame, stage b 1 s and 1 ms; a also `bend` s × (frames / 1000)²; both wait 5 s."""
    seconds = {n: (2 + 3e-3 * n + bend * (n / 1e3) ** 2, 1 + 1e-3 * n) for n in lengths}
    return {
        n: {"a": Cost(a, clock=a + 5, memory=100 + n / 100), "b": Cost(b, clock=b + 5, memory=50)}
        for n, (a, b) in seconds.items()
    }


def test_fixed_cost_and_cost_of_a_frame_are_told_apart():
    found = {metric.key: metric for metric in cost_scaling(costs(1000, 5000, 21000))}
    assert found["a_ms_per_frame"].value == pytest.approx(3)
    assert found["a_fixed"].value == pytest.approx(2)
    assert found["a_memory"].value == pytest.approx(310)
    assert found["a_loading"].value == pytest.approx(100 * 2 / 10)
    assert found["a_waiting"].value == pytest.approx(100 * 5 / 10)
    assert found["all_ms_per_frame"].value == pytest.approx(4)
    assert found["all_ms_per_frame"].met is False  # 3.36 is wanted
    assert found["all_fixed"].value == pytest.approx(3)
    assert found["all_growth_of_ms_per_frame"].value == pytest.approx(1)


def test_cost_that_grows_faster_than_frames_is_seen():
    found = {metric.key: metric for metric in cost_scaling(costs(1000, 5000, 21000, bend=0.1))}
    assert found["all_growth_of_ms_per_frame"].value == pytest.approx((4 + 0.1 * 26) / (4 + 0.1 * 6))
    assert found["all_growth_of_ms_per_frame"].met is False
    assert "all_growth_of_ms_per_frame" not in {m.key for m in cost_scaling(costs(1000, 5000))}


@pytest.mark.parametrize("lengths", [[], [100], [100, 100], [10, 100]])
def test_lengths_that_say_nothing_are_refused(lengths):
    with pytest.raises(InputError, match="two different ones or more"):
        measure_workflow(lengths)


def test_lengths_are_whole_numbers():
    assert "'100,many'; whole numbers" in failed(call("bench", "workflow", "--frames", "100,many"))


@pytest.mark.parametrize("quick", [True, False])
def test_short_trials_give_no_slopes_and_no_verdicts(monkeypatch, tmp_path, quick):
    """From trials of 100 and 200 frames a frame may even cost less than nothing."""
    stages = {str(n): {stage: {"seconds": 1.0 - n / 1e3, "MiB": 100} for stage in TIMED_STAGES} for n in (100, 200)}
    monkeypatch.setattr(
        bench_workflow, "measure_workflow", lambda *_: (cost_scaling(costs(100, 200)), {"stages": stages})
    )
    out = tmp_path / "out.json"
    said = succeeded(call("bench", "workflow", "--json", out, *(["--quick"] if quick else [])))
    assert "0.9 (100)" in said
    for shown in ("ms_per_frame", "met"):
        assert (shown in said) != quick
    written = json.loads(out.read_text())
    assert written["stages"] == stages
    assert bool(written["metrics"]) != quick


@pytest.mark.slow
@pytest.mark.long
def test_all_stages_run_and_are_measured(tmp_path):
    out = tmp_path / "out.json"
    succeeded(call("bench", "workflow", "--frames", "20,30", "--json", out))
    written = json.loads(out.read_text())
    assert set(written["stages"]) == {"20", "30"}
    for own in written["stages"].values():
        assert list(own) == list(TIMED_STAGES)
        assert all(cost["seconds"] > 0.1 and cost["MiB"] > 20 for cost in own.values())
