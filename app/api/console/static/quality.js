// Quality: how far the rows of requests are from those of the training, and how right the answers are and should be.

import { every, get, send } from "./api.js";
import { bars, lines } from "./charts.js";
import { drawer, el, field, number, percent, plural, replace, table } from "./dom.js";
import { pick, samples } from "./metrics.js";
import { drift } from "./words.js";

const MOST_LINES = 8;

export const title = () => "Quality";

export async function show(body, { signal, problem }) {
  const [trouble, models] = [el("div"), el("div")];
  body.append(
    el(
      "p",
      {},
      "Drift is the distance of recent requests from the training rows, as population stability index: below 0.1 low, from 0.25 on high.",
    ),
    trouble,
    models,
    feedback(problem),
  );
  const draw = drawer(models, (names) =>
    names.length ? names.map(section) : el("p", { class: "hint" }, "No model has answered yet."),
  );
  const failed = (error) => trouble.replaceChildren(...(error ? [problem(error)] : []));
  await every(
    4000,
    signal,
    async () => {
      const all = samples(await (await send("metrics", { headers: { accept: "text/plain" }, signal })).text());
      const told = await Promise.all(
        pick(all, "tabserve_model_info").map(async ({ labels }) => {
          const path = `models/${encodeURIComponent(labels.model)}`;
          const asked = [get(`${path}/versions/${labels.version}/live`, signal), get(`${path}/drift`, signal)];
          const [live, history] = await Promise.all(asked.map((one) => one.catch(spare)));
          return { ...facts(all, labels), live, history: history.fault ? [] : past(history) };
        }),
      );
      draw(told);
    },
    failed,
  );
}

// What one model cannot tell, such as one that was removed meanwhile or whose folder cannot be read, hides no other.
function spare(error) {
  if (![404, 409, 503].includes(error.status)) throw error;
  return { fault: error.message };
}

function facts(all, { model, version }) {
  const own = { model, version };
  return {
    model,
    version,
    rows: pick(all, "tabserve_inference_rows_total", own).reduce((sum, sample) => sum + sample.value, 0),
    drift: pick(all, "tabserve_feature_drift_psi", { model }).map(({ labels, value }) => [labels.feature, value]),
    unusual: pick(all, "tabserve_unusual_values_total", own)
      .filter(({ value }) => value)
      .map(({ labels, value }) => [labels.feature, labels.value, value]),
    classes: pick(all, "tabserve_predictions_total", own).map(({ labels, value }) => [labels.class, value]),
    sure: confidence(all, own),
  };
}

// Drift of each column by hours from now, where there is more than one look.
function past({ times, columns }) {
  const hours = times.map((time) => (Date.parse(time) - Date.now()) / 3_600_000);
  const last = (values) => values.findLast((value) => value !== null);
  return Object.entries(columns)
    .sort((a, b) => last(b[1]) - last(a[1]))
    .slice(0, MOST_LINES)
    .map(([name, values]) => ({
      name,
      points: values.map((value, at) => [Math.round(10 * hours[at]) / 10 || 0, value]).filter(([, value]) => value !== null),
    }))
    .filter(({ points }) => points.length > 1);
}

// How right the answers were, as far as labels came, and how right they should be.
function accuracy({ fault, labels, days, figures, expected }) {
  if (fault) return `How right the answers are cannot be told now: ${fault}`;
  const promised =
    expected?.accuracy != null
      ? `By its own probabilities, ${percent(expected.accuracy)} should be right.`
      : expected?.reason
        ? `Expected accuracy: ${expected.reason}.`
        : "";
  if (!figures) return `No labels yet, so it is not known how right the answers are. ${promised}`;
  const [what, low, high] =
    "accuracy" in figures
      ? [`${percent(figures.accuracy)} right`, ...figures.accuracy_interval.map(percent)]
      : [`RMSE ${number(figures.rmse)}`, ...figures.rmse_interval.map((value) => number(value))];
  return `Of ${plural(labels, "labelled row")} in ${days} days: ${what} (${low} to ${high}). ${promised}`;
}

// Send true labels: a CSV with the receipts of predictions.
function feedback(problem) {
  const said = el("div", { "aria-live": "polite" });
  const input = el("input", {
    type: "file",
    id: "labels",
    accept: ".csv",
    onchange: () => input.files[0] && take(input.files[0]),
  });
  async function take(file) {
    try {
      const { taken, repeated, errors, refused } = await (
        await send("feedback", { method: "POST", body: file, type: "text/csv" })
      ).json();
      const faults = errors.map((fault) => el("li", {}, `line ${fault.row}: ${fault.problem}`));
      replace(
        said,
        el("p", {}, `${plural(taken, "label")} taken, ${number(repeated)} repeated, ${number(refused)} refused.`),
        faults.length ? el("ul", {}, faults) : null,
      );
    } catch (error) {
      replace(said, problem(error));
    }
    input.value = "";
  }
  return el(
    "section",
    {},
    el("h2", {}, "Send labels"),
    field(
      "CSV with the columns receipt and label",
      input,
      "A request with the header X-Prediction-Receipt: 1 gets a receipt for each row.",
    ),
    said,
  );
}

function confidence(all, own) {
  const [count] = pick(all, "tabserve_prediction_confidence_count", own);
  const [sum] = pick(all, "tabserve_prediction_confidence_sum", own);
  return count?.value ? sum.value / count.value : null;
}

function section({ model, version, rows, drift: found, history, unusual, classes, sure, live }) {
  const worst = Math.max(...found.map(([, value]) => value));
  const said = found.length ? `Drift is ${drift(worst)}.` : "Too few requests to tell whether they drift.";
  const answered = classes.reduce((sum, [, count]) => sum + count, 0);
  return el(
    "section",
    { class: "card" },
    el("h2", {}, el("a", { href: `#/model/${encodeURIComponent(model)}` }, model), ` version ${version}`),
    el(
      "p",
      {},
      `${number(rows)} rows predicted. ${said}${sure === null ? "" : ` The answers are ${percent(sure)} sure on average.`}`,
    ),
    el("p", {}, accuracy(live)),
    found.length
      ? bars(
          `Drift of each column of ${model}`,
          found
            .sort((a, b) => b[1] - a[1])
            .slice(0, 30)
            .map(([name, value]) => ({ name, value, text: `${number(value, 2)} ${drift(value)}` })),
          ["Column", "Drift"],
        )
      : null,
    history.length
      ? lines(`Drift of ${model} over the last day, the columns that drifted most`, history, "hours from now:")
      : null,
    answered
      ? bars(
          `Answers of ${model} by class`,
          classes.slice(0, 30).map(([name, value]) => ({ name, value, text: percent(value / answered) })),
          ["Class", "Share"],
          answered,
        )
      : null,
    unusual.length
      ? table(
          `Unusual values in requests to ${model}`,
          ["Column", "What", "Values"],
          unusual.map(([feature, kind, count]) => [feature, kind, number(count)]),
        )
      : null,
  );
}
