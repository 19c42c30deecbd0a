"""The demo page, served on this machine and opened in a real headless browser."""

import argparse
import json
import shutil
import socket
import urllib.error
import urllib.request
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

pytest.importorskip("gradio", reason="the extra `demo` is not installed")

from app import pick_host
from effiseg.answers import RULES
from effiseg.commands import demo
from effiseg.demo_guard import MAX_UPLOAD
from effiseg.demo_page import WORDS, build_page, read_upload, serve
from effiseg.hub import SHIPPED
from effiseg.predictors import Predictor, open_predictor
from effiseg.synthetic import draw_frame

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
SENT = "Network.requestWillBeSent"
WAIT = 60  # seconds; a training may run beside


def draw_image(seed):
    return draw_frame(np.random.default_rng([7, seed])).image


class Served(NamedTuple):
    address: str
    hosts: set
    runs: list


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address of the page with the baseline in both columns, the hosts that its server looked up,
    and the numbers of images that went through the network."""
    hosts, runs = set(), []
    look_up = socket.getaddrinfo

    def record(host, *arguments, **keywords):
        hosts.add(host)
        return look_up(host, *arguments, **keywords)

    baseline = open_predictor(SHIPPED / "baseline", "torch", test_flips=False)

    def run(images):
        runs.append(len(images))
        return baseline.run(images)

    eager = replace(baseline.config, threshold=0.3)
    models = {"baseline": baseline._replace(run=run), "eager": Predictor("", eager, "torch", run)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        patch.setattr(socket, "getaddrinfo", record)
        page = build_page(models, [draw_image(n) for n in range(4)])
        yield Served(serve(page, "127.0.0.1", free_port()), hosts, runs)
        page.close()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def browser(served, tmp_path_factory):
    """The page, open in a browser."""
    if not (BROWSER and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in (
        "headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1400,1000",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):  # fmt: skip
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.get(served.address)
    wait(driver, lambda d: len(examples_of(d)) == 4 and len(columns_of(d)) == 2)
    yield driver
    driver.quit()


def wait(driver, condition):
    return WebDriverWait(driver, WAIT, ignored_exceptions=(Exception,)).until(condition)


def columns_of(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".model")


def examples_of(driver):
    return driver.find_elements(By.CSS_SELECTOR, "#examples button.thumbnail-item")


def overlays_of(driver):
    """Addresses of the overlays that are shown, one a model."""
    pictures = driver.find_elements(By.CSS_SELECTOR, ".model img")
    drawn = "return arguments[0].complete && arguments[0].naturalWidth"
    return [p.get_attribute("src") for p in pictures if driver.execute_script(drawn, p)]


def areas_of(driver):
    """Percent, one a model."""
    cells = driver.find_elements(By.CSS_SELECTOR, ".answer tr:first-child td")
    return [float(cell.text.partition(" %")[0]) for cell in cells]


def slider_of(column):
    return column.find_element(By.CSS_SELECTOR, "input[type=range]")


def send_file(driver, path):
    """Upload a file in place of the one that is there; the overlays from before."""
    for button in driver.find_elements(By.CSS_SELECTOR, "#upload button[aria-label=Clear]"):
        button.click()
        wait(driver, lambda d: not overlays_of(d))
    before = overlays_of(driver)
    wait(driver, lambda d: d.find_element(By.CSS_SELECTOR, "#upload input[type=file]"))
    driver.find_element(By.CSS_SELECTOR, "#upload input[type=file]").send_keys(str(path))
    return before


def send_image(driver, path, seed=0):
    Image.fromarray(draw_image(seed)).save(path)
    before = send_file(driver, path)
    wait_for_answers(driver, before)


def choose_example(driver, number):
    before = overlays_of(driver)
    examples_of(driver)[number].click()
    wait_for_answers(driver, before)
    return overlays_of(driver)


def wait_for_answers(driver, before):
    """Until both models have an overlay that is none of those from before."""
    wait(driver, lambda d: len(overlays_of(d)) == len(areas_of(d)) == 2)
    wait(driver, lambda d: set(overlays_of(d)).isdisjoint(before))


def message_of(driver):
    return "".join(part.text for part in driver.find_elements(By.ID, "message"))


def test_an_uploaded_image_is_shown_with_overlay_and_numbers(browser, tmp_path):
    send_image(browser, tmp_path / "frame.png")
    for column, name in zip(columns_of(browser), ("baseline", "eager"), strict=True):
        assert name in column.text
        for row in ("Area", "Lesions", "Confidence", "Warnings"):
            assert row in column.text
    assert "Not a medical device" in browser.find_element(By.TAG_NAME, "body").text


@pytest.mark.parametrize("suffix", [".jpg", ".tif", ".bmp", ".webp"])
def test_formats_that_a_browser_may_not_know_are_read_too(browser, tmp_path, suffix):
    send_image(browser, tmp_path / f"frame{suffix}")
    assert message_of(browser) == ""


def test_a_slider_starts_at_its_models_threshold_and_moves_that_models_area(
    served, browser, tmp_path
):
    sliders = [slider_of(column) for column in columns_of(browser)]
    assert [float(slider.get_attribute("value")) for slider in sliders] == [0.5, 0.3]
    send_image(browser, tmp_path / "frame.png")
    baseline, eager = areas_of(browser)
    assert 0 < baseline < eager
    runs = list(served.runs)
    sliders[0].send_keys(Keys.HOME)
    wait(browser, lambda d: areas_of(d)[0] > eager)
    sliders[0].send_keys(Keys.END)
    wait(browser, lambda d: areas_of(d)[0] < baseline)
    assert areas_of(browser)[1] == eager
    browser.find_element(By.CSS_SELECTOR, ".model button[aria-label*=eset]").click()
    wait(browser, lambda d: areas_of(d) == [baseline, eager])
    assert served.runs == runs  # drawn from what is kept


def test_examples_can_be_chosen_one_after_another_and_again(browser, tmp_path):
    send_image(browser, tmp_path / "frame.png", seed=9)
    seen = [choose_example(browser, number) for number in (0, 1, 0)]
    assert seen[0] == seen[2] != seen[1]  # addresses are named after what they show
    send_image(browser, tmp_path / "frame.png", seed=9)
    assert choose_example(browser, 0) == seen[0]


def test_a_text_named_as_an_image_is_refused_and_the_page_goes_on(browser, tmp_path):
    path = tmp_path / "<b>notes ${1} {{value}}.jpg"
    path.write_text("This is no image.")
    send_file(browser, path)
    wait(browser, lambda d: "is not an image that can be read" in message_of(d))
    assert "/" not in message_of(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "#message b") == []
    assert overlays_of(browser) == areas_of(browser) == []
    send_image(browser, tmp_path / "frame.png")
    assert message_of(browser) == ""


def test_nothing_failed_and_nothing_came_from_elsewhere(served, browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [event["params"] for event in events if event["method"] == SENT]
    ours = [s for s in sent if s["documentURL"].startswith(served.address)]  # not the browser's
    asked = [s["request"]["url"] for s in ours]
    assert len(asked) > 10
    assert [u for u in asked if not u.startswith((served.address, "data:", "blob:"))] == []
    assert [e for e in browser.get_log("browser") if e["level"] == "SEVERE"] == []
    assert served.hosts <= {"127.0.0.1", "localhost", "::1", None}


def test_a_file_above_the_limit_is_refused(served):
    def upload(size):
        head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
        body = head + b"0" * size + b"\r\n--x--\r\n"
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        address = served.address + "gradio_api/upload"
        return urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=WAIT)

    assert upload(1000).status == 200
    with pytest.raises(urllib.error.HTTPError, match="413"):
        upload(MAX_UPLOAD + 1)


def test_an_image_of_more_than_8000_pixels_is_refused_without_the_servers_path(tmp_path):
    Image.new("L", (8001, 40)).save(tmp_path / "wide.png")
    picture, refusal = read_upload(str(tmp_path / "wide.png"))
    assert picture is None
    assert refusal == "wide.png is 8001 x 40 pixels; expected 32 to 8000 a side"


def test_a_port_that_is_taken_is_reported(served):
    port = int(served.address.rstrip("/").rpartition(":")[2])
    with pytest.raises(OSError, match=f"127.0.0.1:{port} can't be opened"):
        serve(build_page({}, []), "127.0.0.1", port)


def test_without_gradio_the_command_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "effiseg\[demo\]"'):
        demo.run(argparse.Namespace())


def test_only_a_space_listens_on_all_addresses(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert pick_host() == "127.0.0.1"
    monkeypatch.setenv("SPACE_ID", "someone/effiseg")
    assert pick_host() == "0.0.0.0"


def test_the_page_answers_this_machine_alone_unless_told_otherwise():
    parser = argparse.ArgumentParser()
    demo.add_arguments(parser)
    assert parser.parse_args([]).host == "127.0.0.1"


def test_every_warning_has_words():
    assert WORDS.keys() == RULES.keys()
