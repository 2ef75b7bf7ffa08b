// Try it: one row in a form, answered at each change; a file in, predictions out; the same request as code.

import { Answer } from "./answer.js";
import { address, get, send } from "./api.js";
import { el, field, replace, select } from "./dom.js";
import { range } from "./model.js";

const BEYOND = 0.25; // a slider reaches beyond the training range by this share of it

export const title = ({ name }) => `Try ${name}`;

export async function show(body, { name, query, signal, keep, problem }) {
  const model = await get(`models/${encodeURIComponent(name)}`, signal);
  if (!model.example) {
    body.append(el("p", {}, model.reason || "No version of this model can answer now."));
    return;
  }
  const row = { ...typical(model), ...JSON.parse(query.get("row") || "{}") };
  const state = { confidence: query.get("confidence"), abstain: query.get("abstain"), row: query.get("row") };
  const store = (more) => {
    keep(Object.assign(state, more));
    if (!more.row) write();
  };
  const answer = new Answer(model, signal, problem, { query, keep: store });
  const code = el("div");
  const write = () => replace(code, requests(name, { instances: [row], ...answer.options() }));
  const changed = () => {
    store({ row: JSON.stringify(row) });
    answer.ask(row);
    write();
  };
  const form = el(
    "form",
    { class: "inputs", "aria-label": "One row", onsubmit: (event) => event.preventDefault() },
    el("h2", {}, "One row"),
    model.features.map((feature) => control(feature, row, changed)),
  );
  body.append(
    el("div", { class: "two" }, form, answer.element),
    el("section", {}, el("h2", {}, "A file in, predictions out"), file(name, problem)),
    el("section", {}, el("h2", {}, "The same request as code"), code),
    el(
      "p",
      { class: "actions" },
      el("a", { class: "button", href: `#/model/${encodeURIComponent(name)}` }, "About this model"),
    ),
  );
  write();
  answer.ask(row);
}

// The typical row by name, as the service gives it.
function typical(model) {
  const [row] = model.example.body.instances;
  return Array.isArray(row)
    ? Object.fromEntries(model.features.map((feature, place) => [feature.name, row[place]]))
    : row;
}

function control(feature, row, changed) {
  const set = (value) => {
    row[feature.name] = value;
    changed();
  };
  const value = row[feature.name];
  const hint = `${feature.type === "numeric" || feature.type === "datetime" ? "In training: " : "Seen in training: "}${range(feature)}. Empty: missing.`;
  if (feature.type === "numeric") return numeric(feature, value, set, hint);
  if (feature.type === "categorical") return field(feature.name, choice(Object.keys(feature.categories), value, set));
  if (feature.type === "boolean")
    return field(
      feature.name,
      choice([...feature.falseValues.slice(0, 1), ...feature.trueValues.slice(0, 1)], said(feature, value), set),
    );
  const days =
    /^\d{4}-\d{2}-\d{2}$/.test(feature.min) &&
    /^\d{4}-\d{2}-\d{2}$/.test(feature.max) &&
    /^\d{4}-\d{2}-\d{2}$/.test(value ?? feature.min);
  const input = el("input", {
    type: days ? "date" : "text",
    value: value ?? "",
    oninput: () => set(input.value === "" ? null : input.value),
  });
  return field(feature.name, input, hint);
}

function said(feature, value) {
  if (typeof value !== "boolean") return value;
  return (value ? feature.trueValues : feature.falseValues)[0];
}

function choice(values, chosen, set) {
  const options = [...values.map((value, place) => [String(place), value]), ["", "(missing)"]];
  const box = select(options, String(values.indexOf(String(chosen))), {
    onchange: () => set(box.value === "" ? null : values[Number(box.value)]),
  });
  if (!box.value) box.value = "";
  return box;
}

function numeric(feature, value, set, hint) {
  const whole = [feature.min, feature.max, ...feature.quantiles].every(Number.isInteger);
  const span = feature.max - feature.min || 1;
  const step = whole ? 1 : 10 ** Math.floor(Math.log10(span) - 2);
  const round = (x) => Number(x.toPrecision(7));
  const least = feature.min >= 0 ? Math.max(0, feature.min - span * BEYOND) : feature.min - span * BEYOND;
  const align = (x) => round(Math.floor(x / step) * step);
  const exact = el("input", { type: "number", step: "any", value: value ?? "" });
  const slider = el("input", {
    type: "range",
    min: align(least),
    max: round(align(feature.max + span * BEYOND) + step),
    step,
    "aria-label": `${feature.name}, slider`,
  });
  slider.value = value ?? feature.min;
  slider.addEventListener("input", () => {
    exact.value = slider.value;
    set(Number(slider.value));
  });
  exact.addEventListener("input", () => {
    if (exact.value === "" && exact.validity.badInput) return;
    if (exact.value !== "") slider.value = exact.value;
    set(exact.value === "" ? null : Number(exact.value));
  });
  const box = field(`${feature.name}${feature.unit ? ` (${feature.unit})` : ""}`, exact, hint);
  box.insertBefore(slider, exact);
  return box;
}

function file(name, problem) {
  const said = el("div", { "aria-live": "polite" });
  const input = el("input", {
    type: "file",
    id: "rows",
    accept: ".csv,.tsv",
    onchange: () => input.files[0] && predict(input.files[0]),
  });
  async function predict(chosen) {
    replace(said, el("p", {}, `Predicting the rows of ${chosen.name}...`));
    try {
      const answer = await send(`predict/${encodeURIComponent(name)}?on_error=skip&ignore_extra=true`, {
        method: "POST",
        body: chosen,
        type: /\.tsv$/i.test(chosen.name) ? "text/tab-separated-values" : "text/csv",
        headers: { accept: "text/csv" },
      });
      const found = await answer.blob();
      const rows = (await found.slice(0, 4096).text()).split(/\r?\n/).slice(0, 6).join("\n");
      const link = el(
        "a",
        {
          class: "button primary",
          href: URL.createObjectURL(found),
          download: `${chosen.name.replace(/\.[^.]*$/, "")}-predictions.csv`,
        },
        "Save the predictions",
      );
      replace(said, el("p", {}, link), el("pre", { tabindex: "0", "aria-label": "First predictions" }, rows));
    } catch (error) {
      replace(said, problem(error));
    }
  }
  return el(
    "div",
    {},
    field(
      "CSV with the same column names",
      input,
      "A row that cannot be read gets its error in place of a prediction; other columns are ignored.",
    ),
    said,
  );
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function requests(name, asked) {
  const url = address(`predict/${encodeURIComponent(name)}`);
  const body = JSON.stringify(asked, null, 2);
  const names = { null: "None", true: "True", false: "False" };
  // Only at the end of a line, as the same words in a text are followed by its quote.
  const python = JSON.stringify(asked, null, 4).replace(/: (null|true|false)(?=,?$)/gm, (_, word) => `: ${names[word]}`);
  const snippets = {
    curl: `curl ${quote(url)} -H 'content-type: application/json' -d ${quote(JSON.stringify(asked))}`,
    Python: `import httpx\n\nbody = ${python}\nanswer = httpx.post(${JSON.stringify(url)}, json=body)\nprint(answer.raise_for_status().json()["predictions"][0])`,
    JavaScript: `const answer = await fetch(${JSON.stringify(url)}, {\n  method: "POST",\n  headers: { "content-type": "application/json" },\n  body: JSON.stringify(${body}),\n});\nconsole.log((await answer.json()).predictions[0]);`,
  };
  return Object.entries(snippets).map(([language, text]) => {
    const copy = el(
      "button",
      { type: "button", onclick: () => navigator.clipboard?.writeText(text).then(() => (copy.textContent = "Copied")) },
      `Copy ${language}`,
    );
    return el(
      "details",
      { open: language === "curl" },
      el("summary", {}, language),
      el("pre", { tabindex: "0", "aria-label": `${language} request` }, text),
      copy,
    );
  });
}
