"""Numbers -> plotly figures (pure)."""
