"""The audit page, in a real browser without network: what it shows, and that nothing hostile in a registry runs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from support import Clock, Place, Randomness, heads_of

from eventlog.engines.jsonl_head import format_slot
from eventlog.signed_note import KIND_LOG, PrivateKey
from scripts.manage_models import main

KEY = PrivateKey("example.com/models", KIND_LOG, bytes(range(32)))
HOSTILE = (
    "</td></script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">\x1b[2J\u202e"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, headless."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    assert path is not None, "install the Debian package chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


def _export(place: Place, *words: str) -> Path:
    page = place.root / "audit.html"
    registry = ["--registry-dir", str(place.registry_dir), "--state-dir", str(place.state_dir)]
    assert main(["export", "html", *registry, "--to", str(page), *words]) == 0
    return page


def _open(browser: Browser, path: Path, **settings: Any) -> tuple[Page, list[str]]:
    """Open a page from its file; return it and everything that it asked for or complained of."""
    page = browser.new_page(offline=True, **settings)
    heard: list[str] = []
    page.on("request", lambda request: heard.append(request.url))
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.goto(path.as_uri())
    return page, heard


@pytest.fixture
def filled(place: Place) -> Place:
    """Three models, the first active for twice as long as the others, then the first again; hostile words."""
    clock = Clock()
    registry = place.open(now=clock, random_bytes=Randomness(), sign_key=KEY.spelled())
    for name, hours in (("a", 1), ("b", 2), ("c", 1)):
        clock.step = timedelta()
        clock.time += timedelta(hours=hours)
        place.publish(name, registry=registry, backend="<b>", actor='"><i>ana', reason=HOSTILE)
    clock.time += timedelta(hours=1)
    registry.rollback(registry.list_models()[-1].model_id, actor="bob")
    return place


def test_it_shows_what_happened(filled: Place, browser: Browser) -> None:
    """The audit's result, each event in order, and the signed tree head, as the program tells them."""
    page, heard = _open(browser, _export(filled, "--public-key", str(KEY.public)))
    changes = list(filled.open().history())

    rows = page.locator("#events tbody tr")
    assert rows.count() == len(changes) == 6
    for number, change in enumerate(changes):
        cells = rows.nth(number).locator("th, td").all_inner_texts()
        assert (cells[0], cells[3], cells[8]) == (str(number), change.event.actor, change.hash[:16])
        assert cells[5] == ("" if change.model is None else "<b>")
        assert (cells[6] or None, cells[7] or None) == (
            (change.before or "none", change.after) if change.before != change.after else (None, None)
        )
    assert page.locator("dd").all_inner_texts()[:2][0] == "intact"
    assert page.locator("dd").all_inner_texts()[1].startswith("L3: ")
    note = (filled.registry_dir / "tree_head.note").read_text(encoding="utf-8")
    assert page.locator("pre").inner_text().strip() == note.strip()
    assert heard == [page.url]


def test_nothing_hostile_runs(filled: Place, browser: Browser) -> None:
    """Words from a registry are text, whatever they spell; the policy names one script and lets nothing else in."""
    path = _export(filled)
    page, heard = _open(browser, path)

    assert page.title().startswith("Model registry audit")
    assert page.locator("img, i, b, iframe, td script").count() == 0
    assert "onerror" in page.locator("#events").inner_text()
    text = path.read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    policy = page.locator("meta[http-equiv]").get_attribute("content") or ""
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('script'), {text: 'document.title=1'}))"
    )
    assert page.title() != "1"
    assert any("Content Security Policy" in line for line in heard)
    assert re.findall(r"(?:src|href)=\"", text.replace(HOSTILE, "")) == []


def test_the_picture_is_to_scale(filled: Place, browser: Browser) -> None:
    """A bar for each stretch, as wide as it was long; one lane a model; the picture says what it shows."""
    page, _ = _open(browser, _export(filled))

    bars = page.locator("svg path:has(title)")
    boxes = [bars.nth(number).bounding_box() for number in range(bars.count())]
    assert len(boxes) == 4
    widths, lefts = [box["width"] for box in boxes if box], [box["x"] for box in boxes if box]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.02)
    assert widths[1] == pytest.approx(widths[2], rel=0.02)
    assert lefts == sorted(lefts)
    assert boxes[0] is not None
    assert boxes[3] is not None
    assert boxes[0]["y"] == boxes[3]["y"]
    assert page.get_by_role("img").get_attribute("aria-labelledby") == "timeline-heading timeline-text"
    assert "3 models in 4 stretches" in (page.locator("desc").text_content() or "")
    assert "still" in (page.locator("svg title").last.text_content() or "")


def test_the_filter(filled: Place, browser: Browser) -> None:
    """It shows the events that have all the words, and says how many."""
    page, _ = _open(browser, _export(filled))

    page.get_by_label("Show events that contain").fill("bob rolled_back")

    assert page.locator("#events tbody tr:visible").count() == 1
    assert page.get_by_role("status").inner_text() == "1 of 6 events"


def test_without_script_and_on_paper(filled: Place, browser: Browser) -> None:
    """All events are there without the script; on paper the filter is gone and headings come again on each page."""
    page, _ = _open(browser, _export(filled), java_script_enabled=False)

    assert page.locator("#events tbody tr:visible").count() == 6
    assert page.locator("form").is_hidden()
    page.emulate_media(media="print")
    assert page.locator("#events").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_for_a_screen_reader(filled: Place, browser: Browser) -> None:
    """Language, headings in order, a captioned table whose headings say what they head."""
    page, _ = _open(browser, _export(filled))

    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main h1").count() == 1
    assert page.locator("main h2").count() == 3
    assert page.locator("#events caption").count() == 1
    assert page.locator('#events thead th[scope="col"]').count() == 9
    assert page.locator('#events tbody th[scope="row"]').count() == 6


def test_an_empty_history(place: Place, browser: Browser) -> None:
    """A journal in which no model was ever active makes a page, too."""
    place.publish("a")
    lines = place.lines()
    place.journal.write_bytes(lines[0])
    shutil.rmtree(place.state_dir)
    place.registry_json.unlink()
    place.head.write_bytes(format_slot(heads_of(lines[:1])[1]) * 2)

    page, _ = _open(browser, _export(place))

    assert "No model was ever active" in page.locator("main").inner_text()


def test_its_size(place: Place) -> None:
    """About 100 kB for 300 events, and not more for each one more."""
    clock = Clock(step=timedelta(minutes=37))
    registry = place.open(now=clock, random_bytes=Randomness(), sign_key=KEY.spelled())
    for number in range(298):
        place.publish(f"a{number % 20}", registry=registry, actor="ana@trainer-3", reason="nightly retraining")

    size = _export(place).stat().st_size

    assert size < 115_000, "it should be about 100 kB"
