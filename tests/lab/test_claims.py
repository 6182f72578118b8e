"""The lab: every claim runs end to end at a tiny size, and verdicts say what the numbers say."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from alignment.lab import __main__ as command
from alignment.lab import report, store
from alignment.lab.claims import CLAIMS, cycle, rankings
from alignment.lab.claims.base import Claim, Finding, t_interval, verdict
from alignment.objectives.games import exploitability


def tiny(name: str) -> Claim:
    claim = CLAIMS[name]
    return replace(claim, config=replace(claim.config, **claim.tiny))


@pytest.mark.parametrize("name", CLAIMS)
def test_a_claim_is_measured_judged_and_drawn(name, tmp_path):
    claim = tiny(name)
    records = [json.loads(json.dumps(claim.measure(claim.config, seed))) for seed in (0, 1)]
    assert records[0] != records[1]
    result = report.result(claim, records)
    assert result["verdict"] in ("reproduced", "in part", "not reproduced")
    assert any(f["holds"] is not None for f in result["findings"])
    for finding in result["findings"]:
        assert np.isfinite(finding["values"]).all(), finding["what"]
        assert finding["interval"][0] <= finding["mean"] <= finding["interval"][1]
    pictures = report.plot(claim, records, tmp_path)
    assert [p.suffix for p in pictures] == [".svg", ".png"]
    assert all(p.stat().st_size > 2000 for p in pictures)
    assert f"({name}.svg)" in report.markdown([result])


def test_a_verdict_needs_every_interval_on_the_right_side():
    clear = Finding("a", [1.0, 1.1, 0.9], above=0.0)
    unclear = Finding("b", [1.0, -1.0, 0.5], above=0.0)
    low = Finding("c", [0.1, 0.2, 0.15], below=0.5)
    told = Finding("d", [-5.0, -5.1, -5.2])
    assert verdict([clear, low, told]) == "reproduced"
    assert verdict([clear, unclear]) == "in part"
    assert verdict([unclear, told]) == "not reproduced"
    with pytest.raises(ValueError, match="at least one finding with a bound"):
        verdict([told])


def test_the_interval_is_students():
    x = [0.2, 0.5, 0.1, 0.9, 0.4]
    expected = stats.ttest_1samp(x, 0.0).confidence_interval(0.95)
    assert t_interval(x) == pytest.approx((np.mean(x), *expected))
    assert t_interval([3.0]) == (3.0, float("-inf"), float("inf"))


def test_a_setting_is_chosen_without_looking_at_the_seed_it_is_judged_on():
    rows = np.array([[9.0, 1.0], [0.0, 2.0], [0.0, 3.0]])
    assert rankings.at_others_best(rows).tolist() == [1.0, 0.0, 0.0]


def test_the_equilibrium_of_a_drawn_game_cannot_be_exploited():
    config = CLAIMS["nash"].config
    for seed in range(4):
        p, nash = cycle.game(config, seed)
        assert p + p.T == pytest.approx(np.ones((3, 3)))
        assert exploitability(p, nash) == pytest.approx(0.0, abs=1e-12)


def test_a_run_goes_on_where_it_was_and_writes_its_report(tmp_path, monkeypatch, capsys):
    claim = tiny("online-dpo")
    seeds = []

    def counted(config, seed):
        seeds.append(seed)
        return claim.measure(config, seed)

    counted.__module__ = claim.measure.__module__
    counting = replace(claim, measure=counted)
    monkeypatch.setattr(command, "CLAIMS", {"online-dpo": counting})
    line = ["--only", "online-dpo", "--folder", str(tmp_path), "--seeds"]
    assert command.main([*line, "2"]) == 0
    first = store.read(tmp_path, counting, 1)
    store.place(tmp_path, counting, 1).write_text("cut off")
    assert command.main([*line, "3"]) == 0
    assert seeds == [0, 1, 1, 2]
    again = store.read(tmp_path, counting, 1)
    assert again["online"] == first["online"], "a seed decides everything"
    other = replace(counting, config=replace(counting.config, beta=0.2))
    assert store.key(other) != store.key(counting)
    assert "online-dpo" in capsys.readouterr().out
    assert (tmp_path / "overview.png").stat().st_size > 2000
    results = json.loads((tmp_path / "results.json").read_text())
    assert [r["seeds"] for r in results] == [3]
    assert (
        "| measure | mean and 95 % interval over seeds | must be |"
        in (tmp_path / "results.md").read_text()
    )


def test_one_seed_is_refused_since_it_has_no_interval(capsys):
    with pytest.raises(SystemExit):
        command.main(["--seeds", "1"])
    assert "2 or more" in capsys.readouterr().err
