// Compare two versions of a model: only what differs.

import { el, number, table } from "./dom.js";

export const FIGURES = {
  accuracy: "Accuracy",
  macro_f1: "Macro F1",
  log_loss: "Log loss",
  brier: "Brier score",
  calibration_error: "Calibration error",
  roc_auc: "ROC AUC",
  average_precision: "Average precision",
  rmse: "RMSE",
  mae: "Mean absolute error",
  median_absolute_error: "Median absolute error",
  r2: "R²",
};

// Only what differs between two versions: figures, settings, columns, data; and how their answers differ.
export function differences([first, second], rows) {
  const flat = [first, second].map((version) => ({
    ...flatten(figuresOf(version.metrics.test || {})),
    ...flatten(version.lineage?.recipe || {}, "recipe."),
    ...flatten(version.lineage?.libraries || {}, "library "),
    ...flatten(version.lineage?.data_sha256 || {}, "sha256 of "),
    seed: version.lineage?.seed,
    columns: version.features.map((feature) => `${feature.name} (${feature.type})`).join(", "),
  }));
  const names = [...new Set(flat.flatMap(Object.keys))].filter(
    (name) => JSON.stringify(flat[0][name]) !== JSON.stringify(flat[1][name]),
  );
  const caption = `Differences between version ${first.version} and version ${second.version}`;
  const lines = names.map((name) => [
    FIGURES[name] || name,
    ...flat.map((values) => (values[name] === undefined ? "-" : number(values[name]))),
  ]);
  return [
    el("h2", {}, caption),
    el("p", {}, answers(rows)),
    lines.length
      ? table(caption, ["What", `Version ${first.version}`, `Version ${second.version}`], lines)
      : el("p", {}, "Nothing differs."),
  ];
}

function figuresOf(metrics) {
  return Object.fromEntries(Object.entries(metrics).filter(([name]) => name in FIGURES));
}

function answers(found) {
  if (found instanceof Error) return `Their answers cannot be compared: ${found.message}`;
  const chance = found.p_value < 0.05 ? "unlikely to be chance" : "which may be chance";
  const better =
    found.task === "classification"
      ? [found.only_first_right, found.only_second_right, "right where the other is wrong"]
      : [found.first_closer, found.second_closer, "closer to the truth"];
  return `On the same ${number(found.rows)} test rows they differ in ${number(found.disagreeing)}. The first is ${better[2]} in ${number(better[0])}, the second in ${number(better[1])}: ${chance} (p ${number(found.p_value, 2)}).`;
}

function flatten(value, prefix = "") {
  const found = {};
  for (const [name, inner] of Object.entries(value)) {
    if (inner && typeof inner === "object" && !Array.isArray(inner))
      Object.assign(found, flatten(inner, `${prefix}${name}.`));
    else found[prefix + name] = Array.isArray(inner) ? inner.join(", ") : inner;
  }
  return found;
}
