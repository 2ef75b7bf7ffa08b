// Data: the columns of a data set, what a training makes of them, and the choice of the target.

import { get, send } from "./api.js";
import { spark } from "./charts.js";
import { el, field, moment, notes, number, percent, plural, replace, select, table } from "./dom.js";
import { uploader } from "./home.js";

const TYPES = ["numeric", "categorical", "boolean", "datetime"];
const LIKELY =
  /^(target|label|class|outcome|y|churn(ed)?|survived|species|diagnosis|default|response|quality|price|result)$/i;
const SHOWN = 100; // columns in the table, until more are asked for
const SHOWN_VALUES = 3;

export const title = ({ name }) => (name ? `Data set ${name}` : "Data sets");

export async function show(body, page) {
  return page.name ? one(body, page) : list(body, page);
}

async function list(body, { signal, announce, problem }) {
  body.append(uploader({ announce, problem }));
  const { datasets } = await get("datasets", signal);
  const rows = datasets.map((d) => [
    el("a", { href: `#/data/${d.name}` }, d.name),
    number(d.rows),
    number(d.columns),
    `${number(Math.ceil(d.size_bytes / 1024))} KiB`,
    moment(d.created),
  ]);
  body.append(
    rows.length
      ? table("Data sets", ["Name", "Rows", "Columns", "Size", "Sent"], rows)
      : el("p", { class: "hint" }, "No data set yet."),
  );
}

// The likeliest target: a usable column with a telling name, else the last usable one.
export function likeliest(columns) {
  const usable = columns.filter((column) => !column.left_out && column.type !== "datetime");
  return (usable.find((column) => LIKELY.test(column.name)) || usable[usable.length - 1] || columns[columns.length - 1])
    .name;
}

async function one(body, { name, query, signal, keep, problem }) {
  const found = await get(`datasets/${encodeURIComponent(name)}`, signal);
  const given = JSON.parse(query.get("types") || "{}");
  const types = Object.fromEntries(
    Object.entries(given).filter(([column]) => found.columns.some((c) => c.name === column)),
  );
  const target = select(
    found.columns.map((column) => column.name),
    query.get("target") || likeliest(found.columns),
    { id: "target", onchange: store },
  );

  function store() {
    keep({ target: target.value, types: Object.keys(types).length ? JSON.stringify(types) : "" });
  }

  function change(column, type) {
    if (type === column.type && !column.left_out) delete types[column.name];
    else if (type === "") delete types[column.name];
    else types[column.name] = type;
    store();
  }

  const next = el(
    "form",
    { class: "bar-form", onsubmit: go },
    field("What should be predicted?", target),
    el("button", { class: "primary" }, "Continue to training"),
  );
  function go(event) {
    event.preventDefault();
    const wanted = new URLSearchParams({ dataset: name, target: target.value });
    if (Object.keys(types).length) wanted.set("types", JSON.stringify(types));
    location.hash = `#/train?${wanted}`;
  }

  const blank = found.blank_lines ? ` ${plural(found.blank_lines, "blank line was", "blank lines were")} skipped.` : "";
  const columns = el("div");
  body.append(
    el("p", {}, `${plural(found.rows, "row")}, ${plural(found.columns.length, "column")}.${blank}`),
    next,
    notes(found.warnings, "What to know about this file") || "",
    columns,
    el(
      "details",
      {},
      el("summary", {}, "How the file was read"),
      table(
        "How the file was read",
        ["Setting", "Value"],
        Object.entries(found.dialect)
          .filter(([, v]) => v !== null && v !== "")
          .map(([k, v]) => [k, JSON.stringify(v)]),
      ),
    ),
    el(
      "p",
      { class: "actions" },
      el("button", { class: "danger", type: "button", onclick: remove }, "Delete this data set"),
    ),
  );
  draw(SHOWN);

  function draw(most) {
    const rows = found.columns.slice(0, most).map((column) => row(column, found.rows, types, change));
    const more = found.columns.length - most;
    replace(
      columns,
      table("Columns", ["Column", "Type", "Missing", "Distinct", "Values", "What to know"], rows),
      more > 0 && el("button", { type: "button", onclick: () => draw(Infinity) }, `Show ${number(more)} more columns`),
    );
  }

  async function remove() {
    if (!(await confirmed(`Delete the data set ${name}? Models trained on it are kept.`, "Delete"))) return;
    try {
      await send(`datasets/${encodeURIComponent(name)}`, { method: "DELETE" });
      location.hash = "#/data";
    } catch (error) {
      body.append(problem(error));
    }
  }
}

function row(column, rows, types, change) {
  const options = column.left_out ? [["", `left out (${column.type})`], ...TYPES] : TYPES;
  const chosen = types[column.name] ?? (column.left_out ? "" : column.type);
  const type = select(options, chosen, { "aria-label": `Type of ${column.name}` });
  type.addEventListener("change", () => change(column, type.value));
  const missing = column.missing ? `${number(column.missing)} (${percent(column.missing / rows)})` : "0";
  const known = [
    column.detail,
    column.note,
    column.missing && !column.left_out ? "Missing values are filled in by the model." : "",
  ].filter(Boolean);
  return [
    column.name,
    type,
    missing,
    column.distinct === null ? "many" : number(column.distinct),
    values(column, rows),
    el("span", { class: column.left_out ? "warning" : "" }, known.join(" ")),
  ];
}

// A small histogram of numbers and dates, and the most frequent values of others with the rows of the rest.
function values(column, rows) {
  const counts = Object.entries(column.classes);
  const [low, high] = [column.minimum, column.maximum].map((end) => number(end).replace("T00:00:00", ""));
  const range = column.minimum === null ? "" : `${low} to ${high}`;
  if (column.histogram && counts.length !== 1) {
    const { edges, rows: binned } = column.histogram;
    const said = binned.map((count, place) => `${number(edges[place])} to ${number(edges[place + 1])}: ${number(count)}`);
    const label = `Histogram of ${column.name}, rows by value. ${said.join("; ")}`;
    return [spark(binned, label), el("span", { class: "hint block" }, range)];
  }
  if (!counts.length) return range || "-";
  const top = counts.sort((a, b) => b[1] - a[1]).slice(0, SHOWN_VALUES);
  const others = rows - column.missing - top.reduce((sum, [, count]) => sum + count, 0);
  const said = top.map(([text, count]) => `${text || "(empty)"} ${number(count)}`);
  return [...said, others > 0 ? `${plural(others, "other row")}` : null].filter(Boolean).join(", ");
}

// Ask before something is removed; true if it may be.
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    const dialog = el(
      "dialog",
      { "aria-label": question },
      el(
        "form",
        { method: "dialog" },
        el("p", {}, question),
        el(
          "p",
          { class: "actions" },
          el("button", { class: "danger", value: "yes" }, yes),
          el("button", { value: "no", autofocus: true }, "Cancel"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
