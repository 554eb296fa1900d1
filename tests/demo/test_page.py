"""The demo as a server of its own, used by a browser and by many clients at once."""

import concurrent.futures
import io
import json
import socket
import subprocess
import sys
import time
import urllib.request

import numpy as np
import psutil
import pytest
from PIL import Image

from sagan_tf import load_run
from tests.processes import REPOSITORY

pytestmark = pytest.mark.slow
gradio_client = pytest.importorskip("gradio_client")


@pytest.fixture(scope="module")
def server(workdir, tmp_path_factory):
    """The server's process and address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    command = [sys.executable, "-m", "sagan_tf", "demo"]
    command += [f"--workdir={workdir}", f"--port={port}"]
    url = f"http://127.0.0.1:{port}/"
    log = tmp_path_factory.mktemp("demo") / "log"
    # To a file: a pipe that nobody reads would fill up, and stop the server.
    with log.open("w") as file:
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=file, stderr=file)
    deadline = time.monotonic() + 120
    while True:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).read()
            break
        except OSError:
            time.sleep(0.5)
    yield process, url
    process.terminate()
    process.wait()


def fetch(url):
    return np.asarray(Image.open(io.BytesIO(urllib.request.urlopen(url).read())))


def test_the_api_has_the_functions_of_the_documentation(server):
    _, url = server
    client = gradio_client.Client(url, verbose=False, download_files=False)
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/generate", "/enlarge", "/attend", "/between"}
    maps = client.predict(
        seed=3, truncation=1.0, label="random", image=5, x=12, y=9, api_name="/attend"
    )
    assert maps[0]["caption"].startswith("Generator 8×8. Brightest: ")
    image = client.predict(3, 1.0, "random", 5, api_name="/enlarge")
    ends = [
        client.predict(3, 1.0, "random", 5, 6, position, api_name="/between")
        for position in (0, 100)
    ]
    first, second = (fetch(end["url"]).astype(int) for end in ends)
    np.testing.assert_allclose(first, fetch(image["url"]), atol=1)
    assert np.abs(first - second).max() > 10


@pytest.mark.parametrize("seed", [1.5, True, "7", None, -1, 2**31])
def test_what_is_no_seed_is_refused_with_the_reason(server, seed):
    _, url = server
    client = gradio_client.Client(url, verbose=False, download_files=False)
    with pytest.raises(gradio_client.exceptions.AppError, match="The seed must be"):
        client.predict(seed, 1.0, "random", 3, api_name="/generate")


def test_concurrent_calls_get_their_own_images(server, workdir):
    _, url = server
    client = gradio_client.Client(url, verbose=False, download_files=False)
    run = load_run(workdir)
    expected = {seed: run.generate(3, seed=seed)[..., 0] for seed in range(10)}

    def call(number):
        grid = client.predict(number % 10, 1.0, "random", 3, api_name="/generate")
        return number % 10, [fetch(each["image"]["url"]) for each in grid]

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        results = list(pool.map(call, range(200)))
    for seed, images in results:
        np.testing.assert_array_equal(images, expected[seed])


@pytest.mark.exhaustive
def test_malformed_calls_get_errors_and_the_server_lives(server):
    process, url = server
    client = gradio_client.Client(url, verbose=False, download_files=False)
    wrong = [
        (-1, 1.0, "random", 3),
        (0, 9.0, "random", 3),
        (0, 1.0, "no such class", 3),
        (0, 1.0, "random", 10**9),
        (None, None, None, None),
        ("x" * 1000, 1.0, "random", 3),
        (0, 1.0, {"a": [1]}, 3),
        (0, float("nan"), "random", 3),
    ]

    def post(arguments):
        body = json.dumps({"data": arguments}).encode()
        request = urllib.request.Request(f"{url}gradio_api/call/generate", body)
        request.add_header("Content-Type", "application/json")
        return json.loads(urllib.request.urlopen(request).read())["event_id"]

    def call(number):
        """Calls by plain HTTP, where each call is a session of its own."""
        event = post(wrong[number % len(wrong)])
        answer = urllib.request.urlopen(f"{url}gradio_api/call/generate/{event}")
        assert b"event: error" in answer.read()

    memory = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(4):
            list(pool.map(call, range(500)))
            memory.append(psutil.Process(process.pid).memory_info().rss / 2**20)
    assert memory[-1] - memory[0] < 50, memory
    post([])  # nobody reads the answer
    grid = client.predict(0, 1.0, "random", 2, api_name="/generate")
    assert len(grid) == 2 and process.poll() is None


@pytest.fixture
def wait(browser):
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser, 30).until


@pytest.mark.parametrize("width", [390, 1200])
def test_nothing_is_cut_off(server, browser, wait, width):
    _, url = server
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
    )
    browser.get(url)
    wait(lambda _: browser.execute_script("return document.querySelector('#maps img')"))
    cut_off = browser.execute_script(
        """
        const cut_off = [];
        for (const caption of document.querySelectorAll("#maps .caption-label")) {
          caption.scrollIntoView({block: "center"});
          const box = caption.getBoundingClientRect();
          const seen = document.elementFromPoint(
              (box.left + box.right) / 2, (box.top + box.bottom) / 2);
          if (!caption.contains(seen)) cut_off.push(caption.textContent);
        }
        const page = document.documentElement;
        return [cut_off, page.scrollWidth - page.clientWidth];
        """
    )
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert cut_off == [[], 0]


def test_a_click_on_a_pixel_changes_the_maps(server, browser, wait):
    from selenium.webdriver.common.action_chains import ActionChains

    _, url = server
    browser.get_log("performance")
    browser.get(url)

    def sources(selector):
        script = "return [...document.querySelectorAll(arguments[0])].map(i => i.src)"
        return browser.execute_script(script, f"{selector} img")

    wait(lambda _: len(sources(".grid")) == 16 and sources("#large"))
    before = wait(lambda _: sources("#maps"))
    assert len(before) == 1
    image = browser.find_element("css selector", "#large img")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", image)
    corner = -image.size["width"] / 2 + 5, -image.size["height"] / 2 + 5
    ActionChains(browser).move_to_element_with_offset(image, *corner).click().perform()
    after = wait(lambda _: sources("#maps") != before and sources("#maps"))
    assert set(after).isdisjoint(before)
    shown = sources("#large")
    second = browser.find_elements("css selector", ".grid img")[1]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", second)
    second.click()
    wait(lambda _: sources("#large") != shown)
    urls = [
        entry["message"]["params"]["request"]["url"]
        for entry in map(
            json.loads, (e["message"] for e in browser.get_log("performance"))
        )
        if entry["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert len(urls) > 10
    assert all(u.startswith((url, "data:", "blob:")) for u in urls), urls


def test_images_and_pixels_are_chosen_by_keyboard(server, browser, wait):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    _, url = server
    browser.get(url)

    def sources(selector):
        script = "return [...document.querySelectorAll(arguments[0])].map(i => i.src)"
        return browser.execute_script(script, f"{selector} img")

    def press_until(key, selector):
        """Presses a key until an element has the focus."""
        for _ in range(60):
            ActionChains(browser).send_keys(key).perform()
            if browser.execute_script(
                "return document.activeElement.matches(arguments[0])", selector
            ):
                return
        pytest.fail(f"{key!r} does not reach {selector}")

    wait(lambda _: len(sources(".grid")) == 16 and sources("#large"))
    image, maps = sources("#large"), wait(lambda _: sources("#maps"))
    press_until(Keys.TAB, ".grid button")
    ActionChains(browser).send_keys(Keys.TAB, Keys.TAB, Keys.ENTER).perform()
    wait(lambda _: sources("#large") not in ([], image))
    maps = wait(lambda _: sources("#maps") != maps and sources("#maps"))
    for name in ("Image", "Pixel: column"):
        shown = sources("#maps")
        press_until(Keys.TAB, f"input[type=range][aria-label*='{name}']")
        ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
        wait(lambda _, shown=shown: sources("#maps") not in ([], shown))


def test_images_can_be_downloaded(server, browser, wait, workdir):
    _, url = server
    browser.get(url)
    link = wait(lambda _: browser.find_elements("css selector", "#large a[download]"))
    image = fetch(link[0].get_attribute("href"))
    expected = load_run(workdir).generate(16)[0]
    expected = expected.repeat(16, axis=0).repeat(16, axis=1).repeat(3, axis=2)
    np.testing.assert_array_equal(image, expected)  # enlarged to 512 pixels
