// Model: what is known about the serving version, and the versions: compare, activate, roll back, delete.

import { get, send } from "./api.js";
import { differences } from "./compare.js";
import { confirmed } from "./data.js";
import { el, notes, number, replace, table } from "./dom.js";
import { coverage, importance, metrics, mistakes, plots } from "./figures.js";
import { board } from "./training.js";
import { describe as describe_shadow } from "./shadow.js";
import { list } from "./versions.js";
import { score, state } from "./words.js";

export const title = ({ name }) => `Model ${name}`;

export async function show(body, { name, query, signal, keep, announce, problem }) {
  const path = `models/${encodeURIComponent(name)}`;
  const [card, drawn, versions, compared] = [el("div"), el("div"), el("div"), el("div", { "aria-live": "polite" })];
  const [trouble, shadow] = [el("div"), el("div")];
  body.append(trouble, card, versions, shadow, compared, drawn);
  const wanted = (query.get("compare") || "").split(",").filter(Boolean);

  async function draw() {
    const [model, history] = await Promise.all([get(path, signal), get(`${path}/versions`, signal)]);
    const version = model.serving_version ? await get(`${path}/versions/${model.serving_version}`, signal) : null;
    replace(card, describe(model, version));
    replace(versions, list(model, history, { act, compare, wanted }));
    const live = model.shadow_version && (await get(`${path}/versions/${model.active_version}/live`, signal));
    replace(shadow, live?.shadow ? describe_shadow(live.shadow) : null);
    if (!version) drawn.replaceChildren();
    else if (drawn.dataset.version !== String(version.version)) await plots(drawn, version, signal);
    drawn.dataset.version = version?.version;
  }

  async function act(question, yes, method, to, said) {
    if (question && !(await confirmed(question, yes))) return;
    trouble.replaceChildren();
    try {
      await send(`${path}${to}`, { method });
      announce(said);
      if (method === "DELETE" && !to) location.hash = "#/";
      else await draw();
    } catch (error) {
      trouble.replaceChildren(problem(error));
    }
  }

  async function compare(first, second) {
    keep({ compare: `${first},${second}` });
    try {
      const both = await Promise.all([first, second].map((version) => get(`${path}/versions/${version}`, signal)));
      const rows = await get(`${path}/compare?versions=${first},${second}`, signal).catch((error) => error);
      replace(compared, differences(both, rows));
    } catch (error) {
      compared.replaceChildren(problem(error));
    }
  }

  await draw();
  if (wanted.length === 2) await compare(...wanted);
}

function describe(model, version) {
  const test = model.metrics.test;
  const to = encodeURIComponent(model.name);
  return [
    el("p", {}, el("span", { class: `badge ${model.state}` }, state(model)), ` ${model.description}`),
    model.reason ? el("p", { class: "warning" }, model.reason) : null,
    el("p", {}, score(test, model.leaders)),
    el(
      "p",
      { class: "actions" },
      el("a", { class: "button primary", href: `#/try/${to}` }, "Try it"),
      version ? el("a", { class: "button", href: `#/card/${to}/${version.version}` }, "Model card") : null,
    ),
    notes(model.warnings, "Warnings"),
    test ? metrics(version?.metrics || model.metrics) : null,
    model.leaders ? board(model.leaders) : null,
    mistakes(model.classes, test),
    version?.importance ? importance(version.importance) : null,
    coverage(model),
    el(
      "details",
      {},
      el("summary", {}, `Columns it uses (${model.features.length})`),
      table(
        "Columns it uses",
        ["Column", "Type", "Range or values"],
        model.features.map((feature) => [feature.name, feature.type, range(feature)]),
      ),
    ),
    notes(
      model.left_out.map((left) => `${left.name}: ${left.detail}`),
      "Columns it does not use",
    ),
  ];
}

export function range(feature) {
  if (feature.type === "categorical") return Object.keys(feature.categories).slice(0, 8).join(", ");
  if (feature.type === "boolean") return `${feature.falseValues[0]}, ${feature.trueValues[0]}`;
  return `${number(feature.min)} to ${number(feature.max)}${feature.unit ? ` ${feature.unit}` : ""}`;
}
