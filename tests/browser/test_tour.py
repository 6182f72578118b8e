"""The README's tour on a whole instance: chat, react, judge, run a round, meet the new version."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.pages import clean_page, running_browser
from tests.instance.running import Instance

pytestmark = [pytest.mark.browser, pytest.mark.timeout(1500)]

#: Where pictures of the pages go, so that a person can look at them.
PICTURES = os.environ.get("TOUR_PICTURES")


@pytest.fixture(scope="module")
def instance(data_folder):
    made = Instance(data_folder / "var")
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def browser():
    with running_browser() as running:
        yield running


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png")


def sign_in(page: Page, instance: Instance, name: str, to: str) -> None:
    page.goto(f"{instance.url}/login/?next={to}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(instance.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{instance.url}{to}")


def ask(page: Page, instance: Instance, words: str) -> str:
    """Ask in a new conversation; returns the name of the model version that answered."""
    page.goto(f"{instance.url}/")
    page.get_by_label("Your message").fill(words)
    page.keyboard.press("Enter")
    answer = page.locator(".message[data-role=assistant][data-state=complete]")
    expect(answer).to_have_count(1, timeout=60_000)
    expect(answer.locator(".message__body")).not_to_be_empty()
    return answer.locator(".message__model").text_content()


def overrule(page: Page, instance: Instance) -> None:
    """Promote the newest policy by hand: the gate may rightly refuse one made of so little."""
    page.goto(f"{instance.url}/console/demo/models/")
    row = page.get_by_role("row").filter(has_text="demo-r1").filter(has_text="Promote")
    row.get_by_text("Promote").click()
    row.get_by_label("Why?").fill("Read its answers; they are better.")
    row.get_by_role("button", name="Make it the live policy").click()


def test_a_person_chats_judges_runs_a_round_and_meets_the_new_version(instance, browser):
    with clean_page(browser) as page:
        first = ask(page, instance, "What is the capital of France?")
        love = page.locator("[data-reaction=love]").last
        love.click()
        expect(love).to_have_attribute("aria-pressed", "true")
        picture(page, "chat")
        page.reload()
        expect(page.locator("[data-reaction=love]").last).to_have_attribute("aria-pressed", "true")

    with clean_page(browser) as page:
        sign_in(page, instance, "ana", "/annotate/demo/")
        for number in range(6):
            form = page.locator("#form")
            before = form.get_attribute("data-assignment")
            if number == 0:
                picture(page, "annotate")
            page.keyboard.press(["1", "7", "t", "2", "b", "6"][number])
            expect(form).not_to_have_attribute("data-assignment", before)
        expect(page.locator("#today")).to_have_text("6")

    with clean_page(browser) as page:
        sign_in(page, instance, "remy", "/console/demo/")
        expect(page.locator("[data-count=judgments]")).to_have_text("246")
        page.locator("#run-round").click()
        finished = page.locator(
            '.live[data-state]:not([data-state="queued"], [data-state="running"])'
        )
        expect(finished).to_have_count(1, timeout=900_000)
        picture(page, "round")
        if finished.get_attribute("data-state") == "refused":
            overrule(page, instance)
        else:
            assert finished.get_attribute("data-state") == "released", page.inner_text("main")
        page.goto(f"{instance.url}/console/demo/")
        picture(page, "console")

    with clean_page(browser) as page:
        second = ask(page, instance, "What is the capital of France?")
        assert second != first
        picture(page, "chat-after")
