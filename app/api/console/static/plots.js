// Draw points and lines on two axes as SVG: reliability, residuals, dependence, histograms, intervals.

import { figure, isNarrow } from "./charts.js";
import { number, percent, svg } from "./dom.js";

const [LEFT, BOTTOM, EDGE] = [56, 34, 10];

// The scales of a drawing, its grid, and its tick texts; `x` and `y` are { from, to, text, ticks, name }.
function axes(x, y, { width = isNarrow() ? 370 : 620, height = 260 } = {}) {
  const right = width - EDGE;
  const scale = {
    x: (value) => LEFT + ((right - LEFT) * (value - x.from)) / (x.to - x.from || 1),
    y: (value) => EDGE + (height - BOTTOM - EDGE) * (1 - (value - y.from) / (y.to - y.from || 1)),
  };
  const ticks = ({ from, to, ticks: given }) => given || [from, (from + to) / 2, to];
  const rows = ticks(y).map((value) => [
    svg("line", { x1: LEFT, x2: right, y1: scale.y(value), y2: scale.y(value), class: "grid" }),
    svg("text", { x: LEFT - 6, y: scale.y(value) + 4, class: "label end" }, (y.text || number)(value, 2)),
  ]);
  const places = ticks(x);
  const columns = places.map((value, place) =>
    svg(
      "text",
      {
        x: scale.x(value),
        y: height - BOTTOM + 16,
        class: `label ${place === 0 ? "" : place === places.length - 1 ? "end" : "middle"}`,
      },
      (x.text || number)(value, 2),
    ),
  );
  const name = svg("text", { x: (LEFT + right) / 2, y: height - 3, class: "label middle quiet" }, x.name);
  return { ...scale, width, height, base: height - BOTTOM, grid: [rows, columns, name] };
}

function drawing({ width, height, grid }, label, ...marks) {
  return svg(
    "svg",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "chart" },
    grid,
    marks,
  );
}

function path(points, { x, y }) {
  return points.map(([a, b], at) => `${at ? "L" : "M"}${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("");
}

const spread = (values) => ({ from: Math.min(...values), to: Math.max(...values) });

// Columns over the bins between `edges`; `text` writes an edge.
export function histogram(label, edges, rows, name, { text = number, height = 180 } = {}) {
  const plot = axes(
    { from: 0, to: rows.length, name, ticks: [0, rows.length], text: (place) => text(edges[place]) },
    { from: 0, to: Math.max(...rows, 1) },
    { height },
  );
  const columns = rows.map((count, place) =>
    svg("rect", {
      x: plot.x(place) + 1,
      y: plot.y(count),
      width: Math.max(1, plot.x(place + 1) - plot.x(place) - 2),
      height: plot.base - plot.y(count),
      class: "bar",
    }),
  );
  const table = rows.map((count, place) => [`${text(edges[place])} to ${text(edges[place + 1])}`, number(count)]);
  return figure(label, drawing(plot, label, columns), [name, "Rows"], table);
}

// Share of right rows against their confidence, with the band within which a calibrated model stays.
export function reliability({ bins, rows }) {
  const label = `Reliability: share of rows that are right, by confidence (${number(rows)} test rows, bins of equally many)`;
  const least = Math.floor(10 * Math.min(...bins.map((bin) => Math.min(bin.confidence, bin.accuracy, bin.low)))) / 10;
  const axis = { from: least, to: 1, text: percent };
  const plot = axes({ ...axis, name: "confidence: probability of the answered class" }, axis);
  const bands = bins.map(({ confidence, low, high }) =>
    svg("line", { x1: plot.x(confidence), x2: plot.x(confidence), y1: plot.y(low), y2: plot.y(high), class: "band" }),
  );
  const found = bins.map(({ confidence, accuracy }) => [confidence, accuracy]);
  const marks = found.map(([a, b]) => svg("circle", { cx: plot.x(a), cy: plot.y(b), r: 4, class: "dot s1" }));
  const shown = drawing(
    plot,
    label,
    bands,
    svg("line", { x1: plot.x(least), y1: plot.y(least), x2: plot.x(1), y2: plot.y(1), class: "line s7" }),
    svg("path", { d: path(found, plot), class: "line s1" }),
    marks,
  );
  const table = bins.map((bin) => [
    percent(bin.confidence),
    percent(bin.accuracy),
    `${percent(bin.low)} to ${percent(bin.high)}`,
    number(bin.rows),
  ]);
  return figure(label, shown, ["Confidence", "Right", "95 % band of a calibrated model", "Rows"], table);
}

// True minus predicted values over the predicted ones.
export function residuals({ predicted, truth, rows }, unit) {
  const errors = truth.map((value, place) => value - predicted[place]);
  const some = predicted.length < rows ? `${number(predicted.length)} of ` : "";
  const label = `Residuals: truth minus answer, ${some}${number(rows)} test rows`;
  const most = Math.max(...errors.map(Math.abs)) || 1;
  const name = `answer${unit ? ` (${unit})` : ""}`;
  const plot = axes({ ...spread(predicted), name }, { from: -most, to: most });
  const marks = errors.map((error, place) =>
    svg("circle", { cx: plot.x(predicted[place]), cy: plot.y(error), r: 3, class: "point" }),
  );
  const table = predicted.map((value, place) => [number(value), number(truth[place]), number(errors[place])]);
  return figure(label, drawing(plot, label, marks), ["Answer", "Truth", "Truth minus answer"], table);
}

// How the answer changes with one column alone: the mean, and the lines of single rows.
export function dependence(column, { values, means, lines_of: of, lines }, what, write) {
  const label = `${what} where ${column} is changed alone: mean, and ${number(lines.length)} single rows`;
  const texts = typeof values[0] === "string";
  const places = texts ? values.map((_, place) => place) : values;
  const text = texts ? (place) => short(values[place]) : number;
  const ticks = texts && values.length > 1 && values.length <= 4 ? places : [places[0], places[places.length - 1]];
  const mean = means[of];
  const plot = axes({ ...spread(places), name: column, ticks, text }, { ...spread(lines.flat().concat(mean)), text: write }, {
    width: 370,
    height: 220,
  });
  const line = (heights, kind) =>
    svg("path", { d: path(heights.map((height, at) => [places[at], height]), plot), class: kind });
  const single = lines.map((heights) => line(heights, "line thin"));
  const shown = drawing(plot, label, single, line(mean, "line s1 thick"));
  const table = values.map((value, place) => [
    texts ? value : number(value),
    write(mean[place]),
    `${write(Math.min(...lines.map((one) => one[place])))} to ${write(Math.max(...lines.map((one) => one[place])))}`,
  ]);
  return figure(label, shown, [column, "Mean answer", "Answers of single rows"], table);
}

// A value in its interval; an end that is null is open.
export function interval(label, value, [low, high], bounds) {
  const { from, to } = spread([value, ...[low, high, ...bounds].filter((end) => end !== null)]);
  const plot = axes({ from, to, name: "" }, { from: 0, to: 1, ticks: [] }, { height: 74 });
  const [start, end] = [low ?? from, high ?? to];
  const width = Math.max(1, plot.x(end) - plot.x(start));
  const bar = svg("rect", { x: plot.x(start), y: 12, width, height: 16, class: "band" });
  const mark = svg("circle", { cx: plot.x(value), cy: 20, r: 6, class: "dot s1" });
  const ends = [low === null ? "no lower end" : number(low, 4), high === null ? "no upper end" : number(high, 4)];
  return figure(label, drawing(plot, label, bar, mark), ["Answer", "From", "To"], [[number(value, 4), ...ends]]);
}

function short(text) {
  return text.length > 14 ? `${text.slice(0, 13)}…` : text;
}
