"""The report: one page that loads nothing, says what was found, and escapes."""

import errno
import os
import re
from html.parser import HTMLParser

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from synthetic_runs import curve_run, write_runs

from cobasim.figures import lay_out
from cobasim.report import WEIGHTINGS, document, drawing, grid, provenance, section, write_report
from cobasim.scores import comparison_table, verdict

EVIL = '<script>alert("x")</script>'


def report(path, runs, **changes):
    rows = comparison_table(runs)
    settings = {
        "title": "A comparison",
        "settings": {"world": "logistic", "bounds": [2, 128], "pass rates": None},
        "verdicts": verdict(rows),
        "command": "cobasim compare --seeds 3",
    }
    return write_report(path, runs, rows, **(settings | changes))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    gains = {"uniform": 0.1, "coba": 0.13, "oracle-coba": 0.15}
    return write_runs(tmp_path_factory.mktemp("runs"), gains, seeds=3, steps=40)


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    return report(tmp_path_factory.mktemp("out") / "deep" / "report.html", runs).read_text()


class Tags(HTMLParser):
    """Checks that tags are closed in order and notes every tag with its attributes."""

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def tags(page):
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def test_the_page_is_well_formed_and_loads_nothing(page):
    seen = tags(page)
    assert not [a for _, a in seen if {"src", "href", "srcset", "data"} & a.keys()]
    assert not [tag for tag, _ in seen if tag in ("link", "iframe", "img", "object")]
    policy = next(a["content"] for _, a in seen if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    own = page.replace(get_plotlyjs(), "")
    assert page.count(get_plotlyjs()) == 1
    assert "@import" not in own
    assert "url(" not in own
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", own)


def test_the_page_says_what_was_found_and_how(page, runs):
    rows = comparison_table(runs)
    own = page.replace(get_plotlyjs(), "")
    for text in verdict(rows).values():
        assert text in own
    for row in rows:
        assert f"{100 * row.heldout.mean:.2f}" in own
    for row in rows:
        if row.heldout_difference is not None:
            assert f"{100 * row.heldout_difference.mean:+.2f}".replace("-", "−") in own
    assert WEIGHTINGS["rollout"] in own
    assert WEIGHTINGS["prompt"] in own
    assert WEIGHTINGS["token"] not in own
    assert "cobasim compare --seeds 3" in own
    assert runs[0].header.versions["numpy"] in own
    assert "[2, 128]" in own
    assert "not set" in own
    assert "do not compete" in own
    # the forest plot, and seven figures for each of two weightings
    assert own.count("Plotly.newPlot(") == 1 + 7 * 2


def test_both_weightings_stand_in_one_headline_table(page):
    table = re.search(r"<table>.*?</table>", page.replace(get_plotlyjs(), ""), re.DOTALL)[0]
    assert "weighted per rollout" in table
    assert "weighted per prompt" in table
    assert table.count("<tr") == 2 + 3


def test_texts_from_outside_are_escaped_everywhere(tmp_path):
    def made(word, file):
        runs = [
            curve_run(tmp_path, [(0, 0.3), (10, 0.4)], name, seed, weighting=word)
            for name in ("uniform", word)
            for seed in range(2)
        ]
        runs[0].header.versions[word] = word
        return report(
            tmp_path / file,
            runs,
            title=word,
            settings={word: [word]},
            command=word,
            verdicts={word: word},
        ).read_text()

    evil, plain = made(EVIL, "evil.html"), made("plain", "plain.html")
    assert [tag for tag, _ in tags(evil)] == [tag for tag, _ in tags(plain)]
    own = evil.replace(get_plotlyjs(), "")
    assert "<script>alert" not in own
    assert own.count("&lt;script&gt;alert") >= 6


def test_parts_of_a_page_take_html_and_give_plain_text():
    table = grid(["<i>name</i>", "value"], [["<b>a</b>", "1"]], groups="<tr></tr>")
    settings = provenance("run <x>", {"a & b": None}, {"numpy": "2"})
    body = "<p>before</p>" + section("<em>head</em>", "caption", [("", "<div></div>")]) + table
    page = document("A <title>", body + settings)  # a str that escaped itself would show its tags
    tags(page)
    for html in ("<em>head</em>", "<i>name</i>", '<th scope="row"><b>a</b></th>', "<td>1</td>"):
        assert html in page
    for text in ("A &lt;title&gt;", "run &lt;x&gt;", "<dt>a &amp; b</dt><dd>not set</dd>"):
        assert text in page
    assert "<p>before</p>" in page


def test_drawing_leaves_the_figure_as_it_is():
    figure = lay_out(go.Figure(go.Scatter(y=[1, 2])), "Title")
    before = figure.to_dict()
    assert "<h2>Title</h2>" in drawing(figure)
    assert figure.to_dict() == before


def test_figures_without_data_are_left_out(tmp_path):
    runs = [curve_run(tmp_path, [(0, 0.3), (10, 0.4)], "uniform", seed) for seed in range(2)]
    text = report(tmp_path / "report.html", runs).read_text().replace(get_plotlyjs(), "")
    assert text.count("Plotly.newPlot(") == 1  # accuracy; nothing else was measured
    assert "Alpha over time" not in text
    tags(text)


def test_nothing_to_report_is_an_error_and_writes_nothing(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        write_report(tmp_path / "r.html", [], [], title="", settings={}, verdicts={}, command="")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_keeps_the_old_report(tmp_path, runs, monkeypatch):
    file = tmp_path / "report.html"
    file.write_text("old")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match=r"report\.html"):
        report(file, runs)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]
