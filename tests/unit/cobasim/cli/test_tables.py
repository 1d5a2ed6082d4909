"""Tables on the command line."""

from __future__ import annotations

from cobasim.cli.sweep import summary_table


def test_a_difference_of_zero_ranks_between_gains_and_losses():
    rows = [
        {"kappa": kappa, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": None, "minus_uniform": difference, "minus_uniform_±": None}
        for kappa, difference in ((1, -1.0), (2, None), (3, 0.0), (4, 2.0))
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == ["4", "3", "1", "2"]


def test_the_best_forty_are_shown():
    rows = [
        {"kappa": k, "weighting": "prompt", "allocator": "coba", "heldout": 50.0,
         "heldout_±": 1.0, "minus_uniform": float(k), "minus_uniform_±": 0.5}
        for k in range(50)
    ]  # fmt: skip
    table = summary_table(rows, ["kappa"])
    assert list(table.columns[0].cells) == [str(k) for k in range(49, 9, -1)]
    assert "the best 40 of 50" in table.title
