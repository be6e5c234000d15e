"""The page in a real browser: Debian's Chromium, or any other that CHROMIUM names."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.gallery.fake import WORDS
from tests.service.conftest import CHROMIUM, Server, make_gallery, make_table
from tmcir.gallery import Gallery
from tmcir.gallery.query import WITHOUT_WEIGHT

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: chromium"),
]

KEY = "a-key-of-enough-length"
RESULTS = "#grid[aria-busy=false] .score"


@pytest.fixture(scope="module")
def large_gallery(tmp_path_factory: pytest.TempPathFactory) -> Gallery:
    return make_gallery(tmp_path_factory.mktemp("page"), 30)


@pytest.fixture(scope="module")
def address(large_gallery: Gallery) -> Iterator[str]:
    server = Server(large_gallery)
    yield server.start()
    server.stop()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open the page; what the browser's console complains of fails the test."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_page(address: str, expected: str = "", **options: Any) -> Any:
        options = {"viewport": {"width": 1280, "height": 900}, **options}
        context = browser.new_context(**options)
        context.set_default_timeout(15_000)
        contexts.append(context)
        page = context.new_page()

        def note(text: str) -> None:
            if not expected or expected not in text:
                complaints.append(text)

        page.on("console", lambda line: note(line.text) if line.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def ask(page: Any, text: str) -> None:
    page.fill("#text", text)
    with page.expect_response("**/api/v1/search**"):
        page.press("#text", "Enter")
    page.wait_for_selector(RESULTS)


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".card .name").all_inner_texts()
    return found


def steps(page: Any) -> list[str]:
    found: list[str] = page.locator("#trail .step").all_inner_texts()
    return found


def act(page: Any, selector: str) -> None:
    """Click what starts a search, and wait for its answer."""
    with page.expect_response("**/api/v1/search**"):
        page.click(selector)
    page.wait_for_selector("#grid[aria-busy=false]")


def picture(colour: str = "red") -> dict[str, Any]:
    buffer = io.BytesIO()
    Image.new("RGB", (60, 60), colour).save(buffer, "PNG")
    return {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


def test_search_refine_and_undo(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    page.wait_for_selector(".card")
    assert page.title() == "Shop" and page.inner_text("#count") == "30 photos"
    ask(page, "in red")
    assert page.inner_text("#heading") == "Results for “in red”"
    first = names(page)
    assert len(first) == 24 and not page.is_visible("#balance")
    act(page, ":nth-match(.card, 2) .picture")
    assert page.inner_text("#shown-name") == first[1] and first[1] not in names(page)
    assert page.evaluate("document.activeElement.id") == "text"
    ask(page, "in navy")
    assert page.inner_text("#heading") == "Like the picture, but in navy"
    refined = names(page)
    assert steps(page) == ["in red", first[1], "in navy"]
    act(page, ":nth-match(.card, 3) .rate.down")
    assert refined[2] not in names(page) and steps(page)[-1] == "Not like this"
    act(page, ":nth-match(.card, 2) .rate:not(.down)")
    assert steps(page)[-1] == "More like this"
    act(page, "#undo")
    act(page, "#undo")
    assert names(page) == refined
    act(page, "#trail li:first-child .step")
    assert names(page) == first and steps(page) == ["in red"]
    with page.expect_response("**/api/v1/search**"):
        page.go_back()  # the browser's own way back works, too
    page.wait_for_selector(RESULTS)
    assert names(page) == refined
    page.click("#new")
    page.wait_for_selector("[data-view=start] .card")
    assert page.inner_text("#heading") == "Or start from one of these"


def test_more_results_go_on(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    ask(page, "shoes")
    act(page, "#more")
    assert len(set(names(page))) == len(names(page)) == 30
    assert not page.is_visible("#more")
    focused = "document.activeElement.closest('.card')?.querySelector('.name').textContent"
    assert page.evaluate(focused) == names(page)[24]


def test_filters_narrow_the_results(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    ask(page, "shoes")
    page.click("#filters > summary")
    assert page.locator(".facet > summary").all_inner_texts() == ["Base colour", "Year"]
    page.click("[data-column=baseColour] > summary")
    act(page, "[data-column=baseColour] .chip:has-text('Red')")
    assert len(names(page)) == 10 and page.inner_text("#filter-count") == "1"
    act(page, "[data-column=baseColour] .chip:has-text('Green')")
    assert len(names(page)) == 20
    page.click("[data-column=year] > summary")
    act(page, "[data-column=year] .chip:has-text('2003')")
    assert len(names(page)) == 4
    assert page.locator("#chosen .chip").count() == 3
    act(page, "#chosen .chip:has-text('2003')")
    assert len(names(page)) == 20


def test_a_filter_of_18_digits_is_exact(open_page: Callable[..., Any], tmp_path: Path) -> None:
    skus = [100000000000000000 + number // 2 for number in range(8)]
    server = Server(make_table(tmp_path, "sku", [str(sku) for sku in skus]))
    try:
        page = open_page(server.start())
        ask(page, "shoes")
        page.click("#filters > summary")
        page.click("[data-column=sku] > summary")
        chips = page.locator("[data-column=sku] .chip")
        labels = [chip.inner_text().removesuffix("2").strip() for chip in chips.all()]
        assert labels == [str(sku) for sku in sorted(set(skus))]
        with page.expect_response("**/api/v1/search") as answer:
            chips.nth(3).click()
        ids = {hit["id"] for hit in answer.value.json()["hits"]}
        assert ids == {"shoes/006.png", "007.png"}
        page.wait_for_selector("#grid[aria-busy=false]")
        assert page.inner_text("#chosen .chip").startswith("100000000000000003")
        linked = open_page(page.url)
        linked.wait_for_selector("#chosen .chip:has-text('100000000000000003')")
        linked.wait_for_selector(RESULTS)
        assert linked.locator(".card").count() == 2
    finally:
        server.stop()


def test_a_table_of_hundreds_of_columns_opens(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    header = ",".join(f"column_{number}" for number in range(300))
    rows = [",".join(str(row % 3) for _ in range(300)) for row in range(6)]
    server = Server(make_table(tmp_path, header, rows))
    try:
        page = open_page(server.start())
        page.wait_for_selector("#count:has-text('6 photos')")
        ask(page, "shoes")
        page.click("#filters > summary")
        assert page.locator(".facet").count() == 200
    finally:
        server.stop()


def test_no_result_says_what_to_do(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    hash_ = '#search={"turns":[{"text":"x"}],"filters":{"baseColour":["Pink"]}}'
    page.goto(address + hash_)
    page.reload()
    page.wait_for_selector("#message-button:has-text('Clear filters')")
    act(page, "#message-button")
    assert len(names(page)) == 24


def test_a_picture_is_chosen_and_its_balance_moved(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(address)
    with page.expect_response("**/api/v1/search/upload"):
        page.set_input_files("#file", picture())
    page.wait_for_selector(RESULTS)
    assert page.inner_text("#heading") == "Similar to the picture"
    assert page.is_disabled("#share") and page.evaluate("location.hash") == ""
    ask(page, "in navy")
    balanced = names(page)
    with page.expect_response("**/api/v1/search/upload") as answer:
        page.focus("#balance")
        page.keyboard.press("End")
    assert answer.value.json()["query"]["balance"] == 1
    page.wait_for_selector("#grid[aria-busy=false]")
    assert page.get_attribute("#balance", "aria-valuetext") == "100 % closer to the words"
    assert names(page) != balanced


def test_a_large_picture_is_made_smaller_first(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    buffer = io.BytesIO()
    Image.effect_noise((1500, 900), 90).save(buffer, "PNG", compress_level=0)
    assert len(buffer.getvalue()) > 1_000_000
    with page.expect_request("**/api/v1/search/upload") as sent:
        page.set_input_files(
            "#file", {"name": "a.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
    page.wait_for_selector(RESULTS)
    length = int(sent.value.all_headers()["content-length"])
    assert length < 800_000


def test_a_picture_is_pasted_or_dropped(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    page.wait_for_selector(".card")
    send = """([kind, transfer]) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
      return new Promise((done) => canvas.toBlob((blob) => {
        const data = new DataTransfer();
        data.items.add(new File([blob], "a.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true, [transfer]: data };
        const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
        document.body.dispatchEvent(new Kind(kind, options));
        done();
      }));
    }"""
    for kind, transfer in (("paste", "clipboardData"), ("drop", "dataTransfer")):
        with page.expect_response("**/api/v1/search/upload") as answer:
            page.evaluate(send, [kind, transfer])
        assert answer.value.status == 200


def test_errors_say_what_to_do(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address, expected="Failed to load resource")
    ask(page, "in red")
    before = names(page)
    broken = {"name": "a.png", "mimeType": "image/png", "buffer": b"nothing"}
    page.set_input_files("#file", broken)
    page.wait_for_selector("#message[role=alert]")
    assert page.inner_text("#message-title") == "That picture cannot be read"
    assert page.inner_text("#message-button") == "Choose another picture"
    assert names(page) == before and steps(page) == ["in red"]
    page.context.set_offline(True)
    page.fill("#text", "in navy")
    page.press("#text", "Enter")
    page.wait_for_selector("#message-title:has-text('cannot be reached')")
    page.context.set_offline(False)
    act(page, "#message-button")
    assert steps(page) == ["in red", "in navy"] and not page.is_visible("#message")


def test_a_busy_service_is_asked_again(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address, expected="503")
    answers = iter([True, False])

    def busy_once(route: Any) -> None:
        if next(answers):
            body = '{"error": {"code": "busy", "message": "too many"}}'
            route.fulfill(status=503, body=body, headers={"Retry-After": "0"})
        else:
            route.continue_()

    page.route("**/api/v1/search", busy_once)
    page.fill("#text", "in red")
    page.press("#text", "Enter")
    page.wait_for_selector(RESULTS)
    assert next(answers, None) is None


def test_a_link_leads_to_the_same_search(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    act(page, ":nth-match(.card, 1) .picture")
    ask(page, "in navy")
    expected = names(page)
    other = open_page(page.url)
    other.wait_for_selector(RESULTS)
    assert names(other) == expected and steps(other) == steps(page)
    assert other.inner_text("#shown-name").startswith("Thing number")


@pytest.mark.parametrize(
    "content", ["%7B", "null", '{"turns":[null,{"text":7}]}', '{"turns":{"a":1},"filters":[1]}']
)
def test_a_damaged_link_does_no_harm(
    open_page: Callable[..., Any], address: str, content: str
) -> None:
    page = open_page(f"{address}#search={content}", expected="Failed to load resource")
    page.wait_for_selector(".card, #message:not([hidden])")


def test_why_shows_patches_and_words(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    explanation = """{"gate": {"image": 0.5, "text": 1.5}, "grid": {"rows": 2, "columns": 2},
        "region": {"left": -0.5, "top": 0, "right": 1.5, "bottom": 1}, "matched_share": 0.5,
        "threshold": 0.1, "similarity": null, "patches_matter": true, "words": [
        {"text": "in", "patches": [], "image_share": 0},
        {"text": " ", "patches": [], "image_share": 0},
        {"text": "navy", "image_share": 0.5, "patches":
         [{"row": 0, "column": 1, "weight": 1}, {"row": 1, "column": 1, "weight": 0.5}]}]}"""
    page.route(
        "**/api/v1/explain",
        lambda route: route.fulfill(body=explanation, content_type="application/json"),
    )
    act(page, ":nth-match(.card, 1) .picture")
    ask(page, "in navy")
    page.click("#why")
    page.wait_for_selector("#explanation[open]")
    assert page.locator("#explanation-gate").inner_text().split("\n")[-2:] == [
        "Picture 25 %",
        "Words 75 %",
    ]
    # photos are 16 x 16: the padded square is 32 wide, a patch 16 x 8, column 1 begins at 8
    patch = page.locator("#explanation-picture rect").nth(0)
    place = [patch.get_attribute(name) for name in ("x", "y", "width", "height")]
    assert place == ["8", "0", "16", "8"]
    assert page.locator(".word").all_inner_texts() == ["in", "navy\n2 parts"]
    assert page.locator(".word:disabled").inner_text() == "in"
    page.click(".word:has-text('navy')")
    assert page.get_attribute(".word:has-text('navy')", "aria-pressed") == "true"
    page.keyboard.press("Escape")
    assert not page.is_visible("#explanation")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"patches_matter": False}, ["Picture and words count as a whole"]),
        ({"words": []}, ["Picture and words count as a whole"]),
        ({"gate": None, "patches_matter": False}, ["0.81 like the picture", "0.42 like the words"]),
    ],
)
def test_why_says_nothing_of_patches_that_do_not_matter(
    open_page: Callable[..., Any], address: str, change: dict[str, Any], expected: list[str]
) -> None:
    page = open_page(address)
    patches = [{"row": 0, "column": 0, "weight": 1}]
    explanation = {
        "gate": {"image": 1.2, "text": 0.8},
        "similarity": {"image": 0.81, "text": 0.42},
        "patches_matter": True,
        "words": [{"text": "the", "patches": patches, "image_share": 0.9}],
        "grid": {"rows": 1, "columns": 1},
        "region": None,
        "matched_share": 1.0,
        "threshold": 0.1,
        **change,
    }
    body = json.dumps(explanation)
    page.route(
        "**/api/v1/explain", lambda route: route.fulfill(body=body, content_type="application/json")
    )
    act(page, ":nth-match(.card, 1) .picture")
    ask(page, "in navy")
    page.click("#why")
    page.wait_for_selector("#explanation[open]")
    text = page.inner_text("#explanation")
    assert all(words in text for words in expected)
    assert "new" not in text and "part of the picture belongs" in text
    assert page.locator(".word").count() == 0
    assert page.locator("#explanation-picture rect").count() == 0


def test_results_without_something(
    open_page: Callable[..., Any], address: str, large_gallery: Gallery
) -> None:
    page = open_page(address)
    page.wait_for_selector(".card")
    page.fill("#without", "buttons")
    page.press("#without", "Enter")  # alone it asks for nothing
    assert page.evaluate("document.activeElement.id") == "text"
    assert page.input_value("#without") == "buttons"
    page.fill("#without", "buttons, a belt")
    ask(page, "in red")
    assert steps(page) == ["in red, without buttons, a belt"]
    assert page.inner_text("#heading") == "Results for \u201cin red, without buttons, a belt\u201d"
    terms = [("buttons", WITHOUT_WEIGHT), ("a belt", WITHOUT_WEIGHT)]
    hits = large_gallery.search(text="in red", terms=terms, k=24)
    assert names(page) == [hit.metadata["title"] for hit in hits]
    page.fill("#without", "pockets")
    with page.expect_response("**/api/v1/search**"):
        page.press("#without", "Enter")
    page.wait_for_selector(RESULTS)
    assert steps(page)[-1] == "without pockets" and page.input_value("#without") == ""
    linked = open_page(page.url)
    linked.wait_for_selector(RESULTS)
    assert names(linked) == names(page) and steps(linked) == steps(page)


def test_a_line_shows_where_nothing_closer_follows(
    open_page: Callable[..., Any], address: str
) -> None:
    page = open_page(address)
    first = 5  # of all results that is weak

    def answer(route: Any) -> None:
        response = route.fetch()
        content = response.json()
        offset = route.request.post_data_json["offset"]
        for place, hit in enumerate(content["hits"], start=offset):
            hit["relevance"] = 0.9 if place < first else 0.01
        route.fulfill(response=response, json=content)

    page.route("**/api/v1/search", answer)
    ask(page, "in red")
    items = page.locator("#grid > li").all_inner_texts()
    line = "Nothing closer than this. What follows is only roughly alike."
    assert items.index(line) == 5 and items.count(line) == 1 and len(items) == 25
    assert page.locator(".score").all_inner_texts()[4:6] == ["90 %", "1 %"]
    with page.expect_response("**/api/v1/search"):
        page.click("#more")
    page.wait_for_selector(":nth-match(.card, 30)")
    assert page.locator(".closest").count() == 1 and len(names(page)) == 30
    first = 0
    ask(page, "in blue")
    assert page.inner_text("#grid > li:first-child") == (
        "Nothing here is close to this. These come nearest."
    )
    first = 99
    ask(page, "in green")
    assert page.locator(".closest").count() == 0


def test_an_article_number_finds_the_article(
    open_page: Callable[..., Any], address: str, large_gallery: Gallery
) -> None:
    page = open_page(address)
    ask(page, "do you have 017?")
    title = large_gallery.item("017.png").metadata["title"]
    assert names(page)[0] == title
    assert page.locator(".closest").count() == 0  # it is what was asked for, near or not
    page.click("#new")
    page.wait_for_selector("[data-view=start] .card")
    with page.expect_request("**/api/v1/search") as asked:
        ask(page, "number")
    assert asked.value.post_data_json["words"] == []
    page.click("#filters summary")
    with page.expect_request("**/api/v1/search") as asked:
        act(page, "#words")
    assert asked.value.post_data_json["words"] == ["id", "title"]
    assert page.get_attribute("#words", "aria-pressed") == "true"
    linked = open_page(page.url)
    linked.wait_for_selector(RESULTS)
    assert names(linked) == names(page)


def test_the_end_that_is_not_read_is_shown(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    ask(page, "red " * WORDS + "pockets, but in blue")
    assert page.inner_text("#unread") == "Too long: \u201cpockets, but in blue\u201d was not read."
    page.click("#new")
    page.wait_for_selector("[data-view=start] .card")
    assert not page.is_visible("#unread")


def test_the_keyboard_is_enough(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    page.wait_for_selector(".card")
    focused = "document.activeElement.id || document.activeElement.className"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "heading"
    page.keyboard.press("/")
    assert page.evaluate(focused) == "text"
    page.keyboard.type("shoes")
    page.keyboard.press("Enter")
    page.wait_for_selector(RESULTS)
    first = names(page)
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate(focused) == "picture":
            break
    position = "[...document.querySelectorAll('.picture')].indexOf(document.activeElement)"
    assert page.evaluate(position) == 0
    columns = page.evaluate(
        "getComputedStyle(document.querySelector('#grid')).gridTemplateColumns.split(' ').length"
    )
    for key, place in (
        ("ArrowRight", 1),
        ("ArrowDown", 1 + columns),
        ("ArrowLeft", columns),
        ("ArrowUp", 0),
        ("End", 23),
        ("ArrowRight", 23),
        ("Home", 0),
        ("ArrowRight", 1),
    ):
        page.keyboard.press(key)
        assert page.evaluate(position) == place, key
    page.keyboard.press("Tab")  # the card's details and its own buttons, then out of the grid
    assert page.evaluate(focused) == "name"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "rate down"
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "more"
    for _ in range(4):
        page.keyboard.press("Shift+Tab")
    with page.expect_response("**/api/v1/search"):
        page.keyboard.press("Enter")
    assert steps(page) == ["shoes", first[1]] and page.evaluate(focused) == "text"


def test_screen_readers_are_explanation(open_page: Callable[..., Any], address: str) -> None:
    page = open_page(address)
    ask(page, "shoes")
    assert page.inner_text("#status") == "24 results and more"
    nameless = page.evaluate(
        """[...document.querySelectorAll("button, input, summary, img")].filter((one) =>
          one.checkVisibility() && one.tagName !== "IMG" && !(one.getAttribute("aria-label")
          || one.labels?.length || one.textContent.trim())).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("[aria-current=step]").count() == 1
    assert page.evaluate(
        "[...document.querySelectorAll('img')].every((one) => one.hasAttribute('alt'))"
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_is_enough(
    open_page: Callable[..., Any], address: str, scheme: str
) -> None:
    page = open_page(
        address, viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True
    )
    for prepare in (lambda: ask(page, "a long text " * 12), lambda: act(page, ".card .picture")):
        prepare()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        small = page.evaluate(
            """[...document.querySelectorAll("main button")].filter((one) => one.checkVisibility()
            && one.getBoundingClientRect().height < 28).map((one) => one.outerHTML)"""
        )
        assert small == []
    boxes = [page.locator(".picture").nth(n).bounding_box() for n in range(2)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[0]["width"] > 140
    # readable: the text's contrast against the ground
    colours = page.evaluate(
        "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
    )
    light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
    assert (light + 0.05) / (dark + 0.05) > 7


def luminance(colour: str) -> float:
    """Relative luminance of ``rgb(r, g, b)``, WCAG 2.2."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_key_is_asked_for(
    open_page: Callable[..., Any], tmp_path: Path, large_gallery: Gallery
) -> None:
    server = Server(large_gallery, api_keys=(KEY,))
    try:
        page = open_page(server.start(), expected="401")
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#key-text:has-text('does not open')")
        page.wait_for_selector("#key-dialog[open]")
        page.fill("#key", KEY)
        page.keyboard.press("Enter")
        page.wait_for_selector(".card img[src^='blob:']")
        ask(page, "in red")
        assert len(names(page)) == 24
        page.close()  # before the service: pictures may still be on their way
    finally:
        server.stop()


# A shop's table


@pytest.fixture(scope="module")
def shop_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    header = "product_id,title,price,url,added"
    rows = [
        f"P{number // 2},Thing number {number},{number + 0.5},"
        f"{'javascript:alert(1)' if number == 7 else f'https://shop.example/p/{number}'},"
        f"2024-01-{number + 1:02} 10:00"
        for number in range(30)
    ]
    server = Server(make_table(tmp_path_factory.mktemp("shop"), header, rows))
    yield server.start()
    server.stop()


def numbers(page: Any) -> list[int]:
    return [int(name.rpartition(" ")[2]) for name in names(page)]


def test_results_lead_to_the_product(open_page: Callable[..., Any], shop_address: str) -> None:
    page = open_page(shop_address)
    ask(page, "shoes")
    shown = numbers(page)
    assert len({number // 2 for number in shown}) == len(shown) == 15  # one tile a product
    first = shown[0]
    card = page.locator(".card").first
    assert card.locator(".price").inner_text() == f"{first}.50"
    link = card.locator("a.shop")
    assert link.get_attribute("href") == f"https://shop.example/p/{first}"
    assert link.get_attribute("rel") == "noopener noreferrer"
    assert "2 photos" in card.inner_text()
    card.locator(".name").click()
    page.wait_for_selector("#product[open]")
    assert page.inner_text("#product-title") == f"Thing number {first}"
    assert page.inner_text("#product-price") == f"{first}.50"
    assert page.get_attribute("#product-link", "href") == f"https://shop.example/p/{first}"
    cells = dict(zip(*[page.locator(f"#product-columns {one}").all_inner_texts()
                       for one in ("dt", "dd")], strict=True))  # fmt: skip
    assert cells["Product id"] == f"P{first // 2}" and cells["Photo"].endswith(".png")
    assert cells["Added"] == f"2024-01-{first + 1:02} 10:00"
    page.click("#product-others button")  # the other photo of the same product
    other = first ^ 1
    page.wait_for_selector(f"#product-title:has-text('Thing number {other}')")
    act(page, "#product-actions .primary")
    assert not page.is_visible("#product") and steps(page) == ["shoes", f"Thing number {other}"]
    assert first // 2 not in {number // 2 for number in numbers(page)}


def test_each_photo_is_a_tile_on_request(open_page: Callable[..., Any], shop_address: str) -> None:
    page = open_page(shop_address)
    ask(page, "shoes")
    page.click("#filters > summary")
    act(page, "#group")
    assert len(names(page)) == 24 and page.get_attribute("#group", "aria-pressed") == "false"
    linked = open_page(page.url)
    linked.wait_for_selector(RESULTS)
    assert names(linked) == names(page)


def test_an_address_that_is_none_is_no_link(open_page: Callable[..., Any], tmp_path: Path) -> None:
    rows = [f"Thing number {n},{'javascript:alert(1)' if n else 'https://x.example/1'}"
            for n in range(2)]  # fmt: skip
    server = Server(make_table(tmp_path, "title,url", rows))
    try:
        page = open_page(server.start())
        page.route(  # as if someone had said that this column is the link
            "**/api/v1/gallery",
            lambda route: route.fulfill(
                json={**route.fetch().json(), "roles": {
                    "title": "title", "link": "url", "price": None, "group": None}}
            ),
        )  # fmt: skip
        page.reload()
        page.wait_for_selector(".card")
        hrefs = [link.get_attribute("href") for link in page.locator("a.shop").all()]
        assert hrefs == ["https://x.example/1"]
        page.click(".card:has-text('Thing number 1') .name")
        page.wait_for_selector("#product[open]")
        assert not page.is_visible("#product-link") and page.locator("dd a").count() == 0
    finally:
        server.stop()


def fill(page: Any, column: str, side: int, value: str) -> None:
    """Fill one side of a range, leave the field, and wait for the answer."""
    place = page.locator(f"[data-column={column}] .range input").nth(side)
    place.fill(value)
    with page.expect_response("**/api/v1/search**"):
        place.press("Tab")
    page.wait_for_selector("#grid[aria-busy=false]")


def test_numbers_and_dates_have_ranges(open_page: Callable[..., Any], shop_address: str) -> None:
    page = open_page(shop_address)
    ask(page, "shoes")
    page.click("#filters > summary")
    assert page.locator(".facet > summary").all_inner_texts() == ["Product id", "Price", "Added"]
    page.click("[data-column=price] > summary")
    fill(page, "price", 0, "20")
    assert page.evaluate("document.activeElement.ariaLabel") == "Price, to"  # where Tab leads
    assert {number // 2 for number in numbers(page)} == set(range(10, 15))
    fill(page, "price", 1, "25.5")
    assert {number // 2 for number in numbers(page)} == {10, 11, 12}
    assert page.locator("#chosen .chip").inner_text().startswith("Price 20 to 25.5")
    assert page.inner_text("#filter-count") == "1"
    page.click("[data-column=added] > summary")
    fill(page, "added", 1, "2024-01-23")  # the whole day
    assert {number // 2 for number in numbers(page)} == {10, 11}
    linked = open_page(page.url)
    linked.wait_for_selector(RESULTS)
    assert names(linked) == names(page)
    act(page, "#chosen .chip >> nth=0")
    assert {number // 2 for number in numbers(page)} == set(range(12))
    act(page, "#chosen .chip >> nth=0")
    assert len(names(page)) == 15 and not page.is_visible("#filter-count")


def test_relevant_results_are_sorted(open_page: Callable[..., Any], shop_address: str) -> None:
    page = open_page(shop_address)
    page.wait_for_selector(".card")
    assert not page.is_visible("#sort")
    ask(page, "shoes")
    labels = page.locator("#sort option").all_inner_texts()
    assert labels == ["Most relevant first", "Price, low to high", "Price, high to low",
                      "Added, oldest first", "Added, newest first"]  # fmt: skip
    nearest = names(page)
    with page.expect_response("**/api/v1/search"):
        page.select_option("#sort", label="Price, high to low")
    page.wait_for_selector("#grid[aria-busy=false]")
    assert numbers(page) == sorted(numbers(page), reverse=True)
    linked = open_page(page.url)
    linked.wait_for_selector(RESULTS)
    assert names(linked) == names(page)
    assert linked.input_value("#sort") == page.input_value("#sort")
    with page.expect_response("**/api/v1/search"):
        page.select_option("#sort", label="Most relevant first")
    page.wait_for_selector("#grid[aria-busy=false]")
    assert names(page) == nearest


def test_no_edge_shows_between_a_picture_and_its_paper_in_the_dark(
    open_page: Callable[..., Any], tmp_path: Path
) -> None:
    gallery = make_gallery(tmp_path, 1)
    Image.new("RGB", (120, 60), "white").save(tmp_path / "photos" / "shoes" / "000.png")
    gallery.add(tmp_path / "photos")
    server = Server(gallery)
    try:
        page = open_page(server.start(), color_scheme="dark")
        page.wait_for_selector(".card img")
        page.wait_for_function("document.querySelector('.card img').complete")
        shot = Image.open(io.BytesIO(page.locator(".picture").screenshot())).convert("L")
        levels = np.asarray(shot)[shot.height // 10 : -shot.height // 10, shot.width // 2]
        assert np.ptp(levels) <= 2 and 200 < levels[0] < 250
    finally:
        server.stop()


def test_the_keyboard_reaches_details_and_product(
    open_page: Callable[..., Any], shop_address: str
) -> None:
    page = open_page(shop_address)
    ask(page, "shoes")
    page.evaluate("document.querySelector('.card .picture').focus()")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "shop"
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#product[open]")
    assert page.evaluate("document.activeElement.id") == "product-title"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") in ("product-close", "product-link")
    page.keyboard.press("Escape")
    assert not page.is_visible("#product")
    assert page.evaluate("document.activeElement.className") == "name"
