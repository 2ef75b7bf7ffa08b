// Versions of a model: activate, roll back, shadow, promote, delete; and the choice of two to compare.

import { el, field, moment, number, percent, select, table } from "./dom.js";

export function list(model, history, { act, compare, wanted }) {
  const rows = history.versions.map((version) => [
    el("a", { href: `#/card/${encodeURIComponent(model.name)}/${version.version}` }, `Version ${version.version}`),
    standing(version) || "stored",
    score(version.metrics),
    version.gate ? `${version.gate.passed ? "Passed" : "Not passed"}: ${version.gate.reason}` : "-",
    moment(version.created),
    actions(model, version, act),
  ]);
  const numbers = history.versions.map((version) => String(version.version));
  return [
    el("h2", {}, "Versions"),
    table("Versions", ["Version", "State", "Test", "Gate", "Trained", "Actions"], rows),
    numbers.length > 1 ? comparison(numbers, wanted, compare) : null,
    el("p", { class: "actions" }, removal(model, act)),
  ];
}

function standing(version) {
  return [
    version.active && "live",
    version.serving && !version.active && "answers",
    version.shadow && "shadow",
    version.previous && "live before",
    version.reason,
  ]
    .filter(Boolean)
    .join(", ");
}

function score({ test }) {
  if (!test) return "-";
  return "accuracy" in test ? percent(test.accuracy) : `RMSE ${number(test.rmse)}`;
}

function actions(model, version, act) {
  const [place, to] = [version.version, `/versions/${version.version}`];
  const older = model.active_version && place < model.active_version;
  const button = (method, path, text, said) =>
    el(
      "button",
      { type: "button", id: `${path}-${method}-${place}`, onclick: () => act(null, "", method, `${to}/${path}`, said) },
      text,
    );
  const shadow = version.shadow
    ? [
        button("POST", "promote", `Promote ${place}`, `Version ${place} is live.`),
        button("DELETE", "shadow", `End shadow ${place}`, `Version ${place} is no shadow any more.`),
      ]
    : button("POST", "shadow", `Shadow ${place}`, `Version ${place} is the shadow of the live one.`);
  const question = `Delete version ${place} of ${model.name} permanently?`;
  const remove = el(
    "button",
    {
      type: "button",
      class: "danger",
      onclick: () => act(question, "Delete", "DELETE", to, `Version ${place} is deleted.`),
    },
    `Delete ${place}`,
  );
  return el(
    "span",
    { class: "actions" },
    version.active
      ? null
      : button("POST", "activate", older ? `Roll back to ${place}` : `Activate ${place}`, `Version ${place} is live.`),
    version.active || !model.active_version ? null : shadow,
    version.active || version.serving || version.shadow ? null : remove,
    version.job ? el("a", { href: `#/training/${version.job}` }, "Training") : null,
  );
}

function comparison(numbers, wanted, compare) {
  const [first, second] = [
    select(numbers, wanted[0] || numbers[1], { id: "first" }),
    select(numbers, wanted[1] || numbers[0], { id: "second" }),
  ];
  return el(
    "form",
    { class: "bar-form", onsubmit: (event) => (event.preventDefault(), compare(first.value, second.value)) },
    field("Compare version", first),
    field("with", second),
    el("button", {}, "Show differences"),
  );
}

function removal(model, act) {
  const question = `Delete ${model.name} with all its versions permanently?`;
  return el(
    "button",
    {
      type: "button",
      class: "danger",
      onclick: () => act(question, "Delete", "DELETE", "", `${model.name} is deleted.`),
    },
    "Delete this model",
  );
}
