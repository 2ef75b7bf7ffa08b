"""The console in a real browser: what a person does with it, and that it does nothing else."""

from __future__ import annotations

import base64
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from app.security.keys import KeyFile, Scope
from modelstore import ModelRepository
from tests.app.exchange import exchange
from tests.console.conftest import CSV, QUICK, Console, Watched, train
from tests.fakes import MeanModel, manifest_for, publish, script
from tests.processes import service
from tests.trainings import trained

pytestmark = pytest.mark.slow

MOST_TABS = 60
MILLION = 1_000_000
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)  # a picture of one pixel
EVIL = "<img src=x onerror=alert(1)>"


def tab_to(page: Page, selector: str) -> None:
    """Press the tab key until the control has the focus."""
    for _ in range(MOST_TABS):
        page.keyboard.press("Tab")
        if page.evaluate("(s) => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"{selector} is not reached by the keyboard")


def test_a_csv_becomes_an_active_model_by_the_keyboard_alone(watched: Watched, console: Console, table: Path) -> None:
    page = watched.open()
    page.on("filechooser", lambda _: None)  # else the key may be faster than the interception of the dialog
    tab_to(page, "#file")
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(table)
    page.wait_for_url("**/#/data/kunden_2026*")
    expect(page.locator("#target")).to_have_value("churned")
    tab_to(page, "button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/train*")
    tab_to(page, "#learner")
    page.keyboard.type("Linear")
    tab_to(page, "summary")
    page.keyboard.press("Enter")
    tab_to(page, "#activate")
    page.keyboard.type("never")
    tab_to(page, "button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/#/training/*")
    expect(page.locator(".verdict")).to_contain_text("Version 1 is published, but not live", timeout=300_000)
    tab_to(page, "#activate")
    page.keyboard.press("Enter")
    expect(page.locator(".result strong")).to_have_text("Version 1 is live.")

    assert console.client.get("/models/kunden_2026").json()["active_version"] == 1


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_every_page_is_accessible_and_fits(scheme: str, width: int, browser: Browser, console: Console) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": width, "height": 900},
        reduced_motion="reduce",
    )
    watched = Watched(context.new_page(), console.origin)
    found = {}
    for address, sign in {
        "": "#model-churn",
        "#/data": "tbody a",
        "#/data/churn": "#target",
        "#/train?dataset=churn": "#learner",
        f"#/training/{console.job}": ".verdict",
        "#/model/churn?compare=1,2": "text=How the answer depends",
        "#/card/churn/1": "text=Pictures",
        "#/model/price": "text=Residuals",
        "#/try/churn?confidence=0.9&abstain=set": "text=Set of 90 %",
        "#/try/price?confidence=0.8": "text=Interval of 80 %",
        "#/quality": "text=Drift",
        "#/operations": "text=Last audit records",
        "nowhere": "h1",
    }.items():
        page = watched.open(address)
        page.locator(sign).first.wait_for()
        page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true; })")
        violations = [(v["id"], v["nodes"][0]["html"]) for v in Axe().run(page).response["violations"]]
        beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found[address] = (violations, beyond)
    context.close()

    assert found == dict.fromkeys(found, ([], 0))
    assert [fault for fault in watched.faults if "404" not in fault] == []
    assert watched.strange == []


@pytest.mark.alone
def test_page_of_a_data_set_of_a_million_rows_opens_in_two_seconds(watched: Watched, console: Console) -> None:
    drawn = np.random.default_rng(0)
    columns = (drawn.integers(18, 99, MILLION), drawn.normal(40, 9, MILLION).round(2), drawn.integers(0, 50, MILLION))
    rows = "\n".join(f"{age},{income},place {town},{age > 50}" for age, income, town in zip(*columns, strict=True))
    put = console.client.put("/datasets/million", content=f"age,income,town,churned\n{rows}\n".encode())
    assert put.status_code == 201, put.text

    took_s = []
    for _ in range(3):
        began = time.monotonic()
        page = watched.open("#/data/million")
        expect(page.locator("#target")).to_have_value("churned")
        expect(page.get_by_role("cell", name="income")).to_be_visible()
        took_s.append(time.monotonic() - began)

    assert min(took_s) < 2, took_s


def test_training_shows_its_curves_and_the_verdict(watched: Watched, console: Console) -> None:
    page = watched.open(f"#/training/{console.job}")

    expect(page.get_by_role("heading", name="Loss by epoch")).to_be_visible()
    expect(page.get_by_role("img", name="Loss by epoch")).to_be_visible()
    expect(page.locator(".verdict")).to_contain_text("Version 1 is live.")
    expect(page.get_by_role("heading", name=re.compile("Leader board"))).to_be_visible()


def test_refusal_is_shown_until_the_next_attempt(watched: Watched, console: Console) -> None:
    early = {"learner": "mlp", "hidden": [4], "epochs": 5000, "lr": 1.0, "patience": 1, "validation_fraction": 0.3}
    body = {"model": "gone", "dataset": "churn", "target": "churned", "activate": "never", "overrides": early}
    job = trained(console.client, body)
    assert job["status"] == "succeeded", job
    console.client.delete("/models/gone").raise_for_status()

    watched.page.clock.install()
    page = watched.open(f"#/training/{job['id']}")
    page.get_by_role("button", name="Make version 1 live").click()
    expect(page.get_by_role("alert")).to_contain_text("no such model")
    page.clock.run_for(10_000)  # some looks later

    expect(page.get_by_role("alert")).to_contain_text("no such model")
    expect(page.get_by_text("Best so far")).to_be_visible()
    expect(page.get_by_text(re.compile("About .* left"))).to_have_count(0)
    assert [fault for fault in watched.faults if "404" not in fault] == []
    watched.faults.clear()  # the browser tells of the refusal, too


@pytest.mark.parametrize("status", [502, 503, 504])
def test_curves_go_on_after_a_proxy_had_no_answer(status: int, watched: Watched, console: Console) -> None:
    """A proxy answers so while the service starts again."""
    watched.page.route("**/events", lambda route: route.fulfill(status=status), times=1)
    page = watched.open(f"#/training/{console.job}")

    expect(page.get_by_role("heading", name="Loss by epoch")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    assert [fault for fault in watched.faults if str(status) not in fault] == []
    watched.faults.clear()


def test_curve_may_have_as_many_points_as_a_training_has_epochs(watched: Watched) -> None:
    page = watched.open()

    drawn = page.evaluate("""async () => {
      const { lines } = await import(new URL("console/charts.js", location.origin));
      const points = [...Array(100_000).keys()].map((epoch) => [epoch, epoch - 1]);
      return lines("Loss", [{ name: "a", points }, { name: "b", points }], "epoch").textContent;
    }""")

    assert "epoch 99,999" in drawn


def test_search_job_is_shown_with_its_training_and_not_as_a_version(watched: Watched, console: Console) -> None:
    body = {"model": "found", "dataset": "churn", "target": "churned", "workers": 2}
    training = trained(console.client, body | {"overrides": {**QUICK, "search": 1}})
    (job,) = (job["id"] for job in console.client.get("/train").json()["jobs"] if job["search_of"] == training["id"])

    home = watched.open()
    expect(home.locator(f"#job-{job}")).to_have_text("Search for found")
    console.client.delete("/models/found").raise_for_status()  # the other tests have two models
    page = watched.open(f"#/training/{job}")

    expect(page.get_by_role("link", name="a training")).to_have_attribute("href", f"#/training/{training['id']}")
    expect(page.locator(".verdict")).to_contain_text("ended before this began")
    expect(page.locator("#try")).to_have_count(0)


def test_model_is_compared_activated_and_rolled_back(watched: Watched, console: Console) -> None:
    page = watched.open("#/model/churn")
    expect(page.get_by_role("heading", name="What matters")).to_be_visible()
    expect(page.get_by_text(re.compile("Asked for 90.0 %: the set of classes held the truth of"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("^Reliability"))).to_be_visible()
    expect(page.get_by_role("img", name=re.compile("where age is changed alone"))).to_be_visible()
    page.get_by_role("button", name="Show differences").click()
    differences = page.get_by_role("table", name="Differences between version 1 and version 2")
    expect(differences).to_contain_text("seed")
    assert "epochs" not in differences.inner_text(), "what is the same is not shown"

    for button, active in (("Activate 2", 2), ("Roll back to 1", 1)):
        page.get_by_role("button", name=button).click()
        expect(page.locator("#live")).to_have_text(f"Version {active} is live.")
        assert console.client.get("/models/churn").json()["active_version"] == active


def test_version_becomes_a_shadow_that_labels_do_not_promote_yet(watched: Watched, console: Console) -> None:
    page = watched.open("#/model/churn")
    page.get_by_role("button", name="Shadow 2").click()
    expect(page.locator("#live")).to_have_text("Version 2 is the shadow of the live one.")
    assert console.client.get("/models/churn").json()["shadow_version"] == 2
    expect(page.get_by_role("heading", name="Version 2 in the shadow of version 1")).to_be_visible()
    expect(page.get_by_text("Labels do not tell yet which one is better.")).to_be_visible()

    page.get_by_role("button", name="Promote 2").click()
    expect(page.get_by_role("alert")).to_contain_text("labelled rows")
    assert [fault for fault in watched.faults if "409" not in fault] == []
    watched.faults.clear()  # the browser tells of the refusal, too
    page.get_by_role("button", name="End shadow 2").click()
    expect(page.locator("#live")).to_have_text("Version 2 is no shadow any more.")
    assert console.client.get("/models/churn").json()["shadow_version"] is None


def test_state_is_in_the_address_and_a_reload_keeps_it(watched: Watched) -> None:
    page = watched.open("#/try/churn")
    page.get_by_label("age", exact=True).fill("77")
    page.reload()
    expect(page.get_by_label("age", exact=True)).to_have_value("77")

    watched.open("#/data/churn")
    page.locator("#target").select_option("colour")
    page.get_by_label("Type of income").select_option("categorical")
    page.reload()
    expect(page.locator("#target")).to_have_value("colour")
    expect(page.get_by_label("Type of income")).to_have_value("categorical")
    page.get_by_role("button", name="Continue to training").click()
    page.locator("#seed").evaluate("box => { box.closest('details').open = true; }")
    page.locator("#seed").fill("5")
    page.locator("#seed").blur()
    page.reload()
    expect(page.locator("#seed")).to_have_value("5")
    expect(page.locator("#target")).to_have_value("colour")


def test_labels_that_are_sent_become_the_live_accuracy(watched: Watched, console: Console, tmp_path: Path) -> None:
    rows = {"instances": [{"age": age, "income": 500, "colour": "red"} for age in range(20, 80)]}
    answer = console.client.post("/predict/churn", json=rows, headers={"x-prediction-receipt": "1"}).json()
    labels = tmp_path / "labels.csv"
    right = [f"{found['receipt']},{found['label']}\n" for found in answer["predictions"]]
    labels.write_text("receipt,label\n" + "".join(right) + "nonsense,yes\n")

    page = watched.open("#/quality")
    page.locator("#labels").set_input_files(labels)

    expect(page.get_by_text("60 labels taken, 0 repeated, 1 refused.")).to_be_visible()
    expect(page.get_by_text("line 62:")).to_be_visible()
    expect(page.get_by_text("Of 60 labelled rows in 30 days: 100.0 % right")).to_be_visible(timeout=120_000)


def test_model_whose_folder_cannot_be_read_hides_no_other(context: BrowserContext, tmp_path: Path) -> None:
    """A link to itself is what not even root can list."""
    repository = ModelRepository(tmp_path / "models")
    for name in ("means", "others"):
        publish(repository, name)
    with service(tmp_path) as (client, _):
        place, loop = repository.root / "means", repository.root / ".loop"
        loop.symlink_to(place)
        exchange(loop, place)
        page = Watched(context.new_page(), str(client.base_url).rstrip("/")).open("#/quality")

        expect(page.get_by_text("How right the answers are cannot be told now: ")).to_have_count(1)
        expect(page.get_by_text("No labels yet")).to_have_count(1)


def test_names_that_look_like_markup_stay_text(context: BrowserContext, tmp_path: Path) -> None:
    lines = CSV.replace("red", f"<b>{EVIL}</b>").replace("yes", EVIL).splitlines()
    lines[0] = f"age,income,{EVIL},churned"
    with service(tmp_path, ready=False) as (client, _):
        job = train(client, tmp_path, "\n".join(lines), "churned")
        watched = Watched(context.new_page(), str(client.base_url).rstrip("/"))
        pages = {"#/data/churn": EVIL, f"#/training/{job}": "is live", "#/try/churn": EVIL, "#/quality": EVIL}
        for address, text in (pages | {"#/model/churn?compare=1,2": EVIL}).items():
            page = watched.open(address)
            expect(page.locator("main")).to_contain_text(text)
            assert page.locator("main img, main b, main script").count() == 0

    assert (watched.faults, watched.strange) == ([], [])


def test_key_is_asked_for_once_and_kept_in_memory_only(context: BrowserContext, tmp_path: Path) -> None:
    data = script(MeanModel(2, 0.0))
    ModelRepository(tmp_path / "models").publish(manifest_for(MeanModel(2, 0.0), data), data, {"loss.png": PIXEL})
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.create(frozenset(Scope), None, "all")
    with service(tmp_path, environment={"TABSERVE_KEYS_FILE": str(keys.path)}) as (client, _):
        watched = Watched(context.new_page(), str(client.base_url).rstrip("/"))
        page = watched.open()
        page.get_by_label("API key").fill("tabserve_кey")
        page.get_by_role("button", name="Use this key").click()
        assert page.get_by_label("API key").evaluate("input => input.validity.patternMismatch")
        page.get_by_label("API key").fill(" tabserve_wrong")
        page.get_by_role("button", name="Use this key").click()
        expect(page.get_by_role("dialog")).to_contain_text("does not accept this key")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#model-means")).to_be_visible()
        page.get_by_role("link", name="Operations").click()
        expect(page.get_by_role("heading", name="Requests")).to_be_visible()
        expect(page.get_by_role("table", name="Accepted keys")).to_contain_text("predict, train, admin, metrics")
        page.get_by_role("link", name="Home").click()
        page.get_by_role("link", name="means", exact=True).click()
        page.get_by_role("link", name="Model card").click()
        expect(page.get_by_role("heading", name="What it predicts")).to_be_visible()
        page.wait_for_function("document.querySelector('main img').naturalWidth === 1")
        with page.expect_download() as saved:
            page.get_by_role("button", name="Save as CycloneDX JSON").click()
        assert json.loads(Path(saved.value.path()).read_text())["bomFormat"] == "CycloneDX"
        kept = page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")
        assert (json.loads(kept), key in page.url) == ([{}, {}, ""], False)
        page.reload()
        expect(page.get_by_label("API key")).to_be_visible()

    assert [fault for fault in watched.faults if "401" not in fault] == []


def test_key_that_may_not_read_figures_is_told_none(context: BrowserContext, tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.create(frozenset({Scope.PREDICT}), None, "reader")
    with service(tmp_path, environment={"TABSERVE_KEYS_FILE": str(keys.path)}) as (client, _):
        page = Watched(context.new_page(), str(client.base_url).rstrip("/")).open()
        page.get_by_label("API key").fill(key)
        with page.expect_response(lambda answer: answer.url.endswith("/metrics") and answer.status == 403):
            page.get_by_role("button", name="Use this key").click()
        expect(page.locator("#model-means")).to_be_visible()

        expect(page.get_by_text("predicted since the start")).to_have_count(0)


def test_console_works_below_a_prefix(context: BrowserContext, tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    with service(tmp_path, environment={"TABSERVE_ROOT_PATH": "/ml"}) as (client, _):
        below = str(client.base_url).rstrip("/") + "/ml"
        watched = Watched(context.new_page(), below)
        page = watched.open()
        expect(page.locator("#model-means")).to_be_visible()
        page.get_by_role("link", name="Try means").click()
        expect(page.locator("#answer")).to_have_text("low (50.0 %)")
        expect(page.locator("pre").first).to_contain_text(f"{below}/predict/means")

    assert watched.strange == []


def test_page_of_the_api_asks_for_the_key_once_and_sends_it(context: BrowserContext, tmp_path: Path) -> None:
    publish(ModelRepository(tmp_path / "models"))
    keys = KeyFile(tmp_path / "keys.json")
    key = keys.create(frozenset({Scope.PREDICT}), None, "reader")
    environment = {"TABSERVE_KEYS_FILE": str(keys.path), "TABSERVE_ROOT_PATH": "/ml"}
    with service(tmp_path, environment=environment) as (client, _):
        watched = Watched(context.new_page(), str(client.base_url).rstrip("/") + "/ml")
        page = watched.page
        page.goto(f"{watched.origin}/docs")
        page.get_by_label("API key").fill(key)
        page.get_by_role("button", name="Use this key").click()
        operation = page.locator(".opblock", has_text="/predict/means").first
        operation.locator(".opblock-summary-control").click()
        operation.get_by_role("button", name="Try it out").click()
        operation.get_by_role("button", name="Execute").click()
        expect(operation.locator(".live-responses-table .response").first).to_contain_text("probability")
        expect(page.get_by_role("dialog")).to_have_count(0)
        kept = page.evaluate("JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])")
        assert (json.loads(kept), key in page.url) == ([{}, {}, ""], False)
        page.reload()
        page.get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("needs a key of the service")

    assert [fault for fault in watched.faults if "401" not in fault] == []
    assert watched.strange == []
