// What is known about a version in figures and pictures: metrics, importance, calibration, residuals, dependence, coverage.

import { get } from "./api.js";
import { bars, confusion } from "./charts.js";
import { FIGURES } from "./compare.js";
import { el, number, percent, plural, table } from "./dom.js";
import { dependence, histogram, reliability, residuals } from "./plots.js";

const MOST_CLASSES = 30; // of a confusion matrix that is shown
const GUARANTEES = {
  marginal: "That share of new rows is guaranteed on average, as long as they are like the training rows.",
  class: "That share of the rows of each class is guaranteed on average, as long as they are like the training rows.",
  approximate: "About that share is to be expected of new rows; nothing proves it.",
};

export function metrics(found) {
  const splits = Object.keys(found).sort();
  const names = Object.keys(FIGURES).filter((name) => splits.some((split) => typeof found[split][name] === "number"));
  const cell = (split, name) => {
    const interval = found[split].intervals?.[name];
    return `${number(found[split][name])}${interval ? ` (${number(interval[0])} to ${number(interval[1])})` : ""}`;
  };
  const rows = names.map((name) => [FIGURES[name], ...splits.map((split) => cell(split, name))]);
  return [
    el("h2", {}, "Figures"),
    table(
      "Figures by split, with 95 % intervals",
      ["Figure", ...splits.map((split) => `${split} (${number(found[split].rows)} rows)`)],
      rows,
    ),
  ];
}

export function mistakes(classes, test) {
  if (!test?.confusion || classes.length > MOST_CLASSES) return null;
  return [
    el("h2", {}, "Which classes are confused"),
    confusion(classes, test.confusion, `Confusion matrix of the ${test.rows} test rows`),
  ];
}

// By how much the model is worse where a column is shuffled, with the interval of that figure.
export function importance({ figure, rows, columns, together }) {
  const said = `${FIGURES[figure] || figure}, ${number(rows)} test rows`;
  const items = Object.entries(columns)
    .slice(0, 20)
    .map(([name, { mean, interval }]) => ({
      name,
      value: mean,
      text: number(mean, 2),
      interval: interval.map((end) => number(end, 2)).join(" to "),
    }));
  const joint = together.map(
    (group) => `${group.columns.join(", ")} say nearly the same; shuffled together: ${number(group.mean, 2)}.`,
  );
  const intervals = table(
    "Importance with 95 % intervals",
    ["Column", "Worse by", "95 % interval"],
    items.map((item) => [item.name, item.text, item.interval]),
  );
  return [
    el("h2", {}, "What matters"),
    bars(`How much worse it gets when a column is shuffled (${said})`, items, ["Column", "Worse by"]),
    el("details", {}, el("summary", {}, "Intervals"), intervals),
    joint.map((text) => el("p", {}, text)),
  ];
}

// How often prediction sets, or intervals, held the truth of test rows, in sentences.
export function coverage({ conformal, task }) {
  if (!conformal) return null;
  const what = task === "regression" ? "interval" : "set of classes";
  const levels = Object.entries(conformal.test_coverage).map(([level, { share, rows, interval }]) => {
    const chance = interval.map(percent).join(" to ");
    const held = `the ${what} held the truth of ${percent(share)} of ${plural(rows, "test row")}`;
    return el("li", {}, `Asked for ${percent(Number(level))}: ${held} (95 % interval: ${chance}).`);
  });
  return [
    el("h2", {}, "How sure its answers are"),
    levels.length ? el("ul", {}, levels) : null,
    el("p", { class: "hint" }, GUARANTEES[conformal.guarantee]),
  ];
}

// The plots whose data the version has; each is drawn once it has come.
export async function plots(container, { name, version, target, task }, signal) {
  const { data } = await get(`models/${encodeURIComponent(name)}/versions/${version}/plots`, signal);
  const makers = { reliability: calibration, residuals: errors, partial_dependence: dependences };
  const wanted = data.filter((one) => one.name in makers);
  const order = Object.keys(makers);
  wanted.sort((a, b) => order.indexOf(a.name) - order.indexOf(b.name));
  const base = `models/${encodeURIComponent(name)}/versions/${version}/plots/`;
  const found = await Promise.all(wanted.map((one) => get(`${base}${one.name}.json`, signal)));
  container.replaceChildren(
    ...wanted.flatMap((one, place) => makers[one.name](found[place], { target, task })).filter(Boolean),
  );
}

function calibration(data) {
  const edges = data.histogram.map((_, place) => place / data.histogram.length);
  return [
    el("h2", {}, "Are its probabilities true?"),
    reliability(data),
    el(
      "p",
      { class: "hint" },
      "On the straight line, confidence is what happens. Within the bars, the distance from it can be chance.",
    ),
    histogram("How confident it is: test rows by confidence", [...edges, 1], data.histogram, "Confidence", {
      text: percent,
    }),
  ];
}

function errors(data, { target }) {
  return [
    el("h2", {}, "How far off it is"),
    residuals(data, target?.unit),
    el("p", { class: "hint" }, "Without a pattern around zero, nothing more could be learnt from the answer alone."),
  ];
}

function dependences({ columns }, { target, task }) {
  const isQuantity = task === "regression";
  const drawn = Object.entries(columns).map(([column, found]) => {
    const what = isQuantity ? target?.name || "answer" : `Probability of ${found.lines_of}`;
    return dependence(column, found, what, isQuantity ? number : percent);
  });
  if (!drawn.length) return [];
  return [
    el("h2", {}, "How the answer depends on a column"),
    el(
      "p",
      { class: "hint" },
      "The thick line is the mean answer, each thin one a single test row. Where thin lines cross, the column acts together with others.",
    ),
    el("div", { class: "cards" }, drawn),
  ];
}
