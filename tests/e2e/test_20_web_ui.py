"""A walk through Flink's web UI with a real browser: what a person sees there, with a picture of each step in `.screenshots/`."""

import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.e2e.stack import Stack
from tests.e2e.test_13_operations import VERTICES
from tests.e2e.waiting import wait_until

PICTURES = Path(__file__).parents[2] / ".screenshots"
WIDTH, HEIGHT = 1600, 1000
PNG = b"\x89PNG\r\n\x1a\n"
DULL = 15_000
"""Bytes: a page of this size with nothing on it is smaller."""
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-proxy-server",
    "--disable-background-networking",
)
CUT = 100
"""The graph cuts the name of a vertex somewhere behind so many characters; the list below it does not."""


class Browser:
    """Flink's web UI in a headless Chromium."""

    def __init__(self, driver: webdriver.Chrome, stack: Stack) -> None:
        self.driver, self.rest = driver, stack.environment["flink"]["rest"]

    def open(self, page: str) -> None:
        self.driver.get("about:blank")  # else the address would change, and the page would not be loaded
        self.driver.get(page if page.startswith("http") else f"{self.rest}/#/{page}")

    def texts(self, selector: str) -> list[str]:
        """The text of each element, a line break for a space, while the page may be changing."""
        try:
            return [" ".join(element.text.split()) for element in self.elements(selector)]
        except StaleElementReferenceException:
            return []

    def elements(self, selector: str) -> list[WebElement]:
        found: list[WebElement] = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return found

    def click(self, selector: str, text: str) -> None:
        self.wait_for(selector, text)
        next(element for element in self.elements(selector) if element.text.strip() == text).click()

    def wait_for(self, selector: str, text: str) -> str:
        """The text of the first element that has this in it, once there is one."""
        wait_until(f"{selector} says {text!r}", lambda: any(text in one for one in self.texts(selector)), lambda: None)
        return next((one for one in self.texts(selector) if text in one), text)

    def scroll_to(self, selector: str, text: str = "") -> None:
        """Bring the last such element that has this in it into view, at the bottom."""
        element = [one for one in self.elements(selector) if text in one.text][-1]
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'end'})", element)

    def picture(self, name: str) -> None:
        """Keep what is shown; it must be a picture of the window's size with something on it."""
        image: bytes = self.driver.get_screenshot_as_png()
        (PICTURES / f"{name}.png").write_bytes(image)
        assert image.startswith(PNG)
        assert struct.unpack(">II", image[16:24]) == (WIDTH, HEIGHT)
        assert len(image) > DULL


@pytest.fixture(scope="module")
def browser(stack: Stack) -> Iterator[Browser]:
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("Chromium is not installed (apt-get install chromium chromium-driver)")
    PICTURES.mkdir(exist_ok=True)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in OPTIONS:
        options.add_argument(option)
    chrome = webdriver.Chrome(options, Service(driver))
    chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    )
    yield Browser(chrome, stack)
    chrome.quit()


def page_of(stack: Stack, job: str, tab: str = "overview") -> str:
    return f"job/running/{stack.jobs()[job]['jid']}/{tab}"


def test_the_overview_lists_the_five_jobs(browser: Browser, pipeline: Stack) -> None:
    browser.open("overview")
    for job in pipeline.job_names:
        assert browser.wait_for("tbody tr", f"{job} ").endswith("RUNNING")
    browser.picture("1-overview")


def test_nothing_can_be_submitted_in_the_browser(browser: Browser, pipeline: Stack) -> None:
    browser.open("overview")
    browser.wait_for("li.ant-menu-item", "Job Manager")
    menu = [text for text in browser.texts("li.ant-menu-item") if text]
    assert menu == ["Overview", "Running Jobs", "Completed Jobs", "Task Managers", "Job Manager"]
    browser.picture("2-menu-without-submit")


@pytest.mark.parametrize("job", VERTICES)
def test_the_graph_of_a_job_can_be_read(browser: Browser, pipeline: Stack, job: str) -> None:
    browser.open(page_of(pipeline, job))
    for vertex in VERTICES[job]:
        browser.wait_for(".node-label-wrapper", vertex[:CUT])
        browser.wait_for("flink-job-overview-list tbody tr", vertex)
    measured = re.compile(r"Busy \(max\): \d+%")
    wait_until("the graph shows what is busy", lambda: any(map(measured.search, browser.texts(".node-label-wrapper"))), lambda: None)
    browser.picture(f"3-graph-{job}")


def test_checkpoints_show_the_savepoint_that_was_just_made(browser: Browser, pipeline: Stack) -> None:
    printed = pipeline.tradelake("savepoint", "gold").stdout
    place, page = re.search(r"^gold: (\S+)\n\s+(\S+)$", printed, re.M).groups()  # type: ignore[union-attr]
    browser.open(page)
    shown = browser.wait_for("flink-job-checkpoints", f"Path: {place} Discarded: - Checkpoint Type: savepoint Savepoint Format: CANONICAL")
    assert "Latest Savepoint ID: " in shown
    assert "Checkpoint Type: aligned checkpoint" in shown
    browser.scroll_to("flink-job-checkpoints-detail", place)
    browser.picture("4-checkpoints")
    browser.click(".ant-tabs-tab", "History")
    browser.wait_for("flink-job-checkpoints tbody tr", "COMPLETED [Savepoint]")
    browser.picture("5-checkpoint-history")


def test_the_flame_graph_shows_where_time_goes(browser: Browser, pipeline: Stack) -> None:
    job = pipeline.jobs()["gold"]["jid"]
    vertices = {vertex["name"]: vertex["id"] for vertex in pipeline.rest(f"/jobs/{job}")["vertices"]}
    browser.open(f"job/running/{job}/overview/{vertices[VERTICES['gold'][-1]]}/flamegraph")
    browser.click("label.ant-radio-button-wrapper", "Mixed")
    browser.wait_for("flink-flame-graph", "org.apache.flink.streaming.runtime.tasks.")
    browser.scroll_to("flink-flame-graph")
    browser.picture("6-flame-graph")


def test_a_job_shows_what_it_runs_with(browser: Browser, pipeline: Stack) -> None:
    browser.open(page_of(pipeline, "gold", "configuration"))
    for parameter in ("job gold", "database market_data", "ttl 86400000 ms", "watermark 300000 ms", f"conf {pipeline.pipeline_file}"):
        browser.wait_for("tbody tr", parameter)
    browser.picture("7-parameters")


def test_the_page_that_stop_prints_shows_the_savepoint_of_the_ended_job(browser: Browser, pipeline: Stack) -> None:
    printed = pipeline.tradelake("stop", "gold").stdout
    pipeline.tradelake("submit", "gold")
    place, page = re.search(r"^gold: (\S+)\n\s+(\S+)$", printed, re.M).groups()  # type: ignore[union-attr]
    browser.open(page)
    browser.wait_for("flink-job-checkpoints", f"Path: {place}")
