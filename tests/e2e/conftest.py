"""A real browser before a real Rapt: embedded (`rapt up`) and, where Kafka can be started, the four services."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from services.assembly import page_index
from services.client.drawn import draw_jpeg
from services.client.pose import Look
from services.client.timetable import Timetable
from tests.support.kafka import kafka_node
from tests.support.needs import absent
from tests.support.processes import Cluster, Deployment, Embedded

Camera = Literal["film", "denied", "none"]
OpenPage = Callable[..., Page]

FILM_SEED = 3
FILM_S = 14.0
FILM_FPS = 30  # Chromium plays a Motion JPEG at this rate, whatever was meant
FILM_SIZE = (640, 480)
WAIT_MS = 20_000


@dataclass(frozen=True, slots=True)
class Film:
    """What the fake camera shows, over and over."""

    path: Path
    timetable: Timetable


@pytest.fixture(scope="session")
def film(tmp_path_factory: pytest.TempPathFactory) -> Film:
    """A drawn student as Motion JPEG: JPEGs one after the other."""
    timetable = Timetable(FILM_SEED, FILM_S)
    path = tmp_path_factory.mktemp("film") / "student.mjpeg"
    with path.open("wb") as frames:
        for number in range(int(FILM_S * FILM_FPS)):
            frames.write(draw_jpeg(timetable.pose_at(number / FILM_FPS), FILM_SIZE, Look.of(FILM_SEED), number))
    return Film(path, timetable)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of an installed Chromium."""
    names = (os.environ.get("RAPT_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, (shutil.which(name) for name in names if name)), None)
    return found or absent("chromium", "no chromium in PATH; install it, or set RAPT_CHROMIUM to its path")


# Playwright keeps an event loop running in the main thread, in which no asynchronous test could run: it must end with
# the last test of the module.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture
def open_page(playwright: Playwright, chromium: str, film: Film) -> Iterator[OpenPage]:
    """Opens pages; each in a browser of its own, with a camera that shows the film, is denied, or is not there.

    A page error, which nobody caught, fails the test.
    """
    errors: list[str] = []
    with ExitStack() as browsers:

        def launch(camera: Camera) -> Browser:
            arguments = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
            if camera == "film":
                arguments += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film.path}"]
            # Denied also with a device, so that the refusal is what is told.
            arguments += {
                "film": ["--use-fake-ui-for-media-stream"],
                "denied": ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream=deny"],
                "none": ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream=device-count=0"],
            }[camera]
            browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
            browsers.callback(browser.close)
            return browser

        def open_page(url: str, camera: Camera = "film", **context: object) -> Page:
            page = launch(camera).new_context(locale="en-GB", **context).new_page()  # type: ignore[arg-type]
            page.set_default_timeout(WAIT_MS)
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.goto(url)
            return page

        yield open_page
    assert not errors


@pytest.fixture(scope="session")
def built_page() -> Path:
    index = page_index()
    if not index.is_file():
        absent("page", "the page is not built; run `make page`")
    return index


@pytest.fixture(params=["embedded", "cluster"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path, built_page: Path) -> Iterator[Deployment]:
    """A running Rapt: `rapt up`, and the four services on a real Kafka."""
    with ExitStack() as ending:
        running: Deployment
        if request.param == "embedded":
            running = Embedded(tmp_path / "rapt")
        else:
            running = Cluster(tmp_path / "rapt", ending.enter_context(kafka_node()).bootstrap)
        ending.callback(running.stop)
        running.start()
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, built_page: Path) -> Iterator[Embedded]:
    """One `rapt up` for tests that leave it as they found it."""
    running = Embedded(tmp_path_factory.mktemp("shared") / "rapt")
    running.start()
    yield running
    running.stop()


@pytest.fixture
def embedded(tmp_path: Path, built_page: Path) -> Iterator[Embedded]:
    """A `rapt up` of its own, to be killed."""
    running = Embedded(tmp_path / "rapt")
    running.start()
    yield running
    running.stop()
