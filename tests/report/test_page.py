"""The report in Chromium: what it shows, and that it needs no network."""

import json
import re
import shutil

import numpy as np
import pytest

from sagan_tf.errors import UserError
from sagan_tf.report.history import read_history
from sagan_tf.report.page import _pack_grids, write_report
from tests.report.runs import write_run

pytest.importorskip("plotly")


SETTINGS = {"width": 8, "ema_decay": 0.5}


@pytest.fixture(scope="module")
def page(tmp_path_factory, workdir):
    """A report of two seeds with a name to escape, and of a run with checkpoints."""
    folder = tmp_path_factory.mktemp("report")
    runs = [
        write_run(folder / "<i>a_seed0", scores=(300.0, 1.0), seed=0, **SETTINGS),
        write_run(folder / "<i>a_seed1", 2.0, 4, (300.0, 19.0), 72, seed=1, **SETTINGS),
    ]
    own = folder / "trained"
    shutil.copytree(workdir, own)
    evaluation = own / "evaluation" / "000012.json"
    evaluation.parent.mkdir(exist_ok=True)
    record = {
        "scores": {"kernel_classifier": 0.5},
        "protocol": {"num_fake": 7, "fake": "raw generator, truncation 1"},
        "yardsticks": {"held_out": {"scores": {"kernel_classifier": 0.25}}},
    }
    evaluation.write_text(json.dumps([record]))
    return write_report([*runs, own], folder / "report.html")


@pytest.fixture(scope="module")
def driver(browser, page):
    browser.get_log("performance")
    browser.get(page.as_uri())
    return browser


def text(driver, selector):
    return driver.execute_script(
        "return document.querySelector(arguments[0]).innerText", selector
    )


def test_the_page_makes_no_network_request_and_no_errors(driver, page):
    entries = [json.loads(entry["message"]) for entry in driver.get_log("performance")]
    urls = [
        entry["message"]["params"]["request"]["url"]
        for entry in entries
        if entry["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in urls
    assert {url.split(":")[0] for url in urls} <= {"file", "data", "blob"}
    assert driver.get_log("browser") == []


def test_tables_show_runs_scores_and_what_differs(driver):
    # Means of 144 and 288 seconds, and of twice as long with grids and evaluations.
    assert "<i>a (2 seeds)\t0, 1\t200\t3.6 min\t7.2 min" in text(driver, "table")
    body = text(driver, "body")
    assert re.search(r"width\s+8\s+8", body) is None  # equal settings do not differ
    assert re.search(r"ema_decay\s+0.5\s+0.99", body)
    # The scores 1 and 19, which are 18 apart.
    assert re.search(r"<i>a \(2 seeds\)\s+100\s+10 ± 13", body)
    assert re.search(r"9 held-out real images\s+2\s", body)
    assert "Generated images: 7. By: raw generator, truncation 1" in body
    assert re.search(r"trained\s+12\s+0.5\s+held-out real images\s+0.25", body)
    assert "were trained on different images" in body
    assert "Without scores" not in body
    assert "<b>P</b>" in body
    settings = driver.execute_script(
        "return document.querySelector('#settings + details').textContent"
    )
    assert re.search(r"ema_decay\s*0.5\s", settings)


def test_curves_can_be_drawn_over_steps_or_hours(driver):
    def xs(title):
        return driver.execute_script(
            """const index = charts.findIndex((chart) => chart.title === arguments[0]);
            return document.getElementById(`chart-${index}`).data.at(0).x""",
            title,
        )

    # The band of two seeds: there and back. 72 and 144 seconds are 0.03 hours.
    assert xs("fid") == [0, 100, 100, 0]
    driver.execute_script("document.querySelector('input[value=hours]').click()")
    assert xs("fid") == [0, 0.03, 0.03, 0]
    driver.execute_script("document.querySelector('input[value=steps]').click()")
    assert driver.execute_script("return document.querySelectorAll('.plot svg').length")


def test_scores_far_apart_are_drawn_on_a_logarithmic_axis(driver):
    data, layout = driver.execute_script(
        """const index = charts.findIndex((chart) => chart.title === "fid");
        const { data, layout } = document.getElementById(`chart-${index}`);
        return [data, layout]"""
    )
    assert layout["yaxis"]["type"] == "log"
    assert layout["shapes"][0]["y0"] == 2  # held-out real images
    band, line = data
    assert line["y"] == [300, 10]
    # The standard deviation is larger than the mean: a tenth of the mean stands for it.
    np.testing.assert_allclose(band["y"], [300, 10 + 18 / 2**0.5, 1, 300], rtol=1e-4)


def test_of_many_grids_24_are_shown(tmp_path):
    history = read_history(write_run(tmp_path / "a"))
    grids = dict.fromkeys(range(100), history.grids[100])
    packed = _pack_grids(history._replace(grids=grids))["grids"]
    steps = [grid["step"] for grid in packed]
    assert len(steps) == 24 and (steps[0], steps[-1]) == (0, 99)
    assert set(np.diff(steps)) == {4, 5}


def test_the_slider_shows_the_grids_of_all_runs(driver):
    move = """
        const slider = document.getElementById("time");
        slider.value = arguments[0];
        slider.dispatchEvent(new Event("input"));
        const captions = document.querySelectorAll("#when, #grids figcaption");
        return [...captions].map((caption) => caption.textContent);
        """
    assert driver.execute_script(move, 0)[0] == "Step 6"
    when, first, _, third = driver.execute_script(move, 3)
    assert when == "Step 200"
    assert first.startswith("<i>a_seed0, step 200, 2.4 min")
    assert third.startswith("trained, step 12")


def test_attention_is_that_of_the_last_checkpoint(driver):
    sizes = driver.execute_script(
        "return [...document.querySelectorAll('.sheet img')].map((i) => i.naturalWidth)"
    )
    assert len(sizes) == 1 and sizes[0] > 300  # the trained run's generator
    assert "has no checkpoint yet" in text(driver, "body")


@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_fits_its_window(driver, page, width):
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    driver.get(page.as_uri())
    wide = driver.execute_script(
        """return [...document.querySelectorAll("body *")]
          .filter((element) => element.getBoundingClientRect().right > arguments[0] + 1
            && !element.parentElement.closest(".scroll, nav, svg"))
          .map((element) => element.outerHTML.slice(0, 80))""",
        width,
    )
    assert wide == []


def test_runs_without_scores_are_named(tmp_path):
    runs = [
        write_run(tmp_path / "a"),
        write_run(tmp_path / "b", scores=(), width=8),
    ]
    page = write_report(runs, tmp_path / "report.html").read_text()
    assert "Without scores: b." in page and "trained on different images" not in page


def test_another_suffix_is_refused(tmp_path):
    with pytest.raises(UserError, match="--output takes FILE.html. Received: x.pdf"):
        write_report([write_run(tmp_path / "a")], "x.pdf")
