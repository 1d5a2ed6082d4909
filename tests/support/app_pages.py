"""Pages of the app, opened without a browser."""

from streamlit.testing.v1 import AppTest


def page(name: str, **query) -> AppTest:
    script = f"from cobasim_apps import elements, {name}\nwith elements.shown_errors():\n"
    opened = AppTest.from_string(script + f"    {name}.page()\n", default_timeout=60)
    for key, value in query.items():
        opened.query_params[key] = value
    return opened.run()


def sound(opened: AppTest) -> AppTest:
    assert not opened.exception, opened.exception[0].value
    return opened


def errors(opened: AppTest) -> str:
    return " ".join(error.value.replace("\\", "") for error in sound(opened).error)


def figures_of(opened: AppTest) -> int:
    return len(opened.get("plotly_chart"))
