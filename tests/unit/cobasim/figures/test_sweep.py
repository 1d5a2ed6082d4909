"""Figures of sweeps."""

import numpy as np
import pytest

from cobasim import figures
from cobasim.errors import InputError
from cobasim.scores import effects, with_differences


def sweep_rows():
    for point, tau in enumerate((2.0, 8.0, 128.0)):
        for name, gain in (("uniform", 0.0), ("coba", 0.01 * (point + 1))):
            for seed in range(3):
                yield {
                    "point": point, "tau": tau, "window": 3 + point % 2, "allocator": name,
                    "weighting": "rollout", "seed": seed, "final_heldout": 0.4 + seed / 50 + gain,
                }  # fmt: skip


def test_figures_of_sweeps_pair_by_seed():
    table = with_differences(list(sweep_rows()))
    line = figures.sweep_line(table, "tau", "minus_uniform", "rollout")
    (coba,) = line.data
    assert list(coba.y) == pytest.approx([1.0, 2.0, 3.0])
    assert max(coba.customdata) == pytest.approx(0, abs=1e-9)  # the seeds' spread is taken out
    assert line.layout.xaxis.type == "log"
    heat = figures.sweep_heatmap(table, "tau", "window", "minus_uniform", "rollout", "coba")
    assert np.nansum(heat.data[0].z) == pytest.approx(6.0)
    first, second = effects(table, ["tau", "window"], "minus_uniform", "rollout")
    assert (first["parameter"], second["parameter"]) == ("tau", "window")
    assert first["effect"] == pytest.approx(2.0)
    assert first["highest at"] == 128.0
    with pytest.raises(InputError, match="unknown metric"):
        figures.sweep_line(table, "tau", "loss", "rollout")
