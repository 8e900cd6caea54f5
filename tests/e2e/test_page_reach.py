"""Everybody reaches everything: on a phone, by keyboard, by a screen reader, at night."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import OpenPage
from tests.e2e.steps import log_in, pictures_received, start, stop
from tests.support.processes import PASSWORD, Embedded

pytestmark = pytest.mark.timeout(120)

PHONE = {"width": 360, "height": 740}
SIDEWAYS = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
COUNT = "parseInt(document.querySelector('#value-latency + .detail').textContent)"
COUNT_STANDS_STILL = f"() => {{ const [was, is] = [window.seen, {COUNT}]; window.seen = is; return was === is; }}"
NAMELESS = """() => [...document.querySelectorAll('button, a, input, select, canvas, video, [role=img]')]
    .filter((each) => each.offsetParent !== null && !each.closest('[aria-hidden=true], [role=img] *'))
    .filter((each) => !(each.ariaLabel || each.textContent.trim() || each.labels?.length))
    .map((each) => each.outerHTML.slice(0, 120))"""


def fits_and_is_named(page: Page) -> None:
    assert page.evaluate(SIDEWAYS) == 0
    assert page.evaluate(NAMELESS) == []


def test_the_student_on_a_phone(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url, viewport=PHONE, color_scheme="dark")
    fits_and_is_named(page)
    log_in(page, "student")
    page.get_by_text("Picture settings").click()
    expect(page.get_by_label("Pictures a second")).to_be_visible()
    fits_and_is_named(page)
    start(page, record=True)
    fits_and_is_named(page)
    stop(page)
    expect(page.get_by_role("button", name="Play the recording").first).to_be_visible()
    fits_and_is_named(page)


def test_the_instructor_on_a_phone(shared: Embedded, open_page: OpenPage) -> None:
    student = open_page(shared.url)
    log_in(student, "student2")
    start(student)
    page = open_page(shared.url, camera="none", viewport=PHONE)
    log_in(page, "instructor")
    expect(page.get_by_role("listitem").filter(has_text="Student Two")).to_be_visible()
    fits_and_is_named(page)
    page.get_by_role("button", name="New lecture").click()
    fits_and_is_named(page)
    page.keyboard.press("Escape")
    stop(student)


def test_by_keyboard_alone(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    keys = page.keyboard
    expect(page.get_by_label("User name")).to_be_focused()
    keys.type("student3")
    keys.press("Tab")
    keys.type(PASSWORD)
    keys.press("Enter")
    expect(page.get_by_role("combobox", name="Lecture")).to_have_value("DEMO")
    for _ in range(10):
        keys.press("Tab")
        if page.get_by_label("Measure my attention").evaluate("each => each === document.activeElement"):
            break
    keys.press("Space")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    keys.press("Enter")
    expect(page.locator("#phase")).to_have_text("Live")
    expect(page.get_by_role("button", name="Stop")).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text("Engaged")
    keys.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The session has ended")


def test_the_instructor_makes_a_lecture_and_switches_measuring_off(shared: Embedded, open_page: OpenPage) -> None:
    teacher = open_page(shared.url, camera="none")
    log_in(teacher, "instructor")
    teacher.get_by_role("button", name="New lecture").click()
    teacher.get_by_label("Title").fill("Optics & <b>waves</b>")
    teacher.get_by_label("Code").fill("OPT-1")
    teacher.get_by_role("button", name="Make lecture").click()
    lecture = teacher.get_by_role("combobox", name="Lecture")
    expect(lecture).to_have_value("OPT-1")
    expect(lecture.locator("option:checked")).to_have_text("Optics & <b>waves</b> (OPT-1)")

    student = open_page(shared.url)
    log_in(student, "student4")
    student.get_by_role("combobox", name="Lecture").select_option("OPT-1")
    start(student)
    expect(teacher.get_by_role("listitem").filter(has_text="Student Four")).to_be_visible()
    teacher.get_by_text("Measure engagement").click()
    expect(student.get_by_role("alert")).to_contain_text("Measuring is paused")
    student.wait_for_function(COUNT_STANDS_STILL, polling=500)
    received = pictures_received(student)
    teacher.get_by_text("Measure engagement").click()
    expect(student.get_by_text("Measuring is paused")).to_be_hidden()
    student.wait_for_function(f"{COUNT} > {received}")
    stop(student)


def test_logging_out_ends_the_session(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")
    start(page)
    teacher = open_page(shared.url, camera="none")
    log_in(teacher, "instructor")
    tile = teacher.get_by_role("listitem").filter(has_text="Student One")
    expect(tile).to_be_visible()
    page.get_by_role("button", name="Log out").click()
    expect(tile).to_be_hidden()
    log_in(page, "student2")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    assert page.evaluate("sessionStorage.getItem('rapt.session')") is None
