"""Figures of runs: titled, pure, paired, one colour for an allocator."""

import numpy as np
import plotly.graph_objects as go
import pytest
from synthetic_runs import curve_run, header, write_run, write_runs

from cobasim import figures
from cobasim.allocation import ALLOCATORS
from cobasim.errors import InputError
from cobasim.figures.style import hollow
from cobasim.records import Run, StepRecord
from cobasim.scores import comparison_table, mean_interval, transition_shares

GAINS = {"coba": 0.12, "uniform": 0.1, "knapsack": 0.11, "oracle-coba": 0.14}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return write_runs(folder, GAINS, seeds=3, weightings=("rollout",), steps=60)


@pytest.fixture(scope="module")
def rows(runs):
    return comparison_table(runs)


DRAW = {
    "accuracy": figures.accuracy,
    "hard": lambda runs: figures.accuracy(runs, "hard"),
    "difference": figures.difference_to_baseline,
    "alpha": figures.alpha_over_time,
    "budgets": figures.budgets_by_pass_rate,
    "transitions": figures.transition_matrices,
    "mixed": figures.mixed_share,
}


def named(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


@pytest.mark.parametrize("name", DRAW)
def test_every_figure_is_titled_labelled_and_says_its_weighting(runs, name):
    figure = DRAW[name](runs)
    assert "weighted per rollout" in figures.full_title(figure)
    layout = figure.to_dict()["layout"]
    titles = {"x": [], "y": []}
    for key, axis in layout.items():
        if key[1:5] == "axis":
            titles[key[0]].append(axis.get("title", {}).get("text"))
    assert any(titles["x"])
    assert any(titles["y"])
    figure.to_json()


@pytest.mark.parametrize("name", DRAW)
def test_nothing_to_draw_is_one_clear_error(runs, name, tmp_path):
    with pytest.raises(ValueError, match="no runs to draw"):
        DRAW[name]([])
    empty = [Run(header("coba"), (StepRecord(0, 0),), tmp_path)]
    with pytest.raises(ValueError, match=r"no (run|allocator)"):
        DRAW[name](empty)
    other = [Run(header("coba", weighting="prompt"), runs[0].steps, tmp_path)]
    with pytest.raises(ValueError, match="prompt, rollout; draw one weighting per figure"):
        DRAW[name]([*runs, *other])


@pytest.mark.parametrize("name", DRAW)
def test_drawing_is_pure_and_does_not_depend_on_the_order_of_runs(runs, name):
    assert DRAW[name](runs).to_dict() == DRAW[name](list(reversed(runs))).to_dict()


def test_an_allocator_has_one_colour_in_every_figure(runs, rows):
    pictures = [DRAW[name](runs) for name in DRAW if name != "transitions"]
    for figure in pictures:
        for name, trace in named(figure).items():
            assert trace.line.color == figures.colour_of(name)
            assert (trace.line.dash == "dash") == name.startswith("oracle-")
    assert figures.colour_of("oracle-coba") == figures.colour_of("coba")
    colours = [colour for colour, _ in figures.STYLES.values()]
    assert len(set(colours)) == len(colours)
    assert len({marker for _, marker in figures.STYLES.values()}) == len(colours)
    for trace in figures.final_differences(rows).data:
        assert trace.marker.color == figures.colour_of(trace.y[0])


def test_every_allocator_has_its_own_colour_and_marker():
    assert set(figures.STYLES) == set(ALLOCATORS)
    spare = {figures.colour_of(f"mine{k}") for k in range(50)}
    colours = [*(colour for colour, _ in figures.STYLES.values()), *spare]
    places = np.array([_lab(colour) for colour in colours])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    assert apart[np.triu_indices(len(colours), 1)].min() > 20  # 2 is just noticeable
    for colour in colours:
        light = _luminance(colour)
        assert (
            min(1.05 / (light + 0.05), (light + 0.05) / 0.0556) > 2
        )  # on white, on the app's dark
    assert 1.05 / (_luminance(figures.TEXT) + 0.05) > 4.5


def _linear(colour):
    level = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def _luminance(colour):
    """Relative luminance, WCAG 2."""
    return float(_linear(colour) @ [0.2126, 0.7152, 0.0722])


def _lab(colour):
    """CIELAB of an sRGB colour, D65."""
    matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(matrix) @ _linear(colour) / [0.9505, 1.0, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_panels_side_by_side_share_one_axis(tmp_path):
    pair = [
        figures.accuracy([curve_run(tmp_path, [(0, 0.2), (9, 0.4)])]),
        figures.accuracy([curve_run(tmp_path, [(0, 0.1), (9, 0.3)])]),
    ]
    figures.share_scales(pair)
    low, high = pair[0].layout.yaxis.range
    assert pair[1].layout.yaxis.range == (low, high)
    assert low < 10 < 40 < high
    alone = figures.accuracy([curve_run(tmp_path, [(0, 0.2), (9, 0.4)])])
    figures.share_scales([alone])
    assert alone.layout.yaxis.range is None


def test_heatmaps_side_by_side_share_their_colours(tmp_path):
    runs = [write_run(tmp_path / name, name) for name in ("coba", "uniform")]
    pair = [figures.budget_heatmap([run], run.header.allocator) for run in runs]
    values = [np.asarray(figure.data[0].z, dtype=float) for figure in pair]
    figures.share_scales(pair)
    ends = [(figure.data[0].zmin, figure.data[0].zmax) for figure in pair]
    assert ends[0] == ends[1]
    known = np.concatenate([z[np.isfinite(z)] for z in values])
    assert ends[0] == (known.min(), known.max())
    ticks = [figure.data[0].colorbar.tickvals for figure in pair]
    assert np.array_equal(ticks[0], ticks[1])


@pytest.mark.parametrize("name", DRAW)
def test_sharing_an_axis_hides_nothing(runs, name):
    pair = [DRAW[name](runs), DRAW[name]([run for run in runs if run.header.seed])]
    figures.share_scales(pair)
    if name == "transitions":
        assert all(figure.layout.yaxis.range is None for figure in pair)
        return
    low, high = pair[0].layout.yaxis.range
    for figure in pair:
        for trace in figure.data:
            shown = np.array(trace.y, float)
            shown = np.log10(shown[shown > 0]) if name == "budgets" else shown
            assert low <= np.nanmin(shown) <= np.nanmax(shown) <= high


def test_bands_of_shares_stay_between_0_and_100(tmp_path):
    ends = [(0.0, 0.99), (1.0, 0.01)]
    runs = [
        curve_run(tmp_path, [(0, low), (100, high)], "coba", seed)
        for seed, (low, high) in enumerate(ends)
    ]
    band = next(trace for trace in figures.accuracy(runs).data if trace.fill)
    assert (min(band.y), max(band.y)) == (0.0, 100.0)


def test_long_titles_get_lines_that_a_phone_shows():
    title = "Log-prob difference between engine and model, mean"
    figure = figures.lay_out(go.Figure(), title, subtitle="weighted per prompt")
    assert max(map(len, figure.layout.title.text.split("<br>"))) <= 46
    assert figures.full_title(figure) == f"{title}, weighted per prompt"


def test_an_unknown_name_gets_the_same_spare_colour_each_time():
    assert figures.colour_of("mine") == figures.colour_of("mine")
    assert figures.colour_of("mine") not in {colour for colour, _ in figures.STYLES.values()}


def test_accuracy_shows_the_mean_over_seeds_and_its_interval(runs):
    figure = figures.accuracy(runs)
    finals = [run.steps[-1].evaluation["heldout"] for run in runs if run.header.allocator == "coba"]
    expected = mean_interval(100 * np.array(finals))
    trace = named(figure)["coba"]
    assert trace.y[-1] == pytest.approx(expected.mean)
    assert trace.customdata[-1] == pytest.approx(expected.high - expected.mean)
    assert trace.x[-1] == runs[0].steps[-1].rollouts
    bands = [t for t in figure.data if t.fill == "toself" and t.legendgroup == "coba"]
    assert max(bands[0].y) >= expected.high - 1e-9


def test_the_difference_is_paired_and_leaves_out_the_baseline(runs, rows):
    curves = named(figures.difference_to_baseline(runs))
    assert set(curves) == {"coba", "knapsack", "oracle-coba"}
    coba = next(row for row in rows if row.allocator == "coba").heldout_difference
    assert curves["coba"].y[-1] == pytest.approx(100 * coba.mean)
    assert curves["coba"].customdata[-1] == pytest.approx(100 * (coba.high - coba.mean))
    with pytest.raises(ValueError, match="no run of the baseline 'other'"):
        figures.difference_to_baseline(runs, "other")


def test_seeds_evaluated_at_other_rollouts_meet_on_one_grid(tmp_path):
    runs = [
        curve_run(tmp_path, [(0, 0.2), (100, 0.4)], "coba", 0),
        curve_run(tmp_path, [(0, 0.4), (50, 0.5), (200, 0.8)], "coba", 1),
    ]
    trace = named(figures.accuracy(runs))["coba"]
    assert list(trace.x) == [0, 50, 100, 200]
    assert list(trace.y) == pytest.approx([30, 40, 50, 80])  # beyond 100 only one seed is left


def test_one_seed_has_no_band(tmp_path):
    figure = figures.accuracy([curve_run(tmp_path, [(0, 0.2), (9, 0.4)])])
    assert not [trace for trace in figure.data if trace.fill]


def test_long_runs_are_averaged_over_blocks(tmp_path):
    steps = tuple(StepRecord(t, t, mixed_share=t / 2000) for t in range(1, 1001))
    trace = named(figures.mixed_share([Run(header(), steps, tmp_path)]))["uniform"]
    assert len(trace.x) <= 150
    assert np.array(trace.y[1:-1]) == pytest.approx(np.array(trace.x[1:-1]) / 20)


def test_budgets_pool_prompts_not_ratios(tmp_path):
    def record(step, prompts, rollouts):
        pad = [0] * 12
        bins = {"prompts": [prompts, *pad], "rollouts": [rollouts, *pad], "mixed": [0] * 13}
        return StepRecord(step, 0, bins=bins)

    run = Run(header(), (record(1, 1, 100), record(2, 9, 18), record(30, 1, 7)), tmp_path)
    figure = figures.budgets_by_pass_rate([run], steps=[1, 30], window=1)
    assert figure.data[0].y[0] == pytest.approx(118 / 10)
    assert figure.data[1].y[0] == 7
    assert np.isnan(figure.data[0].y[1:].astype(float)).all()  # no prompts: unknown, not 0
    with pytest.raises(ValueError, match="from step 1 to 30"):
        figures.budgets_by_pass_rate([run], steps=[500], window=1)
    with pytest.raises(ValueError, match="steps is empty"):
        figures.budgets_by_pass_rate([run], steps=[])


def test_transitions_pool_the_seeds(runs):
    figure = figures.transition_matrices(runs)
    titles = [note.text for note in figure.layout.annotations]
    counts = sum(
        np.array(run.steps[-1].evaluation["transitions"])
        for run in runs
        if run.header.allocator == "coba"
    )
    shown = np.array(figure.data[titles.index("coba")].z)
    assert shown == pytest.approx(100 * transition_shares(counts))
    assert len(figure.data) == len(GAINS)


def test_the_forest_plot_shows_each_paired_interval(rows):
    figure = figures.final_differences(rows)
    shown = {trace.y[0]: trace for trace in figure.data}
    for row in rows[1:]:
        interval = row.heldout_difference
        assert shown[row.allocator].x[0] == pytest.approx(100 * interval.mean)
        half = 100 * (interval.high - interval.mean)
        assert shown[row.allocator].error_x.array[0] == pytest.approx(half)
    with pytest.raises(ValueError, match="no allocator has a difference"):
        figures.final_differences(rows[:1])


def test_names_from_outside_are_escaped(tmp_path):
    figure = figures.accuracy([curve_run(tmp_path, [(0, 0.2), (9, 0.4)], "<b>x</b>")])
    assert figure.data[-1].name == "&lt;b&gt;x&lt;/b&gt;"


def test_oracles_are_hidden_in_a_crowd(tmp_path):
    names = [f"a{i}" for i in range(8)] + ["oracle-coba"]
    runs = [curve_run(tmp_path, [(0, 0.2), (9, 0.4)], name) for name in names]
    hidden = [t.name for t in figures.accuracy(runs).data if t.visible == "legendonly"]
    assert hidden == ["oracle-coba"]
    assert all(trace.visible is True for trace in figures.accuracy(runs[1:]).data)


def test_heatmap_and_curves_of_runs(tmp_path):
    runs = [write_run(tmp_path / str(seed), "coba", seed) for seed in range(2)]
    figure = figures.budget_heatmap(runs, "coba", step=3)
    cells = figure.data[0].customdata
    total = sum(sum(step.bins["rollouts"]) for run in runs for step in run.steps if step.bins)
    known = np.isfinite(cells[..., 0].astype(float))
    assert (cells[..., 0] * cells[..., 1])[known].sum() == pytest.approx(total)
    curves = figures.run_curves(
        {"one": runs[0], "two": runs[1]}, "evaluation.heldout", against="rollouts", scale=100
    )
    assert [trace.name for trace in curves.data] == ["one", "two"]
    assert len({trace.line.dash for trace in curves.data}) == 2
    with pytest.raises(InputError, match="no run of 'knapsack'"):
        figures.budget_heatmap(runs, "knapsack")
    with pytest.raises(InputError, match="nothing"):
        figures.run_curves({"one": runs[0]}, "learner.nothing")
    with pytest.raises(InputError, match="no times"):
        figures.phase_seconds(runs[0])


@pytest.mark.parametrize("name", [*ALLOCATORS, "mine", "learned:mine.json"])
def test_every_marker_has_an_outline_that_plotly_knows(name):
    marker = figures.marker_of(name)
    go.Scatter(marker={"symbol": [marker, hollow(marker)]})
