// Draw charts as SVG. Each has a name for screen readers, and a table of the same figures behind it.

import { el, number, svg, table } from "./dom.js";

// Text in a drawing shrinks with it, so a small screen gets a smaller drawing.
export const isNarrow = () => matchMedia("(max-width: 46rem)").matches;

export function figure(label, drawing, heads, rows) {
  return el(
    "figure",
    {},
    drawing,
    el("figcaption", {}, label),
    el("details", {}, el("summary", {}, "Figures as a table"), table(label, heads, rows)),
  );
}

// Horizontal bars: `rows` are { name, value, text, kind }. Values may be negative; the scale reaches at least to `most`.
export function bars(label, rows, heads = ["Name", "Value"], most = 1e-12) {
  const [line, left, width, letters] = isNarrow() ? [26, 120, 150, 15] : [26, 190, 330, 26];
  const low = Math.min(0, ...rows.map((row) => row.value));
  const high = Math.max(most, ...rows.map((row) => row.value));
  const x = (value) => left + (width * (value - low)) / (high - low);
  const items = rows.map((row, place) => {
    const y = place * line;
    const from = Math.min(x(row.value), x(0));
    return svg(
      "g",
      {},
      svg(
        "text",
        { x: left - 8, y: y + 17, class: "label end" },
        row.name.length > letters ? `${row.name.slice(0, letters - 1)}…` : row.name,
      ),
      svg("rect", {
        x: from,
        y: y + 4,
        width: Math.max(1, Math.abs(x(row.value) - x(0))),
        height: line - 9,
        class: `bar ${row.kind || ""}`,
      }),
      svg("text", { x: left + width + 8, y: y + 17, class: "label" }, row.text ?? number(row.value)),
    );
  });
  const drawing = svg(
    "svg",
    {
      viewBox: `0 0 ${left + width + 100} ${rows.length * line + 4}`,
      role: "img",
      "aria-label": label,
      class: "chart",
    },
    items,
  );
  return figure(
    label,
    drawing,
    heads,
    rows.map((row) => [row.name, row.text ?? number(row.value)]),
  );
}

// Lines over x: `series` are { name, points: [[x, y], ...] }; at most eight, told apart by dashes and names, too.
export function lines(label, series, axis) {
  const [width, height, left, bottom] = [isNarrow() ? 370 : 620, 240, 56, 30];
  const all = series.flatMap((one) => one.points);
  if (!all.length) return null;
  const [xs, ys] = [all.map((p) => p[0]), all.map((p) => p[1])];
  const [x0, x1, y0, y1] = [least(xs), -least(xs.map((a) => -a)), least([0, ...ys]), -least(ys.map((b) => -b))];
  const x = (value) => left + ((width - left - 10) * (value - x0)) / (x1 - x0 || 1);
  const y = (value) => 10 + (height - bottom - 10) * (1 - (value - y0) / (y1 - y0 || 1));
  const ticks = [y0, (y0 + y1) / 2, y1].map((value) => [
    svg("line", { x1: left, x2: width - 10, y1: y(value), y2: y(value), class: "grid" }),
    svg("text", { x: left - 6, y: y(value) + 4, class: "label end" }, number(value, 2)),
  ]);
  const drawn = series.map((one, place) => {
    const thin = thinned(one.points);
    const path = thin.map(([a, b], at) => `${at ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
    const [a, b] = thin[thin.length - 1];
    return [
      svg("path", { d: path, class: `line s${place % 8}` }),
      svg("circle", { cx: x(a), cy: y(b), r: 3.5, class: `dot s${place % 8}` }),
    ];
  });
  const ends = (x0 === x1 ? [x0] : [x0, x1]).map((value, place) =>
    svg(
      "text",
      { x: x(value), y: height - 8, class: place ? "label end" : "label" },
      place ? `${axis} ${number(value)}` : number(value),
    ),
  );
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" },
    ticks,
    drawn,
    ends,
  );
  const legend = el(
    "ul",
    { class: "legend" },
    series.map((one, place) =>
      el("li", {}, swatch(place), ` ${one.name}: ${number(one.points[one.points.length - 1][1])}`),
    ),
  );
  const rows = series.flatMap((one) => thinned(one.points, 50).map(([a, b]) => [one.name, number(a), number(b)]));
  const shown = figure(label, drawing, ["Line", axis, "Value"], rows);
  shown.insertBefore(legend, shown.children[1]);
  return shown;
}

function swatch(place) {
  return svg(
    "svg",
    { viewBox: "0 0 28 8", width: 28, height: 8, "aria-hidden": "true" },
    svg("path", { d: "M0 4H28", class: `line s${place % 8}` }),
  );
}

// Math.min takes no more arguments than the stack holds, and a training may have 100,000 epochs.
function least(values) {
  return values.reduce((a, b) => Math.min(a, b));
}

function thinned(points, most = 600) {
  const step = Math.ceil(points.length / most);
  return points.filter((_, place) => place % step === 0 || place === points.length - 1);
}

// A histogram small enough for a cell of a table; `label` says in words what it shows.
export function spark(counts, label) {
  const most = Math.max(...counts, 1);
  const width = 96 / counts.length;
  return svg(
    "svg",
    { viewBox: "0 0 96 26", role: "img", "aria-label": label, class: "spark" },
    counts.map((count, place) =>
      svg("rect", {
        x: place * width,
        y: 26 - (26 * count) / most,
        width: Math.max(1, width - 1),
        height: (26 * count) / most,
        class: "bar",
      }),
    ),
  );
}

// A table of true classes by predicted classes, shaded by the share of each row.
export function confusion(classes, counts, label) {
  const rows = counts.map((row, place) => {
    const total = row.reduce((sum, count) => sum + count, 0) || 1;
    return [
      classes[place],
      ...row.map((count) => el("span", { class: `shade h${Math.ceil((4 * count) / total)}` }, number(count))),
    ];
  });
  return table(label, ["true \\ predicted", ...classes], rows);
}
