"""The app in a real browser: Chromium, headless, through Playwright."""

from __future__ import annotations

import re
import socket

import pytest
from synthetic_runs import header, steps_of, write_run

pytest.importorskip("streamlit", reason="streamlit is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from app_browser import (
    CHROMIUM,
    Server,
    drawn,
    eventually,
    settled,
    slide,
    steady,
    unfold,
    without_lost_tabs,
)

from cobasim.records import RunWriter


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    runs = tmp_path_factory.mktemp("app") / "runs"
    write_run(runs / "mine" / "uniform", "uniform")
    write_run(runs / "mine" / "coba", "coba")
    for seed in range(6):
        write_run(runs / "six" / f"{seed}", "signal", seed)
    started = Server(runs, runs.parent / "server.log")
    yield started
    started.close()
    log = without_lost_tabs(started.log.read_text())
    assert "Traceback" not in log, log
    assert "Exception" not in log, log


def test_only_lost_tabs_are_taken_out_of_the_log():
    lost = (
        "Exception in ASGI application\nTraceback (most recent call last):\n"
        "  in _websocket_endpoint\nx.WebSocketDisconnected: not connected\n\nRuntimeError: sent.\n"
    )
    ours = "Exception in ASGI application\nTraceback (most recent call last):\nKeyError: 'p'\n"
    said = "2026-11-23 22:39:59.522 Uvicorn server started\n"
    assert without_lost_tabs(said + lost + ours + lost) == said + ours


def test_the_first_start_asks_nothing(tmp_path):
    started = Server(tmp_path / "runs", tmp_path / "log", home=tmp_path)
    started.close()
    assert f"The app is at {started.url}; Ctrl-C ends it." in started.said.read_text()


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as engine:
        found = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture
def tab(browser, server):
    """``tab(path)`` opens a page; at the end no console error may have come up."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    said: list[str] = []

    def note(message) -> None:
        if message.type == "error":
            said.append(f"{message.text} {message.location}")

    def open_(path: str):
        page = context.new_page()
        page.set_default_timeout(90_000)  # a busy machine
        page.on("console", note)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(server.url + path)
        page.wait_for_selector("h1")
        return page

    yield open_
    context.close()
    assert said == []


def downloaded(page, button: str) -> str:
    """What the button gives; its file is made when it is clicked, so no redraw can remove it."""
    with page.expect_download() as given:
        page.get_by_role("button", name=button).click()
    return given.value.path().read_text()


def test_a_slider_redraws_and_its_value_is_in_the_link(tab):
    page = tab("/batch")
    settled(page, 2)
    unfold(page, "Settings")
    before = drawn(page, "Budget of each prompt")
    slide(page, "tau, saturation scale (rollouts)", 12)
    eventually(lambda: drawn(page, "Budget of each prompt") not in ([], before))
    eventually(lambda: "batch_tau=14" in page.url)
    after = steady(page, "Budget of each prompt")
    again = tab(page.url.removeprefix(page.url.split("/batch?")[0]))
    settled(again, 2)
    eventually(lambda: drawn(again, "Budget of each prompt") == after)
    page.reload()
    settled(page, 2)
    eventually(lambda: drawn(page, "Budget of each prompt") == after)


def test_two_tabs_do_not_disturb_each_other(tab):
    one, other = tab("/batch?batch_tau=30.0"), tab("/batch")
    settled(one, 2)
    settled(other, 2)
    unfold(other, "Settings")
    before = drawn(one, "Budget of each prompt")
    slide(other, "kappa = alpha + beta", 10)
    eventually(lambda: "batch_kappa" in other.url)
    assert drawn(one, "Budget of each prompt") == before


def test_a_file_of_pass_rates_is_uploaded(tab, tmp_path):
    page = tab("/batch?source=Measured+pass+rates&rates_file=Upload+a+file&numbers=true")
    unfold(page, "Settings")
    file = tmp_path / "rates.csv"
    file.write_text("pass_rate\n" + "\n".join(str(k / 20) for k in range(21)) + "\n")
    page.locator("input[type=file]").set_input_files(str(file))
    page.get_by_text("All 21 prompts of the file").wait_for()
    settled(page, 2)
    eventually(lambda: sum(drawn(page, "Budget of each prompt")[0]) == 21 * 16)
    rows = [x.split(",") for x in downloaded(page, "Download budgets (CSV)").splitlines()]
    assert rows[0][:2] == ["pass_rate", "attempts"], rows[0]
    assert [float(row[0]) for row in rows[1:]] == [k / 20 for k in range(21)]
    bad = tmp_path / "bad.csv"
    bad.write_text("pass_rate\n0.5\n7\n")
    page.locator("input[type=file]").set_input_files(str(bad))
    page.get_by_text("bad.csv: ").first.wait_for()
    assert "[0, 1]" in page.get_by_role("alert").inner_text()


def test_an_upload_may_be_as_large_as_its_widget_says(tab, tmp_path):
    page = tab("/simulation?world=measured&measured=Upload&settings=true")
    file = tmp_path / "large.npz"
    file.write_bytes(b"no gradients" * (25 * 2**20 // 12))
    page.locator("input[type=file]").set_input_files(str(file))
    page.get_by_role("alert").filter(has_text="large.npz").wait_for()
    assert "not a whole file of measured gradients" in page.get_by_role("alert").inner_text()


def test_links_carry_the_case_to_other_pages(tab):
    page = tab("/?case_M=64&case_B=640")
    page.get_by_role("link", name="What would it do to one batch?").click()
    settled(page, 2)
    assert "source=Measured+pass+rates" in page.url
    unfold(page, "Settings")
    assert page.get_by_label("Total budget (rollouts)").input_value() == "640"
    page.get_by_text("64 of 4,096 prompts, drawn at random with the seed").wait_for()
    page = tab("/?case_have=Measured+gradients")
    size = page.get_by_label("Prompts a step, M")
    size.fill("32")
    size.press("Enter")
    page.wait_for_url(re.compile("case_M_[0-9a-f]+=32"))
    page.wait_for_timeout(1500)  # the address is new before the page is
    settled(page, 0)
    page.get_by_role("link", name="What would it do to a run?").click()
    page.wait_for_url(re.compile("simulation.*batch_[0-9a-f]+=32"))
    unfold(page, "Settings")
    assert page.get_by_label("Prompts per batch, M").input_value() == "32"
    assert "world=measured" in page.url


SMALL = "/simulation?num=512&batch=32&budget=256&seeds=2&sim_allocators=uniform,coba"


def small(steps: int) -> str:
    separate = SMALL.replace("uniform,coba", "uniform&sim_allocators=coba")
    return f"{separate}&steps={steps}"


def test_a_simulation_runs_to_its_end(tab):
    page = tab(small(30))
    page.get_by_role("button", name="Start").click()
    page.get_by_text("finished: 240 of 240 steps").wait_for(timeout=90_000)
    page.get_by_text("Loss weighted per rollout").first.wait_for()
    settled(page, 8)
    eventually(lambda: len(drawn(page, "Held-out accuracy, weighted per prompt")) >= 2)
    budgets_of = page.get_by_label("Show budgets of")
    budgets_of.click()
    budgets_of.fill("uniform")
    budgets_of.press("Enter")
    page.wait_for_url(re.compile("heat_of=uniform"))
    page.reload()  # the link leads back to the same simulation
    page.get_by_text("finished: 240 of 240 steps").wait_for()
    settled(page, 8)
    assert page.get_by_label("Show budgets of").input_value() == "uniform"


def test_a_simulation_is_stopped_half_way(tab):
    page = tab(small(1000) + "&seeds=16")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("button", name="Stop", exact=True).wait_for()
    page.get_by_text(re.compile(r"running: [1-9]")).wait_for(timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_text(re.compile("stopped: ")).wait_for()
    assert not re.search(r"stopped: (\S+) of \1 ", page.inner_text("body"))


def test_a_run_that_is_being_written_grows(tab, server):
    records = list(steps_of("coba", 5, 60))
    with RunWriter(server.runs / "growing", header("coba", 5)) as writer:
        for record in records[:21]:
            writer.append(record)
        page = tab("/runs?open=growing")
        settled(page, 3)
        before = len(steady(page, "Held-out accuracy")[0])
        assert before == 3
        for record in records[21:]:
            writer.append(record)
    eventually(lambda: len(drawn(page, "Held-out accuracy")[0]) == 7)


COVERED = """() => [...document.querySelectorAll('.js-plotly-plot')].flatMap(chart => {
  const boxes = mark => [...chart.querySelectorAll(mark)].map(x => x.getBoundingClientRect());
  const [legends, titles] = [boxes('.legend'), boxes('.xtitle, .ytitle, .xtick, .gtitle')];
  return legends.flatMap(a => titles.filter(b => a.width && b.width && a.left < b.right
    && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map(b => chart.ariaLabel));
})"""


@pytest.mark.parametrize("width", [1280, 390])
def test_legends_of_six_runs_cover_no_axis(browser, server, width):
    context = browser.new_context(viewport={"width": width, "height": 900})
    page = context.new_page()
    page.goto(server.url + "/runs?" + "&".join(f"open=six%2F{seed}" for seed in range(6)))
    settled(page, 3)
    page.wait_for_timeout(2500)  # a redraw comes every two seconds
    settled(page, 3)
    assert page.locator(".legend").count() >= 3
    assert page.evaluate(COVERED) == []
    context.close()


QUESTIONS = {
    "/": "Would uneven budgets help my run?",
    "/batch": "What would it do to one batch?",
    "/simulation": "What would it do to a run?",
    "/sensitivity": "What does it depend on?",
    "/runs": "My runs",
    "/method": "How does it work?",
}


TITLE_IN_FRONT = """() => {
  const box = document.querySelector('h1').getBoundingClientRect();
  const hit = document.elementFromPoint(box.x + 5, box.y + box.height / 2);
  return hit !== null && hit.closest('h1') !== null;
}"""


@pytest.mark.parametrize("path", QUESTIONS)
def test_a_page_asks_its_question_in_title_and_tab_with_nothing_in_front(tab, path):
    """And without a message of failure in the console: ``tab`` sees to that."""
    page = tab(path)
    question = QUESTIONS[path]
    assert page.locator("h1").inner_text() == question
    page.wait_for_function("text => document.title.startsWith(text)", arg=question)
    assert page.get_by_text("agents").count() == 0
    page.wait_for_function(TITLE_IN_FRONT)  # the page may still move while it is drawn


@pytest.mark.parametrize("path", QUESTIONS)
def test_the_code_of_charts_is_loaded_early_where_a_page_begins_with_them(browser, server, path):
    """It is most of what a first load fetches; elsewhere it waits for the first chart."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url + path)
    page.wait_for_selector("h1")
    page.wait_for_timeout(3000)  # a chart that comes is there by then
    settled(page, 0)
    charts = page.locator(".js-plotly-plot").count()
    early = page.evaluate("document.querySelectorAll('head > link[href*=PlotlyChart]').length")
    assert bool(early) == bool(charts)
    assert any("PlotlyChart" in url for url in asked) == bool(charts)
    context.close()


CONTRAST = """() => {
  const light = colour => {
    const [r, g, b] = colour.match(/[0-9.]+/g).slice(0, 3).map(level => level / 255)
      .map(level => level <= 0.04045 ? level / 12.92 : ((level + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
  };
  const back = light(getComputedStyle(document.querySelector('.stApp')).backgroundColor);
  return Math.min(...[...document.querySelectorAll('.main-svg .infolayer text, .xtick text')]
    .filter(text => text.textContent)
    .map(text => light(getComputedStyle(text).fill))
    .map(text => Math.max(text, back) / Math.min(text, back)));
}"""
STOPS = """() => [...document.querySelectorAll(
  '[data-testid=stPlotlyChart] a[href], [data-testid=stPlotlyChart] button, '
  + '[data-testid=stPlotlyChart] [tabindex]')]
  .filter(found => found.tabIndex >= 0).length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_charts_can_be_read_have_names_and_few_tab_stops(browser, server, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(server.url + "/batch")
    settled(page, 2)
    eventually(lambda: page.evaluate(CONTRAST) > 4.5)  # colours fade in with the theme
    for name in ("Who gets the budget", "Budget of each prompt"):
        assert page.get_by_label(name).count() > 0
    assert page.evaluate(STOPS) <= 2 * 3
    context.close()


def test_the_address_holds_a_recorded_step_and_what_is_unfolded(tab):
    page = tab(
        "/batch?source=A+step+of+a+recorded+run&recorded=mine%2Funiform&step=17&why=true&gains=knapsack"
    )
    settled(page, 4)
    unfold(page, "Settings")
    page.get_by_text("prompts of step 17").wait_for()
    page.wait_for_url(re.compile("settings=true"))
    page.reload()
    settled(page, 4)
    page.get_by_text("prompts of step 17").wait_for()  # still unfolded
    assert drawn(page, "Marginal gains, knapsack")
    for part in ("recorded=", "step=17", "gains=knapsack", "why=true"):
        assert part in page.url


def test_a_click_in_the_table_opens_a_run(tab):
    page = tab("/runs?filter=coba")
    table = page.locator("[data-testid=stDataFrame]").first
    table.wait_for()
    page.wait_for_timeout(1000)  # its canvas says nothing of when it is drawn
    table.click(position={"x": 12, "y": 35 + 17})
    eventually(lambda: drawn(page, "Held-out accuracy"))
    assert "open=" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", QUESTIONS)
def test_pages_are_wide_enough_on_a_narrow_screen(browser, server, path, scheme):
    context = browser.new_context(viewport={"width": 390, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    said: list[str] = []
    page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
    page.goto(server.url + path)
    page.wait_for_selector("h1")
    page.wait_for_timeout(1500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.wait_for_function(TITLE_IN_FRONT)
    context.close()
    assert said == []


def test_the_app_listens_where_it_was_told(server):
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex(("127.0.0.1", server.port)) == 0
    hosts = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None)}
    for host in hosts - {"127.0.0.1", "::1"}:
        if ":" not in host and not host.startswith("127."):
            with socket.socket() as probe:
                probe.settimeout(2)
                assert probe.connect_ex((host, server.port)) != 0
