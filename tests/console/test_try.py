"""Try it: one row answered in a real browser, with sets, intervals and reasons, and a file."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from tests.console.conftest import CSV, Console, Watched

pytestmark = pytest.mark.slow

SLIDES, RUNS = 60, 5  # the best of five runs counts: the others share the machine with something else
REPAINTED_WITHIN_MS = 100

# Move a slider, and return the milliseconds until answer and reasons of that position are painted, for each position.
SLIDE = """async ([positions]) => {
  const slider = document.querySelector("input[type=range]");
  const drawing = document.getElementById("answer").nextElementSibling.nextElementSibling; // the reasons come last
  const took = [];
  for (let at = 0; at < positions; at += 1) {
    const drawn = new Promise((done) => {
      const seen = new MutationObserver(() => { seen.disconnect(); requestAnimationFrame(() => done()); });
      seen.observe(drawing, { childList: true });
    });
    slider.value = Number(slider.min) + ((Number(slider.max) - Number(slider.min)) * at) / positions;
    const start = performance.now();
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    await drawn;
    took.push(performance.now() - start);
  }
  return took;
}"""


def test_answers_follow_the_form_and_a_file(watched: Watched, console: Console, table: Path) -> None:
    page = watched.open("#/try/churn")
    age, colour = page.get_by_label("age", exact=True), page.get_by_label("colour")
    age.fill("33")
    colour.select_option(label="red")
    row = {"age": 33, "income": float(page.get_by_label("income", exact=True).input_value()), "colour": "red"}
    [found] = console.client.post("/predict/churn", json={"instances": [row]}).json()["predictions"]
    expect(page.locator("#answer")).to_have_text(f"{found['label']} ({found['probability']:.1%})".replace("%)", " %)"))
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    age.fill("900")
    expect(page.locator(".answers")).to_contain_text("age: 900 is outside the training range")

    page.locator("#rows").set_input_files(table)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Save the predictions").click()
    assert saved.value.suggested_filename == "Kunden 2026-predictions.csv"
    assert len(Path(saved.value.path()).read_text().splitlines()) == len(CSV.splitlines())


def test_set_and_abstention_are_those_of_the_service_and_stay_in_the_address(
    watched: Watched, console: Console
) -> None:
    page = watched.open("#/try/churn")
    page.get_by_label("Confidence of the set of classes").select_option(label="95 %")
    expect(page.locator("#range")).to_contain_text("Set of 95 %")
    page.get_by_label("Decide nothing").select_option(label="where a value is unusual")
    page.get_by_label("age", exact=True).fill("900")

    expect(page.locator("#answer")).to_have_text(re.compile("^No decision: a value is unseen, outside"))
    row = {"age": 900, "income": float(page.get_by_label("income", exact=True).input_value()), "colour": "blue"}
    asked = {"instances": [row], "confidence": 0.95, "abstain": {"out_of_range": True}}
    [found] = console.client.post("/predict/churn", json=asked).json()["predictions"]
    shown = ", ".join(found["set"]) or "empty"
    expect(page.locator("#range p").first).to_have_text(re.compile(f"^Set of 95 %: {shown}"))
    expect(page.locator("pre").first).to_contain_text('"confidence":0.95')
    page.reload()
    expect(page.locator("#answer")).to_have_text(re.compile("^No decision"))


def test_code_in_python_asks_for_the_same_row(watched: Watched) -> None:
    row = {"age": None, "income": 500, "colour": "is it: true"}
    page = watched.open(f"#/try/churn?row={quote(json.dumps(row))}")
    page.get_by_text("Python", exact=True).click()
    code = page.get_by_label("Python request").inner_text()

    body = ast.literal_eval(code.partition("body = ")[2].partition("\nanswer")[0])
    assert body == {"instances": [row]}


def test_quantity_has_an_interval_that_follows_the_confidence(watched: Watched, console: Console) -> None:
    row = quote('{"age":40,"income":500,"colour":"red","churned":"no"}')
    page = watched.open(f"#/try/price?row={row}")
    asked = {"age": 40, "income": 500, "colour": "red", "churned": "no"}
    for level, shown in ((0.8, "80 %"), (0.9, "90 %")):
        page.get_by_label("Confidence of the interval").select_option(label=shown)
        body = {"instances": [asked], "confidence": level}
        [found] = console.client.post("/predict/price", json=body).json()["predictions"]
        low, high = found["interval"]
        expect(page.get_by_role("img", name=f"Answer and interval of {shown}")).to_be_visible()
        said = page.locator("#range p").first.inner_text().removeprefix(f"Interval of {shown}: ").replace(",", "")
        assert [float(end) for end in said.split(" to ")] == pytest.approx([low, high], rel=1e-3)
    page.get_by_label("Decide nothing").select_option(label="where a value is unusual")
    page.get_by_label("age", exact=True).fill("900")
    expect(page.locator("#answer")).to_have_text(re.compile("^No decision: a value is unseen, outside"))
    expect(page.locator(".answers")).to_contain_text("Predicted: ")


@pytest.mark.alone
def test_slider_repaints_answer_and_reasons_at_once(watched: Watched) -> None:
    page = watched.open("#/try/churn?confidence=0.9")
    expect(page.get_by_role("heading", name="Why")).to_be_visible()
    page.evaluate(SLIDE, [10])  # what is compiled at the first time

    runs = [sorted(page.evaluate(SLIDE, [SLIDES]))[int(0.95 * SLIDES)] for _ in range(RUNS)]

    assert min(runs) <= REPAINTED_WITHIN_MS, runs
