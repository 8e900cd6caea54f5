"""Takes the pictures of the page that the README and the docs show, from a running demo.

`python -m tests.e2e.screenshots FOLDER` starts `rapt demo` in a temporary folder, waits until there is something to
see, and writes student.png, student-dark.png, student-phone.png, class.png and class-dark.png.
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from services.client.drawn import draw_jpeg
from services.client.pose import Look
from services.client.timetable import Timetable
from tests.e2e.steps import log_in, start
from tests.support.processes import RaptProcess

SEED = 5
FILM_S = 60
FPS = 30
FULL_CHART_S = 62
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 360, "height": 780}


def after_a_blink(student: Page) -> None:
    """The drawn student's eyes stay open for two seconds after a blink."""
    eyes = student.locator("#value-eyes")
    for state in ("closed", "open"):
        expect(eyes).to_have_text(state, timeout=30_000)
    student.wait_for_timeout(700)
    expect(student.locator("#state")).to_have_text("Engaged", timeout=30_000)


def main(folder: Path) -> None:
    """Raises `SystemExit` when there is no Chromium."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("no chromium in PATH")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        film = Path(scratch) / "film.mjpeg"
        timetable = Timetable(SEED, FILM_S)
        film.write_bytes(
            b"".join(draw_jpeg(timetable.pose_at(n / FPS), (640, 480), Look.of(SEED), n) for n in range(FILM_S * FPS))
        )
        camera = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        camera.append(f"--use-file-for-fake-video-capture={film}")
        browser = playwright.chromium.launch(executable_path=chromium, args=camera)
        demo = RaptProcess("demo", Path(scratch) / "data")
        demo.start()
        try:
            pages: list[Page] = []
            for user in ("instructor", "student"):
                context = browser.new_context(viewport=DESKTOP, device_scale_factor=2, locale="en-GB")  # type: ignore[arg-type]
                page = context.new_page()
                page.goto(demo.url)
                log_in(page, user)
                pages.append(page)
            teacher, student = pages
            start(student, record=True, live_view=True)
            time.sleep(FULL_CHART_S)
            for scheme, ending in (("light", ""), ("dark", "-dark")):
                for page, name in ((student, "student"), (teacher, "class")):
                    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    after_a_blink(student)
                    page.screenshot(path=folder / f"{name}{ending}.png")
            student.emulate_media(color_scheme="light")
            student.set_viewport_size(PHONE)  # type: ignore[arg-type]
            after_a_blink(student)
            student.screenshot(path=folder / "student-phone.png")
        finally:
            browser.close()
            demo.terminate()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
