"""The map of one world and weighting: a table, and small multiples. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.experiments.studies.vocabulary import Contrast, Table, label, lay_out

Grid = list[list[Contrast]]
"""Rows: noise and pool; columns: transfer."""


def case(cell: Contrast) -> str:
    """The world of a cell in a few words."""
    population, transfer, noise, visits = cell.group[2:]
    return f"{population}, transfer {transfer}, {noise} noise, pool {visits} x batch"


@dataclass(frozen=True)
class Map:
    """All cells of one world and weighting.

    Attributes:
        world, weighting: of the cells.
        cells: grouped by (world, weighting, population, transfer, noise, pool / batch).
    """

    world: str
    weighting: str
    cells: Sequence[Contrast]

    def values(self, axis: int) -> list[str]:
        """The values on an axis, by its place in the group."""
        return list(dict.fromkeys(cell.group[axis] for cell in self.cells))

    @property
    def populations(self) -> list[str]:
        """Distributions of the initial pass rates."""
        return self.values(2)

    @property
    def transfers(self) -> list[str]:
        """Values of transfer."""
        return self.values(3)

    @property
    def places(self) -> list[tuple[str, str]]:
        """(noise, pool / batch), noise varying slowest."""
        return [(noise, visits) for noise in self.values(4) for visits in self.values(5)]

    @property
    def names(self) -> list[str]:
        """The allocators."""
        return list(dict.fromkeys(cell.what for cell in self.cells))

    def grid(self, name: str, population: str) -> Grid:
        """The cells of one allocator and population."""
        at = {(*cell.group[2:], cell.what): cell for cell in self.cells}
        return [
            [at[population, transfer, noise, visits, name] for transfer in self.transfers]
            for noise, visits in self.places
        ]

    def table(self) -> Table:
        """Rows: population, noise, pool; columns: allocator and transfer; bold if significant."""
        lines = []
        for population in self.populations:
            grids = [self.grid(name, population) for name in self.names]
            for place, (noise, visits) in enumerate(self.places):
                across = [cell for grid in grids for cell in grid[place]]
                shown = [f"**{cell.text}**" if cell.beyond else cell.text for cell in across]
                lines.append((population, noise, f"{visits} x batch", *shown))
        columns = [f"{name}, transfer {t}" for name in self.names for t in self.transfers]
        return Table(
            f"{self.world} world, loss weighted per {self.weighting}: minus uniform, points (bold: "
            "significant)",
            ("initial pass rates", "noise", "pool", *columns),
            lines,
        )

    def figure(self) -> go.Figure:
        """Small multiples: coloured cells are significant, those with a cross are not."""
        names, populations = self.names, self.populations
        figure = make_subplots(
            len(names), len(populations), shared_xaxes=True, shared_yaxes=True,
            horizontal_spacing=0.015,
            vertical_spacing=0.09 / len(names) if len(names) > 1 else 0.0,
            subplot_titles=[f"{label(n)}: {label(p)}" for n in names for p in populations],
        )  # fmt: skip
        for down, name in enumerate(names):
            for across, population in enumerate(populations):
                grid, place = self.grid(name, population), {"row": down + 1, "col": across + 1}
                figure.add_trace(self._coloured(grid, name, population), **place)
                figure.add_trace(self._crosses(grid), **place)
        figure.update_traces(selector={"type": "heatmap"}, showscale=False)
        figure.data[0].showscale = True
        title = (
            f"Minus uniform, points: {label(self.world)} world, loss weighted per "
            f"{label(self.weighting)}<br><sup>coloured: significant (Benjamini-Hochberg, "
            "5 %); crosses: not; pool in batches</sup>"
        )
        lay_out(figure, title, height=150 + len(names) * (60 + 24 * len(self.places)))
        figure.update_xaxes(type="category", showgrid=False)
        figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
        for across in range(1, len(populations) + 1):
            figure.update_xaxes(title="transfer", row=len(names), col=across)
        figure.update_layout(margin={"t": 100})
        return figure

    @property
    def _rows(self) -> list[str]:
        return [f"{noise} noise, pool {visits} x" for noise, visits in self.places]

    def _coloured(self, grid: Grid, name: str, population: str) -> go.Heatmap:
        most = max(abs(cell.mean) for cell in self.cells) or 1.0
        return go.Heatmap(
            z=[[cell.mean if cell.beyond else None for cell in line] for line in grid],
            text=[[f"{cell.mean:+.1f}" if cell.beyond else "·" for cell in line] for line in grid],
            customdata=[[[cell.text, f"{cell.p:.3f}"] for cell in line] for line in grid],
            x=self.transfers,
            y=self._rows,
            texttemplate="%{text}", hoverongaps=True, colorscale="RdBu",
            zmin=-most, zmax=most, xgap=1, ygap=1,
            colorbar={"thickness": 12, "outlinewidth": 0, "title": "points"},
            hovertemplate=f"{label(name)}, {label(population)}, transfer %{{x}}, %{{y}}: "
            "%{customdata[0]} points, p %{customdata[1]}<extra></extra>",
        )  # fmt: skip

    def _crosses(self, grid: Grid) -> go.Scatter:
        """The cells that are not significant, with their interval."""
        inside = [
            (transfer, row, cell.text)
            for row, line in zip(self._rows, grid, strict=True)
            for transfer, cell in zip(self.transfers, line, strict=True)
            if not cell.beyond
        ]
        return go.Scatter(
            x=[transfer for transfer, _, _ in inside],
            y=[row for _, row, _ in inside],
            customdata=[[text] for _, _, text in inside],
            mode="markers",
            marker={"color": "rgba(128,128,128,0.6)", "size": 5, "symbol": "x-thin-open"},
            hovertemplate="not significant: %{customdata[0]} points<extra></extra>",
            showlegend=False,
        )
