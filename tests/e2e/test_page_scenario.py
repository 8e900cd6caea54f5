"""The whole way: log in, camera, live values, the instructor's tile, stop, the recording played in the page."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage
from tests.e2e.steps import log_in, measured, pictures_received, start, stop
from tests.support.processes import Deployment

pytestmark = pytest.mark.timeout(180)

PLAYED = "() => { const v = document.querySelector('#player'); return v.readyState >= 2 && v.currentTime > 0.2; }"
DRAWN_OVER = """() => {
    const canvas = document.querySelector('canvas.overlay');
    const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return pixels.some((value, at) => at % 4 === 3 && value > 0);
}"""


def test_a_student_is_measured_seen_and_recorded(deployment: Deployment, open_page: OpenPage) -> None:
    student = open_page(deployment.url)
    log_in(student, "student", "not the password")
    expect(student.get_by_role("alert")).to_contain_text("User name or password is wrong")
    log_in(student, "student")
    teacher = open_page(deployment.url, camera="none")
    log_in(teacher, "instructor")
    expect(teacher.get_by_text("Nobody is streaming in this lecture yet")).to_be_visible()

    start(student, record=True, live_view=True)
    student.wait_for_function(DRAWN_OVER)
    expect(student.locator("#state")).to_have_text("Engaged")
    expect(student.locator("#value-blinks")).to_have_text(re.compile("[1-9]"))
    expect(student.get_by_text("Recording", exact=True)).to_be_visible()
    _seen_by(teacher)

    received = pictures_received(student)
    stop(student)
    assert received > 0
    expect(teacher.get_by_text("Nobody is streaming in this lecture yet")).to_be_visible()
    _plays(student, at_least_s=2.0)


def test_a_reload_goes_on_with_the_session(deployment: Deployment, open_page: OpenPage) -> None:
    page = open_page(deployment.url)
    log_in(page, "student")
    start(page)
    expect(page.locator("#value-blinks")).to_have_text(re.compile("[1-9]"))
    blinks = int(page.locator("#value-blinks").inner_text())

    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("Your session is still open")
    page.get_by_role("button", name="Go on").click()
    measured(page)
    assert int(page.locator("#value-blinks").inner_text()) >= blinks
    stop(page)


def _seen_by(teacher: Page) -> None:
    tile = teacher.get_by_role("listitem").filter(has_text="Student One")
    expect(tile).to_be_visible()
    expect(tile.locator("img.preview")).to_be_visible()
    expect(tile.locator(".tile-share")).to_contain_text("%")
    expect(teacher.locator("#class-mean")).to_contain_text("%")


def _plays(student: Page, *, at_least_s: float) -> None:
    student.get_by_role("button", name=re.compile("^Play the recording")).click()
    student.wait_for_function(PLAYED)
    assert student.evaluate("document.querySelector('#player').duration") > at_least_s
    student.keyboard.press("Escape")
    link = student.get_by_role("link", name=re.compile("^Download the recording"))
    answer = student.request.get(link.get_attribute("href") or "")
    assert (answer.status, answer.headers["content-type"]) == (200, "video/mp4")
