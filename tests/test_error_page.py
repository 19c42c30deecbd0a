"""The error page, in a real headless browser: filter, sort, open an image, walk on, no network."""

import io
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import image as matplotlib_image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from effiseg.error_page import write_page

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")


def draw_picture(grey, kind="jpg"):
    content = io.BytesIO()
    picture = np.full((30, 40, 3), grey, np.uint8)
    matplotlib_image.imsave(content, picture, format=kind)
    return content.getvalue()


def draw_images(number=30):
    parts = np.where(np.arange(number) % 3 == 0, "test", "train")
    dice = np.linspace(0.4, 0.98, number)
    improved = np.where(parts == "test", dice + 0.01, np.nan)
    return pd.DataFrame(
        {
            "name": [f"</script><b>{n:02}" if n == 5 else f"image-{n:02}" for n in range(number)],
            "part": parts,
            "kind": np.where(dice < 0.6, "too small", "good"),
            "dice": dice,
            "improved_dice": improved,
            "change": improved - dice,
            "area_fraction": np.linspace(0.5, 0.01, number),
            "contrast": 10.0,
            "expected_dice": dice,
            "suspect": np.arange(number) % 7 == 3,
            "relief": 3.0,
        }
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page, open in a browser."""
    if not (BROWSER and DRIVER):
        pytest.skip("chromium and chromedriver are not installed")
    images = draw_images()
    pictures = {name: {"baseline": draw_picture(90)} for name in images["name"]}
    for name in images["name"][images["part"] == "test"]:
        pictures[name]["improved"] = draw_picture(160)
    words = {name: {m: f"{m} on {name}" for m in each} for name, each in pictures.items()}
    folder = tmp_path_factory.mktemp("page")
    html = write_page(images, pictures, words, "30 images.", {"a chart": draw_picture(40, "png")})
    (folder / "page.html").write_text(html, encoding="utf-8")
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for option in (
        "headless", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1500,900",
        "disable-background-networking", "disable-component-update", "disable-sync",
        f"user-data-dir={folder / 'profile'}",
    ):  # fmt: skip
        options.add_argument(f"--{option}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.get((folder / "page.html").as_uri())
    WebDriverWait(driver, 20).until(lambda d: rows_of(d))
    yield driver
    driver.quit()


def rows_of(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".tabulator-row")


def names_of(driver):
    cells = driver.find_elements(By.CSS_SELECTOR, ".tabulator-row [tabulator-field=name]")
    return [cell.text for cell in cells]


def type_filter(driver, field, text):
    driver.find_element(By.ID, "reset").click()
    path = f".tabulator-col[tabulator-field={field}] .tabulator-header-filter input"
    driver.find_element(By.CSS_SELECTOR, path).send_keys(text)


def wait_for_count(driver, number):
    expected = f"{number} of 30 images"
    WebDriverWait(driver, 10).until(lambda d: d.find_element(By.ID, "count").text == expected)


def test_the_worst_image_comes_first_and_a_click_turns_the_order(page):
    assert names_of(page)[0] == "image-00"
    title = ".tabulator-col[tabulator-field=dice] .tabulator-col-title"
    page.find_element(By.CSS_SELECTOR, title).click()
    WebDriverWait(page, 10).until(lambda d: names_of(d)[0] == "image-29")
    page.find_element(By.CSS_SELECTOR, title).click()
    WebDriverWait(page, 10).until(lambda d: names_of(d)[0] == "image-00")


@pytest.mark.parametrize(
    ("field", "text", "passing"),
    [
        ("dice", "<0.6", lambda images: images["dice"] < 0.6),
        ("dice", "0.5..0.6", lambda images: images["dice"].between(0.5, 0.6)),
        ("kind", "small", lambda images: images["kind"] == "too small"),
        ("part", "test", lambda images: images["part"] == "test"),
        ("improved_dice", ">0.9", lambda images: images["improved_dice"] > 0.9),
    ],
)
def test_a_filter_leaves_the_images_that_pass(page, field, text, passing):
    type_filter(page, field, text)
    number = passing(draw_images()).sum()
    assert 0 < number < 30
    wait_for_count(page, number)
    page.find_element(By.ID, "reset").click()
    wait_for_count(page, 30)


def test_an_image_opens_and_keys_go_on_to_the_next(page):
    rows_of(page)[0].find_element(By.CSS_SELECTOR, "[tabulator-field=kind]").click()
    detail = page.find_element(By.ID, "detail")
    assert detail.find_element(By.TAG_NAME, "h2").text == "image-00"
    pictures = detail.find_elements(By.TAG_NAME, "img")
    assert len(pictures) == 2  # a test image: both models, side by side
    assert all(page.execute_script("return arguments[0].naturalWidth", i) == 40 for i in pictures)
    assert "relief" in detail.text
    said = [paragraph.text for paragraph in detail.find_elements(By.CSS_SELECTOR, "figure p")]
    assert said == ["baseline on image-00", "improved on image-00"]
    body = page.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.ARROW_DOWN)
    assert detail.find_element(By.TAG_NAME, "h2").text == "image-01"
    assert len(detail.find_elements(By.TAG_NAME, "img")) == 1
    body.send_keys("k")
    assert detail.find_element(By.TAG_NAME, "h2").text == "image-00"
    body.send_keys(Keys.ESCAPE)
    assert not detail.is_displayed()


def test_suspects_can_be_sorted_to_the_top(page):
    title = ".tabulator-col[tabulator-field=suspect] .tabulator-col-title"
    suspects = ".tabulator-row [tabulator-field=suspect]"
    for _ in range(2):
        page.find_element(By.CSS_SELECTOR, title).click()
    first = lambda d: [c.text for c in d.find_elements(By.CSS_SELECTOR, suspects)][:5]  # noqa: E731
    WebDriverWait(page, 10).until(lambda d: first(d) == ["yes"] * 4 + ["no"])


def test_charts_can_be_opened(page):
    chart = page.find_element(By.CSS_SELECTOR, "#charts img")
    assert not chart.is_displayed()
    page.find_element(By.CSS_SELECTOR, "#charts summary").click()
    assert chart.is_displayed()
    assert page.execute_script("return arguments[0].naturalWidth", chart) == 40
    page.find_element(By.CSS_SELECTOR, "#charts summary").click()


def test_all_columns_can_be_shown(page):
    column = page.find_element(By.CSS_SELECTOR, ".tabulator-col[tabulator-field=relief]")
    assert not column.is_displayed()
    page.find_element(By.ID, "all-columns").click()
    assert column.is_displayed()
    page.find_element(By.ID, "all-columns").click()
    assert not column.is_displayed()


def test_a_hostile_name_is_text_and_nothing_failed_or_was_fetched(page):
    assert "</script><b>05" in names_of(page)
    assert page.find_elements(By.CSS_SELECTOR, ".tabulator b") == []
    fetched = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert [n for n in page.execute_script(fetched) if not n.startswith("data:")] == []
    assert [e for e in page.get_log("browser") if e["level"] == "SEVERE"] == []


@pytest.mark.parametrize("what", ["picture", "words"])
def test_an_image_without_picture_or_words_is_refused(what):
    images = draw_images()
    whole = {name: {"baseline": b""} for name in images["name"]}
    one = {"image-00": {"baseline": b""}}
    pictures, words = (one, whole) if what == "picture" else (whole, one)
    with pytest.raises(ValueError, match=f"29 images have no {what}"):
        write_page(images, pictures, words, "", {})


def test_each_picture_has_its_own_words():
    images = draw_images()
    words = {name: {"baseline": ""} for name in images["name"]}
    pictures = {name: {"baseline": b""} for name in images["name"]}
    pictures["image-03"] = {"baseline": b"", "improved": b""}
    with pytest.raises(ValueError, match=r"1 images have no words for each picture \(image-03"):
        write_page(images, pictures, words, "", {})
