// Train: the target, what learns and for how long; everything else is folded away and may stay as it is.

import { get, send } from "./api.js";
import { likeliest } from "./data.js";
import { el, field, select } from "./dom.js";

const LEARNERS = [
  ["", "Automatic: tries several and takes the best"],
  ["trees", "Gradient boosted trees"],
  ["realmlp", "Neural network, tuned for tables"],
  ["mlp", "Small neural network, with live curves"],
  ["linear", "Linear or logistic regression"],
];
const TIMED = ["", "trees", "realmlp"]; // learners that keep to a budget
const SEARCHED = ["trees", "realmlp", "mlp"]; // learners whose settings may be searched
const NETWORK = {
  hidden: "Hidden layers, such as 64, 32",
  epochs: "Epochs",
  lr: "Learning rate",
  batch_size: "Batch size (0: all rows)",
  validation_fraction: "Share of rows for early stopping",
  patience: "Patience in epochs (0: never stop early)",
};

export const title = ({ query }) => (query.get("dataset") ? `Train on ${query.get("dataset")}` : "Train");

export async function show(body, { query, signal, keep, problem }) {
  const name = query.get("dataset");
  if (!name) {
    body.append(el("p", {}, "Choose a data set first: ", el("a", { href: "#/data" }, "Data")));
    return;
  }
  const { columns } = await get(`datasets/${encodeURIComponent(name)}`, signal);
  const names = columns.map((column) => column.name);
  const input = (id, attributes = {}) =>
    el("input", { id, name: id, ...attributes, value: query.get(id) || attributes.value || "" });
  const optional = ["", ...names].map((column) => [column, column || "no"]);
  const boxes = {
    target: select(names, query.get("target") || likeliest(columns), { id: "target" }),
    model: input("model", { required: true, pattern: "[a-z0-9][a-z0-9_\\-]{0,63}", value: name }),
    learner: select(LEARNERS, query.get("learner") || "", { id: "learner" }),
    budget_s: input("budget_s", {
      type: "number",
      min: "1",
      max: "86400",
      step: "any",
      placeholder: "chosen by the number of rows",
    }),
    activate: select(
      [
        ["if_better", "only if it is better on the same held-out rows"],
        ["always", "always"],
        ["never", "never"],
      ],
      query.get("activate") || "if_better",
      { id: "activate" },
    ),
    task: select(
      [
        ["", "decided by the values"],
        ["classification", "classes"],
        ["regression", "a quantity"],
      ],
      query.get("task") || "",
      { id: "task" },
    ),
    time: select(optional, query.get("time") || "", { id: "time" }),
    group: select(optional, query.get("group") || "", { id: "group" }),
    rare_classes: select(
      [
        ["drop", "leave their rows out"],
        ["merge", "merge into one class"],
        ["refuse", "refuse the table"],
      ],
      query.get("rare_classes") || "drop",
      { id: "rare_classes" },
    ),
    search: input("search", { type: "number", min: "0", max: "500", placeholder: "none" }),
    seed: input("seed", { type: "number", min: "0", max: "4294967295" }),
  };
  const network = Object.fromEntries(
    Object.keys(NETWORK).map((id) => [id, input(id, { inputmode: "decimal", placeholder: "default" })]),
  );
  const networkFields = el(
    "fieldset",
    {},
    el("legend", {}, "Network"),
    Object.entries(NETWORK).map(([id, label]) => field(label, network[id])),
  );
  const budget = field(
    "Time budget in seconds",
    boxes.budget_s,
    "Training takes about this long; longer may be better.",
  );
  const search = field("Settings to try (search)", boxes.search, "The best by held-out rows is trained.");
  const trouble = el("div");
  const button = el("button", { class: "primary" }, "Start training");
  const types = JSON.parse(query.get("types") || "{}");
  const form = el(
    "form",
    { class: "stack", onsubmit: start, onchange: changed },
    field("What should be predicted?", boxes.target),
    field("Name of the model", boxes.model, "Small letters, digits, _ and -. A name that exists gets a new version."),
    field("What learns", boxes.learner),
    budget,
    el(
      "details",
      {},
      el("summary", {}, "Expert settings"),
      field("Make the new version live", boxes.activate),
      field("What the target is", boxes.task),
      field("Test on the latest rows, by column", boxes.time),
      field(
        "Keep rows of one group together, by column",
        boxes.group,
        "Without either, a hash of each row decides whether it tests.",
      ),
      field("Classes with fewer than 5 rows", boxes.rare_classes),
      search,
      field("Seed", boxes.seed),
      networkFields,
    ),
    Object.keys(types).length
      ? el(
          "p",
          { class: "hint" },
          `Types you chose: ${Object.entries(types)
            .map(([c, t]) => `${c} is ${t}`)
            .join(", ")}.`,
        )
      : null,
    trouble,
    el("p", { class: "actions" }, button, el("a", { class: "button", href: back() }, "Back to the columns")),
  );
  body.append(form);
  changed();

  function back() {
    const state = new URLSearchParams({
      target: boxes.target.value,
      ...(query.get("types") && { types: query.get("types") }),
    });
    return `#/data/${encodeURIComponent(name)}?${state}`;
  }

  function changed() {
    networkFields.hidden = boxes.learner.value !== "mlp";
    search.hidden = !SEARCHED.includes(boxes.learner.value);
    budget.hidden = !TIMED.includes(boxes.learner.value);
    const state = Object.fromEntries(Object.entries({ ...boxes, ...network }).map(([id, box]) => [id, box.value]));
    keep({ dataset: name, types: query.get("types"), ...state });
  }

  async function start(event) {
    event.preventDefault();
    button.disabled = true;
    try {
      const job = await (await send("train", { method: "POST", json: request() })).json();
      location.hash = `#/training/${job.id}`;
    } catch (error) {
      trouble.replaceChildren(problem(error));
      button.disabled = false;
    }
  }

  function request() {
    const overrides = {};
    if (boxes.learner.value) overrides.learner = boxes.learner.value;
    if (!budget.hidden && boxes.budget_s.value) overrides.budget_s = Number(boxes.budget_s.value);
    if (!search.hidden && boxes.search.value) overrides.search = Number(boxes.search.value);
    if (boxes.seed.value) overrides.seed = Number(boxes.seed.value);
    if (!networkFields.hidden) {
      for (const [id, box] of Object.entries(network)) {
        if (box.value.trim())
          overrides[id] =
            id === "hidden"
              ? box.value
                  .split(/[\s,]+/)
                  .filter(Boolean)
                  .map(Number)
              : Number(box.value);
      }
    }
    const split = {
      ...(boxes.time.value && { time: boxes.time.value }),
      ...(boxes.group.value && { group: boxes.group.value }),
    };
    return {
      model: boxes.model.value,
      dataset: name,
      target: boxes.target.value,
      overrides,
      activate: boxes.activate.value,
      rare_classes: boxes.rare_classes.value,
      ...(boxes.task.value && { task: boxes.task.value }),
      ...(Object.keys(split).length && { split }),
      ...(Object.keys(types).length && { types }),
    };
  }
}
