"""What may go wrong is told in plain words, with what to do; and what can heal heals by itself."""

import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.conftest import Camera, OpenPage
from tests.e2e.steps import choose_and_start, log_in, measured, pictures_received, start, stop
from tests.support.processes import Embedded

pytestmark = pytest.mark.timeout(120)


def told(page: Page, title: str) -> None:
    expect(page.get_by_role("alert").filter(has_text=title)).to_be_visible()


@pytest.mark.parametrize(
    ("camera", "title", "advice"),
    [("denied", "The camera is blocked", "choose “Allow”"), ("none", "No camera was found", "Plug in a webcam")],
)
def test_without_a_camera(shared: Embedded, open_page: OpenPage, camera: Camera, title: str, advice: str) -> None:
    page = open_page(shared.url, camera=camera)
    log_in(page, "student")
    choose_and_start(page)
    told(page, title)
    told(page, advice)
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_enabled()


def test_a_camera_in_use(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    # Chromium's fake camera cannot be busy, so the browser's answer is put in its mouth.
    page.evaluate(
        """() => {
            const busy = new DOMException('Could not start video source', 'NotReadableError');
            navigator.mediaDevices.getUserMedia = () => Promise.reject(busy);
        }"""
    )
    log_in(page, "student")
    choose_and_start(page)
    told(page, "The camera is in use")


def test_an_unknown_lecture_is_refused_before_the_camera_starts(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")
    page.evaluate("() => { navigator.mediaDevices.getUserMedia = () => { window.cameraAsked = true; }; }")
    page.get_by_label("Lecture").locator("option[value=DEMO]").evaluate("each => { each.value = 'GONE'; }")
    choose_and_start(page)
    told(page, "there is no lecture GONE")
    assert page.evaluate("window.cameraAsked") is None


def test_consent_is_needed(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")
    page.get_by_role("button", name="Start", exact=True).click()
    told(page, "your camera, so it stays off")
    expect(page.get_by_label("Measure my attention")).to_be_focused()


def test_a_killed_server_is_told_and_the_session_goes_on(embedded: Embedded, open_page: OpenPage) -> None:
    page = open_page(embedded.url)
    log_in(page, "student")
    start(page, record=True)
    embedded.processes["up"].kill()
    told(page, "Connection lost")
    expect(page.locator("#phase")).to_have_text("Reconnecting…")

    before = pictures_received(page)
    embedded.processes["up"].start()
    measured(page)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    page.wait_for_function(
        "before => parseInt(document.querySelector('#value-latency + .detail').textContent) > before", arg=before
    )
    stop(page)
    expect(page.get_by_role("button", name="Play the recording")).to_be_visible()


def test_stopping_without_a_connection_ends_the_session_later(embedded: Embedded, open_page: OpenPage) -> None:
    page = open_page(embedded.url)
    log_in(page, "student")
    start(page)
    embedded.processes["up"].kill()
    told(page, "Connection lost")
    page.get_by_role("button", name="Stop").click()
    told(page, "The session could not be ended")
    embedded.processes["up"].start()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("alert")).to_contain_text("The session has ended")


def test_a_session_taken_over_elsewhere_can_be_taken_back(shared: Embedded, open_page: OpenPage) -> None:
    first = open_page(shared.url)
    log_in(first, "student")
    start(first)
    kept = first.evaluate("JSON.stringify(sessionStorage)")

    second = open_page(shared.url)
    second.evaluate("kept => Object.entries(JSON.parse(kept)).forEach(([k, v]) => sessionStorage.setItem(k, v))", kept)
    second.reload()
    second.get_by_role("button", name="Go on").click()
    measured(second)
    told(first, "Your session goes on in another window")
    first.get_by_role("button", name="Take it back").click()
    measured(first)
    told(second, "Your session goes on in another window")


def test_an_ended_session_says_so(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")
    start(page)
    page.evaluate(
        """async () => {
            const { created } = JSON.parse(sessionStorage.getItem('rapt.session'));
            const headers = { authorization: `Bearer ${sessionStorage.getItem('rapt.token')}` };
            await fetch(`/api/sessions/${created.session_id}/end`, { method: 'POST', headers });
        }"""
    )
    told(page, "The session has ended")


@pytest.mark.parametrize(("status", "title"), [(503, "Service unavailable"), (502, "Service unavailable")])
def test_an_unavailable_service(shared: Embedded, open_page: OpenPage, status: int, title: str) -> None:
    page = open_page(shared.url)
    log_in(page, "student")
    page.route("**/api/sessions", lambda route: route.fulfill(status=status, body="<h1>Bad gateway</h1>"))
    choose_and_start(page)
    told(page, title)
    page.unroute("**/api/sessions")
    start(page)


def test_an_expired_login_leads_back_to_the_login(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")

    def forge(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "authorization": "Bearer no.such.token"})

    page.route("**/api/sessions", forge)
    choose_and_start(page)
    told(page, "Your login has expired")
    expect(page.get_by_label("User name")).to_be_visible()


def test_a_stream_token_that_is_not_taken_leads_back_to_the_login(shared: Embedded, open_page: OpenPage) -> None:
    page = open_page(shared.url)
    log_in(page, "student")

    def forge(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "stream_token": "no.such.token"})

    page.route("**/api/sessions", forge)
    choose_and_start(page)
    told(page, "Your login has expired")


def test_no_server_at_the_login(embedded: Embedded, open_page: OpenPage) -> None:
    page = open_page(embedded.url)
    embedded.processes["up"].kill()
    log_in(page, "student")
    told(page, "Rapt cannot be reached")
