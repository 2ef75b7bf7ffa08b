// Show the answer to a row: label or quantity, set or interval, probabilities, warnings, and the reasons.

import { Problem, pause, send } from "./api.js";
import { bars } from "./charts.js";
import { el, field, number, percent, replace, select } from "./dom.js";
import { interval } from "./plots.js";

const MOST_BARS = 10;
const QUICK_MS = 60; // an explanation that takes longer is asked for only when the sliders rest
const SETTLED_MS = 250;
const LEVELS = { "": "none", 0.8: "80 %", 0.9: "90 %", 0.95: "95 %" };
const SURE = 0.9; // level of the set that decides, if no other is chosen
const ABSTAINED = {
  out_of_range: "a value is unseen, outside the training range, or missing in a column that had no gaps in training",
  low_confidence: "it is not sure enough",
  empty_set: "no class is probable enough to be in the set",
  ambiguous_set: "the set holds several classes",
  wide_interval: "the interval is too wide",
};
const GUARANTEES = {
  marginal: "guaranteed on average over many rows",
  class: "guaranteed on average over many rows of each class",
  approximate: "to be expected, but nothing proves it",
};

// The answer to the newest row: one request at a time, and what changed meanwhile is asked next.
export class Answer {
  constructor(model, signal, problem, { query, keep }) {
    [this.model, this.signal, this.problem] = [model, signal, problem];
    this.said = el("p", { class: "answer", role: "status", id: "answer" });
    [this.drawing, this.why] = [el("div"), el("div")];
    this.controls = this.choices(query, keep);
    this.element = el(
      "section",
      { class: "answers" },
      el("h2", {}, "Answer"),
      this.said,
      this.drawing,
      this.why,
      this.controls,
    );
    this.busy = false;
    this.next = null;
    this.row = null;
    this.explains = true;
    this.took = 0; // ms that an explanation took lately; while that is little, each answer has one
    this.settled = false; // whether the reasons of the newest row are shown
    this.asked = 0;
  }

  // What may be asked for beside the answer; kept in the address, and asked again at each change.
  choices(query, keep) {
    const { conformal, task } = this.model;
    const changed = () => {
      keep({ confidence: this.level?.value || "", abstain: this.abstain.value });
      if (this.row) this.ask(this.row);
    };
    const ofClasses = task !== "regression";
    const what = ofClasses ? "set of classes" : "interval";
    this.level = conformal && select(Object.entries(LEVELS), query.get("confidence") || "", { onchange: changed, id: "confidence" });
    const rules = [
      ["", this.model.abstain ? "as this version says" : "never"],
      ofClasses && ["below", "where the class is less than 80 % sure"],
      ofClasses && conformal && ["set", "where the set has not exactly one class"],
      ["range", "where a value is unusual"],
      this.model.abstain && ["never", "never"],
    ];
    this.abstain = select(rules.filter(Boolean), query.get("abstain") || "", { onchange: changed, id: "abstain" });
    return el(
      "form",
      { class: "bar-form", "aria-label": "What else to answer", onsubmit: (event) => event.preventDefault() },
      this.level && field(`Confidence of the ${what}`, this.level),
      field("Decide nothing", this.abstain),
      conformal ? null : el("p", { class: "hint" }, `This version has no scores for a ${what}: train it again.`),
    );
  }

  options() {
    const level = Number(this.level?.value) || null;
    const rule = {
      below: { below: 0.8 },
      set: { confidence: level || SURE },
      range: { out_of_range: true },
      never: false,
    };
    return { ...(level && { confidence: level }), ...(this.abstain.value && { abstain: rule[this.abstain.value] }) };
  }

  ask(row) {
    this.next = this.row = { ...row };
    if (!this.busy) this.run();
  }

  async run() {
    this.busy = true;
    try {
      while (this.next) {
        const row = this.next;
        this.next = null;
        this.asked += 1;
        await this.answer(row);
      }
    } finally {
      this.busy = false;
    }
    this.explain(this.row, this.asked);
  }

  async answer(row) {
    try {
      const found = await (this.explains && this.took <= QUICK_MS ? this.askWithReasons(row) : this.predict(row));
      this.draw(found);
      const { explanation } = found.predictions[0];
      if (explanation) this.drawReasons(explanation);
      this.settled = Boolean(explanation);
    } catch (error) {
      if (this.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      replace(this.drawing, this.problem(error));
      this.said.textContent = "No answer.";
      this.settled = true;
    }
  }

  // The answer with its reasons; without them where only these are refused.
  async askWithReasons(row) {
    const start = performance.now();
    try {
      const found = await this.predict(row, { explain: true });
      this.took = (this.took + performance.now() - start) / 2; // smoothed: one late answer means nothing
      return found;
    } catch (error) {
      if (error.status !== 422 && error.status !== 413) throw error;
      const found = await this.predict(row);
      this.stopExplaining(error);
      return found;
    }
  }

  async predict(row, more = {}) {
    const path = `predict/${encodeURIComponent(this.model.name)}`;
    const json = { instances: [row], ...this.options(), ...more };
    return (await send(path, { method: "POST", json, signal: this.signal })).json();
  }

  draw({ predictions: [found], warnings = [], guarantee, reason }) {
    this.said.textContent = this.words(found);
    replace(
      this.drawing,
      found.abstained ? el("p", {}, `${"label" in found ? "Most probable" : "Predicted"}: ${this.usual(found)}.`) : null,
      found.probabilities ? this.probabilities(found) : null,
      found.set || found.interval ? this.range(found, guarantee, reason) : null,
      warnings.length ? list(warnings) : null,
      typeof found.decision === "string" && found.decision !== found.label
        ? el("p", { class: "hint" }, `Decided by: ${found.decision}.`)
        : null,
    );
  }

  words(found) {
    if (found.abstained) return `No decision: ${ABSTAINED[found.abstained] || found.abstained}`;
    return this.usual(found);
  }

  usual(found) {
    if ("label" in found) return `${found.label} (${percent(found.probability)})`;
    return `${number(found.value, 4)}${this.unit()}`;
  }

  unit() {
    return this.model.target?.unit ? ` ${this.model.target.unit}` : "";
  }

  probabilities(found) {
    const shares = Object.entries(found.probabilities)
      .sort((a, b) => b[1] - a[1])
      .slice(0, MOST_BARS);
    // In the order of the classes, so that a bar stays in its place while a slider moves.
    const order = this.model.classes;
    if (order.length <= MOST_BARS) shares.sort((a, b) => order.indexOf(a[0]) - order.indexOf(b[0]));
    const rows = shares.map(([name, value]) => ({
      name,
      value,
      text: `${percent(value)}${found.set?.includes(name) ? ", in set" : ""}`,
      kind: name === found.label ? "chosen" : "",
    }));
    return bars("Probability of each class", rows, ["Class", "Probability"], 1);
  }

  // The set of classes, or the interval, of the chosen confidence.
  range(found, guarantee, reason) {
    const level = LEVELS[this.level.value];
    const holds = `Such ${found.set ? "sets" : "intervals"} hold the truth of ${level} of the rows: ${GUARANTEES[guarantee]}.`;
    const why = el("p", { class: "hint" }, reason ? `${reason}.` : holds);
    if (found.set) {
      const classes = found.set.length ? found.set.join(", ") : "empty: no class is probable enough";
      return el("div", { id: "range" }, el("p", {}, el("strong", {}, `Set of ${level}: `), classes), why);
    }
    const { min, max } = this.model.target?.distribution || {};
    const [low, high] = found.interval;
    const said = `${low === null ? "any value" : number(low, 4)} to ${high === null ? "any value" : number(high, 4)}${this.unit()}`;
    const chart = interval(`Answer and interval of ${level}`, found.value, found.interval, [min ?? null, max ?? null]);
    return el("div", { id: "range" }, el("p", {}, el("strong", {}, `Interval of ${level}: `), said), chart, why);
  }

  async explain(row, asked) {
    await pause(SETTLED_MS, this.signal);
    if (!this.explains || this.settled || asked !== this.asked || this.busy || this.signal.aborted) return;
    try {
      const { explanation } = (await this.askWithReasons(row)).predictions[0];
      if (asked === this.asked && explanation) this.drawReasons(explanation);
    } catch (error) {
      if (!this.signal.aborted) replace(this.why, this.problem(error));
    }
  }

  stopExplaining(error) {
    this.explains = false; // such as of a version without background rows
    replace(this.why, el("p", { class: "hint" }, error.message));
  }

  drawReasons({ base, contributions, class: of }) {
    const names = Object.keys(contributions);
    // Few columns keep their places while a slider moves; of many, the largest contributions are shown.
    if (names.length <= MOST_BARS) {
      const order = this.model.features.map((feature) => feature.name);
      names.sort((a, b) => order.indexOf(a) - order.indexOf(b));
    }
    const rows = names.slice(0, MOST_BARS).map((name) => {
      const value = contributions[name];
      return { name, value, text: `${value > 0 ? "+" : ""}${number(value, 2)}`, kind: value < 0 ? "less" : "" };
    });
    const what = of ? `the probability of ${of}` : "the answer";
    const label = `What each column adds to ${what}, from ${number(base)} on average`;
    replace(this.why, el("h2", {}, "Why"), bars(label, rows, ["Column", "Adds"]));
  }
}

function list(warnings) {
  return el("ul", { class: "warning" }, warnings.map((warning) => el("li", {}, warn(warning))));
}

function warn({ feature, value, range: bounds }) {
  if (bounds)
    return `${feature}: ${number(value)} is outside the training range, ${number(bounds[0])} to ${number(bounds[1])}.`;
  return value === "missing"
    ? `${feature}: is missing, in a column that had no gaps in training.`
    : `${feature}: this value was not among the categories of training.`;
}
