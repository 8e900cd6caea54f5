"""What people do on the page, in their words; each step waits for what it is to bring about."""

from playwright.sync_api import Page, expect

from tests.support.processes import PASSWORD


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def choose_and_start(page: Page, *, record: bool = False, live_view: bool = False) -> None:
    """Press Start with these consents; whether it starts is for the caller to see."""
    page.get_by_label("Measure my attention").check()
    page.get_by_label("Record a video").set_checked(record)
    page.get_by_label("Show a small live picture").set_checked(live_view)
    page.get_by_role("button", name="Start", exact=True).click()


def start(page: Page, *, record: bool = False, live_view: bool = False) -> None:
    """Start, until pictures are measured."""
    choose_and_start(page, record=record, live_view=live_view)
    measured(page)


def measured(page: Page) -> None:
    """Wait until the connection stands and a face is measured."""
    expect(page.locator("#phase")).to_have_text("Live")
    expect(page.locator("#engagement")).to_contain_text("%")
    expect(page.locator("#value-eyes")).not_to_have_text("—")


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("alert")).to_contain_text("The session has ended")


def pictures_received(page: Page) -> int:
    """How many pictures the server has acknowledged so far, as the page shows it."""
    text = page.locator("#value-latency + .detail").inner_text()
    count = text.split(" ")[0]
    return int(count) if count.isdigit() else 0
