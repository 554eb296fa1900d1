"""The page in Chromium: clicks, keys, and the pixels that it draws."""

import json

import numpy as np
import pytest
from scipy.special import softmax

from sagan_tf.visualization.attention import AttentionMaps
from sagan_tf.visualization.attention_page import write_attention_page

SIZE = 32
GRAYS = (100, 160)  # the two images
CLASS_NAME = "<!--<script> & dog"  # must not change how the page is parsed


def one_key(queries, keys, shift, effect):
    """Maps in which query n attends to key n + shift alone."""
    n, m = np.prod(queries), np.prod(keys)
    key = np.eye(m, dtype="float32")
    query = 50 * key[(np.arange(n) * m // n + shift) % m]
    return make_maps(queries, keys, query[None], key[None], np.array([effect]))


def make_maps(queries, keys, query, key, effect, normalize_over="keys"):
    axis = -1 if normalize_over == "keys" else -2
    scores = softmax(query @ key.swapaxes(-1, -2), axis)
    return AttentionMaps("a", queries, keys, scores, query, key, normalize_over, effect)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    images = np.stack([np.full((SIZE, SIZE, 3), gray, np.uint8) for gray in GRAYS])
    path = tmp_path_factory.mktemp("page") / "attention.html"
    full = one_key((8, 8), (8, 8), 3, 0.125)
    pooled = one_key((4, 4), (2, 2), 1, 0.25)
    generated = [("Generator 8×8", full), ("Discriminator 4×4", pooled)]
    real = [("Discriminator 4×4", one_key((4, 4), (2, 2), 2, 0.5))]
    write_attention_page(
        path,
        "a </script> title",
        [
            (images[:1], ["Generated 1"], generated),
            (images[1:], ["Real 1, " + CLASS_NAME], real),
        ],
    )
    return path


@pytest.fixture
def driver(browser, page):
    """The browser, with the page freshly loaded."""
    browser.get(page.as_uri())
    wait(browser, "vectors !== null")
    return browser


def wait(driver, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, 10).until(lambda d: d.execute_script(f"return {condition}"))


def point(driver, x, y):
    """Returns the action of pointing at the middle of a pixel of the image."""
    from selenium.webdriver.common.action_chains import ActionChains

    canvas = driver.find_element("id", "image")
    width, height = canvas.size["width"], canvas.size["height"]
    return ActionChains(driver).move_to_element_with_offset(
        canvas,
        round((x + 0.5) * width / SIZE - width / 2),
        round((y + 0.5) * height / SIZE - height / 2),
    )


def click(driver, x, y):
    point(driver, x, y).click().perform()


def read_map(driver):
    """Returns the drawn map `[32, 32, 3]`, sampled at the middle of each pixel."""
    drawn = driver.execute_script(
        """const c = document.getElementById("map");
        const zoom = c.width / arguments[0], context = c.getContext("2d");
        const all = context.getImageData(0, 0, c.width, c.height).data;
        const values = [];
        for (let y = 0; y < arguments[0]; y++) for (let x = 0; x < arguments[0]; x++) {
          const at = 4 * (Math.floor((y + .5) * zoom) * c.width
                          + Math.floor((x + .5) * zoom));
          values.push(all[at], all[at + 1], all[at + 2]);
        }
        return values;""",
        SIZE,
    )
    return np.array(drawn).reshape(SIZE, SIZE, 3)


def assert_lit(driver, rows, columns, gray=GRAYS[0]):
    """Checks that exactly these pixels are lit in amber, and all others dim gray."""
    drawn = read_map(driver)
    lit = np.zeros((SIZE, SIZE), bool)
    lit[rows, columns] = True
    amber = 0.45 * gray + 0.55 * np.array([0xFF, 0xB0, 0])
    np.testing.assert_allclose(
        drawn[lit], np.broadcast_to(amber, (lit.sum(), 3)), atol=2
    )
    np.testing.assert_allclose(drawn[~lit], 0.35 * gray, atol=2)


def effects(driver):
    return driver.execute_script(
        """return [...document.querySelectorAll("#effects tr")].map(
            row => [...row.children].map(cell => cell.textContent))"""
    )


def status(driver):
    return driver.find_element("id", "status").text


def test_a_click_shows_the_attention_map_of_a_query(driver):
    click(driver, 9, 22)  # row 5, column 2 of 8x8, key 45: row 5, column 5
    assert_lit(driver, slice(20, 24), slice(20, 24))
    assert status(driver).startswith("Row 6, column 3 of 8×8 attends most to row 6, c")
    assert "column 6 of 8×8 positions" in status(driver)
    click(driver, 31, 31)  # the last query attends to key 66 - 64
    assert_lit(driver, slice(0, 4), slice(8, 12))
    scale = driver.find_element("id", "scale").text
    assert scale == "Brightest: 100% of its attention, 64.0 times a uniform score"


def test_pointing_shows_a_query_until_the_pointer_leaves(driver):
    from selenium.webdriver.common.action_chains import ActionChains

    click(driver, 9, 22)
    kept = status(driver)
    point(driver, 31, 31).perform()
    assert status(driver).startswith("Row 8, column 8 of 8×8")
    assert_lit(driver, slice(0, 4), slice(8, 12))
    ActionChains(driver).move_to_element(driver.find_element("id", "status")).perform()
    assert status(driver) == kept
    assert_lit(driver, slice(20, 24), slice(20, 24))


def test_a_drag_shows_the_query_under_the_pointer(driver):
    point(driver, 1, 1).perform()
    point(driver, 1, 1).click_and_hold().perform()
    point(driver, 9, 22).perform()
    assert status(driver).startswith("Row 6, column 3 of 8×8")
    point(driver, 9, 22).release().perform()
    assert status(driver).startswith("Row 6, column 3 of 8×8")


def test_pooled_keys_light_the_square_they_cover(driver):
    driver.find_element("css selector", "#layers label:nth-of-type(2)").click()
    wait(driver, "vectors !== null && layer().queries[0] === 4")
    click(driver, 1, 1)  # key 1 of 2x2: the upper right quarter
    assert_lit(driver, slice(0, 16), slice(16, 32))
    assert "of 2×2 pooled positions" in status(driver)


def test_keys_change_query_image_and_layer(driver):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    def press(*keys):
        ActionChains(driver).send_keys(*keys).perform()

    click(driver, 9, 22)
    ActionChains(driver).move_to_element(driver.find_element("id", "map")).perform()
    press(Keys.ARROW_RIGHT, Keys.ARROW_UP, Keys.ARROW_UP)
    assert status(driver).startswith("Row 4, column 4 of 8×8")
    assert_lit(driver, slice(12, 16), slice(24, 28))
    press("l")
    wait(driver, "vectors !== null && layer().queries[0] === 4")
    # The same position in the coarser map.
    assert status(driver).startswith("Row 2, column 2 of 4×4")
    press("n")
    wait(driver, "vectors !== null && state.image === 1")
    assert driver.find_element("id", "caption").text == "Real 1, " + CLASS_NAME
    assert_lit(driver, slice(16, 32), slice(16, 32), GRAYS[1])
    shown = driver.execute_script(
        """return document.getElementById("image").getContext("2d")
            .getImageData(2, 2, 1, 1).data[0]"""
    )
    assert shown == GRAYS[1]
    press("p")
    wait(driver, "vectors !== null && state.image === 0")


def test_a_real_image_has_only_the_discriminators_layers(driver):
    driver.find_element("css selector", "#strip button:nth-child(2)").click()
    wait(driver, "vectors !== null && state.image === 1")
    enabled = driver.execute_script(
        "return [...document.querySelectorAll('#layers input')].map(i => !i.disabled)"
    )
    assert enabled == [False, True]
    assert effects(driver) == [["Discriminator 4×4", "50%"]]


def test_the_effects_of_the_image_are_shown(driver):
    assert effects(driver) == [["Generator 8×8", "13%"], ["Discriminator 4×4", "25%"]]


def test_the_page_fits_a_phone(driver):
    driver.set_window_size(390, 800)
    try:
        width, canvases, white = driver.execute_script(
            """step(0, 1);  // drawn at this size
            const c = document.getElementById("image");
            const context = c.getContext("2d");
            const row = context.getImageData(0, c.height * 9 / 16, c.width, 1);
            return [document.documentElement.scrollWidth - innerWidth,
                [...document.querySelectorAll("canvas")].map(c =>
                    c.getBoundingClientRect().width),
                row.data.filter((x, i) => i % 4 === 0 && x > 200).length
                    * c.clientWidth / c.width]"""
        )
    finally:
        driver.set_window_size(1000, 900)
    assert width <= 0
    assert min(canvases) > 150
    assert white == pytest.approx(6, abs=1)  # the outline: two sides of three pixels


def read_data(path):
    """Returns the text of the JSON in a page."""
    return path.read_text().partition('id="data">')[2].partition("</script>")[0]


def test_class_names_cannot_end_the_script_element(page):
    text = read_data(page)
    assert "<" not in text and "\\u003c!--\\u003cscript> & dog" in text
    assert json.loads(text)["images"][1]["caption"] == "Real 1, " + CLASS_NAME
    assert "<title>Attention: a &lt;/script&gt; title</title>" in page.read_text()


HOSTILE = {
    "comment": "<!--<script>",
    "end": "</script><script>window.hacked = 1</script>",
    "data": "{{data}}",
    "title": "{{title}}",
    "attributes": "\"'><img src=x onerror='window.hacked = 1'>&lt;",
    "escape": "\\u003cscript>\\",
    "lines": "a\u2028b\u2029c\nd",
    "surrogate": "a\udcff\ud800b",
    "control": "a\x00\x1b[2J\x7f\u202eb",
    "long": "x" * 10_000,
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
def test_the_page_survives_any_name(name, browser, tmp_path):
    """As class name in the caption, and as that of the run directory in the title."""
    path = tmp_path / "attention.html"
    maps = one_key((4, 4), (2, 2), 1, 0.25)
    images = np.full((1, SIZE, SIZE, 3), GRAYS[0], np.uint8)
    write_attention_page(
        path, f"{name} after", [(images, [f"Real 1, {name}"], [("layer", maps)])]
    )
    browser.get(path.as_uri())
    wait(browser, "vectors !== null")
    shown = {
        "surrogate": r"a\udcff\ud800b",
        "control": r"a\x00\x1b[2J\x7f\u202eb",
        "lines": r"a\u2028b\u2029c\nd",
    }.get(next(key for key, value in HOSTILE.items() if value == name), name)
    caption = browser.execute_script(
        "return document.getElementById('caption').textContent"
    )
    hint = browser.execute_script("return document.querySelector('p').textContent")
    if len(name) < 1000:
        assert caption == f"Real 1, {shown}"
        assert hint.startswith(f"{shown} after. Point at")
        assert browser.title == f"Attention: {shown} after"
    else:
        assert caption == f"Real 1, {shown}"[:200] + "…"
        assert len(browser.title) < 300
    assert browser.execute_script("return window.hacked") is None
    assert len(browser.find_elements("css selector", "script")) == 2
    assert browser.execute_script(
        "return document.documentElement.scrollWidth <= innerWidth"
    )
    click(browser, 1, 1)
    assert_lit(browser, slice(0, 16), slice(16, 32))


def test_sixteen_images_of_64_px_take_3_megabytes(tmp_path):
    """With the attention layers of `celeb_a`, as `sagan-tf attend` shows them."""
    random = np.random.default_rng(0)
    generator = [
        (f"Generator {size}×{size}", make_random_maps(random, 16, size, channels))
        for size, channels in ((16, 128 // 8), (32, 64 // 8))
    ]
    discriminator = [
        (f"Discriminator {size}×{size}", make_random_maps(random, 16, size, channels))
        for size, channels in ((8, 256 // 8), (4, 512 // 8))
    ]
    images = random.integers(0, 256, (16, 64, 64, 3), np.uint8)
    path = tmp_path / "page.html"
    captions = [f"Generated {number}" for number in range(16)]
    layers = generator + discriminator
    write_attention_page(path, "title", [(images, captions, layers)])
    assert path.stat().st_size < 3e6


def make_random_maps(random, batch, size, channels):
    query, key = random.standard_normal((2, batch, size**2, channels), np.float32)
    return make_maps((size, size), (size, size), query, key, np.zeros(batch))


@pytest.mark.parametrize("normalize_over", ["keys", "queries"])
def test_each_image_has_its_own_scores_and_effect(browser, tmp_path, normalize_over):
    random = np.random.default_rng(0)
    query, key = (
        3 * random.standard_normal((2, count, 5), np.float32) for count in (16, 4)
    )
    effect = np.array([0.1, 0.2])
    maps = make_maps((4, 4), (2, 2), query, key, effect, normalize_over)
    images = np.zeros((2, SIZE, SIZE, 1), np.uint8)
    path = tmp_path / "page.html"
    write_attention_page(path, "title", [(images, ["one", "two"], [("layer", maps)])])
    (layer,) = json.loads(read_data(path))["layers"]
    assert [layer["maps"][number]["effect"] for number in "01"] == [0.1, 0.2]
    browser.get(path.as_uri())
    for number in range(2):
        browser.execute_script(f"showImage({number})")
        wait(browser, f"vectors !== null && state.image === {number}")
        for index in range(16):
            scores = browser.execute_script(f"return [...computeScores({index})]")
            np.testing.assert_allclose(scores, maps.scores[number, index], rtol=1e-4)


def test_a_link_reproduces_the_view(driver, page):
    driver.find_element("css selector", "#strip button:nth-child(2)").click()
    wait(driver, "vectors !== null && state.image === 1")
    click(driver, 25, 9)  # row 1, column 3 of 4x4
    link = driver.find_element("id", "link").get_attribute("href")
    assert link == f"{page.as_uri()}#image=2&layer=2&row=2&column=4"
    shown = read_map(driver)
    driver.get("about:blank")
    driver.get(link)
    wait(driver, "vectors !== null && state.image === 1")
    assert status(driver).startswith("Row 2, column 4 of 4×4")
    np.testing.assert_array_equal(read_map(driver), shown)
    # What is no view of this page is left out.
    driver.get("about:blank")
    driver.get(f"{page.as_uri()}#image=9&layer=x&row=99&column=-1")
    wait(driver, "vectors !== null && state.image === 0")
    assert driver.get_log("browser") == []


def test_the_legend_ends_at_the_highest_score(driver):
    click(driver, 9, 22)
    assert driver.find_element("id", "legend").text.split() == ["0%", "100%"]


def test_the_page_makes_no_network_request(driver, page):
    entries = [json.loads(entry["message"]) for entry in driver.get_log("performance")]
    urls = [
        entry["message"]["params"]["request"]["url"]
        for entry in entries
        if entry["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert page.as_uri() in urls
    assert {url.split(":")[0] for url in urls} <= {"file", "data"}
    # The page's own policy would block one.
    refused = driver.execute_async_script(
        """const done = arguments[0];
        document.addEventListener("securitypolicyviolation", e =>
            done("refused: " + e.violatedDirective));
        fetch("http://127.0.0.1:9/").then(() => done("sent"), () => {});"""
    )
    assert refused == "refused: connect-src"
