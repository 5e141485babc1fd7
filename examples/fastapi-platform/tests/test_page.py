"""The page for operators, in a browser: each section, in both languages, wide and narrow, light and dark."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import ROOT, Page, browser
from conftest import TOKENS

PICTURES = ROOT / "target" / "screenshots"
STATIC = Path(__file__).parents[1] / "platform_service/console/static"
SECTIONS = ("account", "ledger", "events", "licences", "risk", "prices", "book", "verify")

# What stands beyond the right edge, but for what scrolls by itself or is hidden from sight.
BEYOND = """
[...document.querySelectorAll("main *")]
  .filter((element) => element.getClientRects().length && !element.closest("svg, pre, thead"))
  .filter((element) => element.getBoundingClientRect().right > innerWidth + 1)
  .map((element) => element.outerHTML.slice(0, 120))
"""
UNNAMED = """
[...document.querySelectorAll("input, select, textarea, button, a, [tabindex='0']")]
  .filter((control) => !control.labels?.length && !control.getAttribute("aria-label") && !control.innerText?.trim())
  .map((control) => control.outerHTML)
"""
FOCUSED = "(({ name, innerText }) => `${name ?? ''} ${innerText}`)(document.activeElement)"
SHOWS_FOCUS = """
document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"
"""
AMOUNTS = """
import("./js/amounts.js").then(({ micros, text, signed, share, ticks }) => ({
  amounts: [text(micros("9223372036854.775807")), text(micros("-0.000001")), signed("9007199254740993.1")],
  ticks: [ticks(0n, 335500000n, 5), ticks(-5000000n, 5000000n, 5)].map((found) => found.map(text)),
  share: share(1n, 4n),
}))
"""
HOSTILE = "<img src=x onerror=console.error('hostile')><b>reason</b>"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def worked(address: str) -> str:
    """A service in which things have happened: a task done, one failed, one whose text is hostile."""
    order(address, "alice", task_id="done", template_id="poster", resolution="4k", actual_cost="20.125")
    order(address, "bob", task_id="failed", template_id="poster", resolution="sd", fails_at="rendering")
    hostile = {
        "tenant_id": "acme",
        "user_id": "alice",
        "template_id": "poster",
        "amount": "0.000001",
        "priority": "standard",
        "reason": HOSTILE,
    }
    headers = {"authorization": f"Bearer {TOKENS['studio-worker']}"}
    charged = httpx.post(f"{address}/api/v1/credits/charge", json=hostile, headers=headers)
    assert charged.status_code == 200, charged.text
    ended(address, "done", "alice")
    ended(address, "failed", "bob")
    return address


@pytest.fixture
def page(chrome: Page, worked: str) -> Iterator[Page]:
    """The page, with the operator logged in, wide, light and in English."""
    chrome.errors.clear()
    chrome.look(1440)
    chrome.send("Network.clearBrowserCookies")
    chrome.go(f"{worked}/console/")
    speak(chrome, "en")
    log_in(chrome)
    yield chrome
    assert chrome.errors == []


def order(address: str, by: str, **work: Any) -> None:
    headers = {"authorization": f"Bearer {TOKENS[by]}"}
    response = httpx.post(f"{address}/api/demo/tasks", json=work, headers=headers)
    assert response.status_code == 202, response.text


def ended(address: str, task_id: str, by: str) -> None:
    headers = {"authorization": f"Bearer {TOKENS[by]}"}
    end = time.monotonic() + 20
    while httpx.get(f"{address}/api/v1/tasks/{task_id}", headers=headers).json()["status"] not in (
        "completed",
        "failed",
    ):
        assert time.monotonic() < end
        time.sleep(0.05)


def log_in(page: Page, token: str = TOKENS["olivia"]) -> None:
    page.until("document.querySelector('[name=token]')")
    page.write("[name=token]", token)
    page.key("Enter", 13, "\r")
    page.until("document.querySelector('nav a')")


def speak(page: Page, language: str) -> None:
    page.until("document.querySelector('main').childElementCount")
    page.click(f"[data-language={language}]")
    page.until(f"document.documentElement.lang.startsWith('{language}')")


def open_section(page: Page, name: str) -> None:
    page.run(f"location.hash = '{name}'")
    page.until(f"document.querySelector('nav a[aria-current]')?.hash === '#{name}'")
    settled(page)


def settled(page: Page) -> None:
    page.until("!document.querySelector('[aria-busy]')")
    page.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def submit(page: Page) -> None:
    page.click("form.fields button.main")
    settled(page)


def text_of(page: Page, selector: str = "main") -> str:
    return str(page.run(f"document.querySelector({json.dumps(selector)}).innerText"))


def use(page: Page, name: str) -> None:
    """Opens a section and has it show what it can."""
    open_section(page, name)
    match name:
        case "account":
            page.write("[name=amount]", "30")
            submit(page)
        case "events":
            page.click("main .buttons button:nth-of-type(2)")
            page.until("document.querySelectorAll('.events > li').length > 12")
        case "prices":
            page.run("document.querySelector('[name=template_id]').value = 'poster'")
            page.run("document.querySelector('[name=resolution]').value = '4k'")
            page.write("[name='extra:voice']", "3")
            submit(page)
        case "book":
            page.click("form.fields button:not(.main)")
            page.until("document.querySelector('[role=alert]')")
        case "verify":
            page.click("main button.main")
            page.until("document.querySelector('.tiles')")
    settled(page)


def test_a_wrong_token_is_told_and_kept_out(chrome: Page, worked: str) -> None:
    chrome.look(1440)
    chrome.send("Network.clearBrowserCookies")
    chrome.go(f"{worked}/console/")
    chrome.until("document.activeElement.name === 'token'")
    speak(chrome, "en")
    chrome.write("[name=token]", TOKENS["alice"])
    chrome.click("form button")
    chrome.until("document.querySelector('[role=alert]')")
    assert "This is no operator's token." in text_of(chrome)
    assert chrome.run("document.querySelector('nav').hidden")
    assert all("401" in error for error in chrome.errors), chrome.errors


def test_the_token_is_nowhere_that_a_script_sees(page: Page) -> None:
    seen = page.run("JSON.stringify([location.href, {...localStorage}, {...sessionStorage}, document.body.outerHTML])")
    assert TOKENS["olivia"] not in seen
    assert page.run("document.cookie") == ""
    page.go(page.run("location.href.split('#')[0]"))
    page.until("document.querySelector('nav a')")


def test_logging_out_ends_it(page: Page) -> None:
    page.click("#logout")
    page.until("document.querySelector('[name=token]')")
    assert page.run("document.querySelector('nav').hidden")
    assert page.run("fetch('api/policy').then(answer => answer.status)") == 401
    assert all("401" in error for error in page.errors)
    page.errors.clear()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_fits_in_both_languages(page: Page, name: str, language: str) -> None:
    speak(page, language)
    use(page, name)
    # Wide pages are light in English and dark in Chinese, narrow ones the other way round: pictures show all four.
    for width, dark in ((1440, language == "zh"), (768, False), (375, language == "en"), (320, False)):
        page.look(width, dark=dark)
        settled(page)
        assert page.run("document.documentElement.scrollWidth") <= width, f"{name} is wider than {width}"
        beyond = page.run(BEYOND)
        assert beyond == [], f"{name} at {width}"
        if width in (1440, 375):
            page.picture(PICTURES / f"{name}-{width}-{'dark' if dark else 'light'}-{language}.png")
    # Nothing is left untranslated: a key would show as itself, and a missing one is an error of the page.
    shown = text_of(page, "body")
    assert not re.search(rf"\b{name}\.[a-z]", shown), shown
    assert ("余额" in shown) == (language == "zh")


def test_controls_have_names(page: Page) -> None:
    for name in SECTIONS:
        use(page, name)
        unnamed = page.run(UNNAMED)
        assert unnamed == [], name
        assert page.run("document.querySelectorAll('h1').length") == 1
        ids = page.run("[...document.querySelectorAll('[id]')].map(element => element.id)")
        assert len(ids) == len(set(ids)), name


def test_the_keyboard_reaches_everything(page: Page) -> None:
    open_section(page, "account")
    page.run("document.activeElement.blur()")
    reached = []
    for _ in range(40):
        page.key("Tab", 9)
        reached.append(page.run(FOCUSED))
        assert page.run(SHOWS_FOCUS)
    told = "\n".join(reached)
    for wanted in ("Skip to the content", "EN", "Log out", "Verify", "owner", "amount", "template_id", "Show"):
        assert wanted in told, told


def test_balances_explain_their_order(page: Page) -> None:
    open_section(page, "account")
    page.write("[name=amount]", "40")
    page.run("document.querySelector('[name=template_id]').value = 'poster'")
    submit(page)
    rows = page.run(
        "[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText.trim()))"
    )
    assert sum(Decimal(row[2]) for row in rows) == 40, rows
    assert [row[1] for row in rows] == ["campaign", "new user", "purchased"][-len(rows) :]
    assert [row[7] for row in rows] == [*["type"] * (len(rows) - 1), ""]
    page.write("[name=amount]", "100000")
    submit(page)
    assert "is missing" in text_of(page)
    page.write("[name=amount]", "1.5.2")
    submit(page)
    page.until("document.querySelector('[role=alert]')")
    assert all("422" in error for error in page.errors)
    page.errors.clear()


def test_the_ledger_is_filtered_and_drawn(page: Page, worked: str) -> None:
    open_section(page, "ledger")
    kinds = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[1].innerText.trim())"
    assert {"grant", "hold", "capture", "charge"} <= set(page.run(kinds))
    assert "-0.000001" in text_of(page)
    assert page.run("document.querySelectorAll('.chart .axis').length") >= 6
    page.run("document.querySelector('.chart svg').focus()")
    page.key("Home", 36)
    first = text_of(page, ".chart output")
    assert "20 after grant +20" in first and first == page.run(
        "document.querySelector('.chart svg').getAttribute('aria-valuetext')"
    )
    page.key("End", 35)
    assert text_of(page, ".chart output") != first
    page.run("document.querySelector('[name=kind]').value = 'hold'")
    submit(page)
    assert set(page.run(kinds)) == {"hold"}
    page.write("[name=task_id]", "nothing")
    submit(page)
    assert "No entry matches." in text_of(page)
    page.write("[name=task_id]", "done")
    page.run("document.querySelector('[name=kind]').value = ''")
    submit(page)
    assert len(page.run(kinds)) >= 2


def test_pages_of_the_ledger_follow_each_other(page: Page, worked: str) -> None:
    headers = {"authorization": f"Bearer {TOKENS['studio-worker']}"}
    with httpx.Client(headers=headers) as client:
        for number in range(30):
            charge = {
                "tenant_id": "acme",
                "user_id": "chen",
                "template_id": "poster",
                "amount": "0.01",
                "priority": "standard",
                "reason": str(number),
            }
            answer = client.post(f"{worked}/api/v1/credits/charge", json=charge)
            if answer.status_code == 429:
                break
    open_section(page, "ledger")
    page.write("[name=owner]", "user:chen")
    submit(page)
    rows = "document.querySelectorAll('tbody tr').length"
    before = page.run(rows)
    if before == 25:
        page.click("main .buttons:last-child button")
        page.until(f"{rows} > 25")
    times = page.run("[...document.querySelectorAll('tbody tr td:nth-child(5)')].map(cell => cell.innerText)")
    assert len(times) == len(set(times))


def test_what_data_says_is_text(page: Page) -> None:
    for name in ("ledger", "events"):
        use(page, name)
        page.run("document.querySelectorAll('details').forEach(details => details.open = true)")
        settled(page)
        assert page.run("document.querySelector('main img, main b')") is None
        assert HOSTILE in page.run("document.querySelector('main').textContent"), name


def test_events_come_live_and_go_on_after_a_break(page: Page, worked: str) -> None:
    open_section(page, "events")
    page.until("document.querySelector('[role=status]').innerText === 'Live'")
    page.click("main .buttons button:nth-of-type(3)")
    order(worked, "alice", task_id="live", template_id="avatar")
    page.until("document.querySelector('main').innerText.includes('task completed')")
    page.click("main .buttons button:nth-of-type(1)")
    page.until("document.querySelector('[role=status]').innerText === 'Paused'")
    order(worked, "alice", task_id="missed", template_id="avatar")
    ended(worked, "missed", "alice")
    assert "missed" not in text_of(page)
    page.click("main .buttons button:nth-of-type(1)")
    page.until(
        "[...document.querySelectorAll('.events > li')].filter(line => line.innerText.includes('missed')).length >= 8"
    )
    told = page.run(
        "[...document.querySelectorAll('.events > li pre')].map(line => JSON.parse(line.textContent).event_id)"
    )
    assert len(told) == len(set(told))
    assert (
        sum(
            "missed" in line
            for line in page.run("[...document.querySelectorAll('.events > li')].map(line => line.innerText)")
        )
        == 8
    )


def test_the_stream_resumes_after_the_last_id(worked: str) -> None:
    with httpx.Client(base_url=worked) as client:
        client.post("/console/api/login", json={"token": TOKENS["olivia"]}).raise_for_status()
        first = ids(client, 6, oldest="true")
        headers = {"last-event-id": first[2]}
        assert ids(client, 3, headers=headers) == first[3:]
        assert ids(client, 3, after=first[2]) == first[3:]


def ids(client: httpx.Client, count: int, headers: dict[str, str] | None = None, **query: str) -> list[str]:
    """The ids of the first events of a stream; a heartbeat is none."""
    found: list[str] = []
    with client.stream("GET", "/console/api/events", params=query, headers=headers, timeout=10) as stream:
        last = ""
        for line in stream.iter_lines():
            last = line.removeprefix("id: ") if line.startswith("id: ") else last
            if line == "event: event":
                found.append(last)
            if len(found) == count:
                return found
    raise AssertionError("the stream ended")


def test_a_stream_that_is_refused_begins_anew(page: Page, worked: str) -> None:
    page.send("Network.setBlockedURLs", urls=["*api/events*"])
    open_section(page, "events")
    page.until("document.querySelector('[role=status]').innerText.startsWith('Interrupted')")
    page.send("Network.setBlockedURLs", urls=[])
    page.until("document.querySelector('[role=status]').innerText === 'Live'")
    page.send("Network.clearBrowserCookies")
    page.run("document.querySelector('[data-language=zh]').click()")
    page.until("document.querySelector('[name=token]')")
    assert all("ERR_BLOCKED" in error or "401" in error for error in page.errors), page.errors
    page.errors.clear()


def test_prices_are_previewed(page: Page) -> None:
    use(page, "prices")
    shown = text_of(page)
    for wanted in (
        "25.75",
        "25.75 \N{EN DASH} 38.63",
        "pricing_v20250918",
        "cn-deep-synthesis",
        "Suggested top-up",
        "accelerated",
        "voice",
    ):
        assert wanted in shown, wanted


def test_a_price_book_is_checked(page: Page) -> None:
    use(page, "book")
    assert "5 mistakes" in text_of(page)
    assert "rounding.mode" in text_of(page)
    page.write("textarea", "{version: 7, effective_at: 2026-01-01T00:00:00Z, unit: credit, scenes: {film: 1}}")
    submit(page)
    assert "pricing_v7" in text_of(page)


def test_licences_and_risk_are_shown(page: Page) -> None:
    open_section(page, "licences")
    for wanted in ("clip-partner", "documents missing", "business_licence: missing", "unlimited"):
        assert wanted in text_of(page)
    open_section(page, "risk")
    for wanted in ("of 200", "20 times in 60 s", "mallory", "Asia/Shanghai"):
        assert wanted in text_of(page)


def test_verify_says_that_the_books_are_right(page: Page) -> None:
    use(page, "verify")
    assert "nothing parts from the ledger" in text_of(page)


def test_amounts_never_go_through_a_float(page: Page) -> None:
    kept = page.run(AMOUNTS)
    assert kept["amounts"] == ["9223372036854.775807", "-0.000001", "+9007199254740993.1"]
    assert kept["ticks"] == [["0", "100", "200", "300", "400"], ["-5", "0", "5"]]
    assert kept["share"] == 0.25
    sources = "".join(path.read_text("utf-8") for path in STATIC.rglob("*.js"))
    assert not re.search(r"parseFloat|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", sources)


def test_a_service_that_is_gone_is_told(page: Page) -> None:
    page.send("Network.emulateNetworkConditions", offline=True, latency=0, downloadThroughput=-1, uploadThroughput=-1)
    try:
        open_section(page, "licences")
        assert "The service cannot be reached." in text_of(page)
    finally:
        page.send(
            "Network.emulateNetworkConditions", offline=False, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )
    page.click("[role=alert] button")
    page.until("document.querySelector('tbody tr')")
    assert all("ERR_INTERNET_DISCONNECTED" in error for error in page.errors)
    page.errors.clear()


def test_colours_can_be_told_apart() -> None:
    sheet = (STATIC / "console.css").read_text("utf-8")
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", sheet.split("@media")[0]))
    dark = light | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", sheet.split("@media")[1]))
    on_surfaces = [
        (ink, ground)
        for ink in ("ink", "muted", "accent", "plus", "minus", "warn")
        for ground in ("ground", "surface", "sunken")
    ]
    soft = [(ink, f"{ink}-soft") for ink in ("accent", "plus", "minus", "warn")]
    for colours in (light, dark):
        for ink, ground in [*on_surfaces, *soft, ("on-accent", "accent"), ("muted", "minus-soft")]:
            assert contrast(colours[ink], colours[ground]) >= 4.5, (
                ink,
                ground,
                contrast(colours[ink], colours[ground]),
            )
        assert contrast(colours["strong-line"], colours["surface"]) >= 3
    assert not re.search(r"#[0-9a-f]{3,6}\b", sheet.split("* { box-sizing")[1]), "colours stand at the top alone"


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as WCAG counts it."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
