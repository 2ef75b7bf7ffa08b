// Home: state in a word, a place for a CSV, models with their scores in a sentence, trainings with progress.

import { every, get, send } from "./api.js";
import { drawer, el, moment, number, plural } from "./dom.js";
import { largest, samples, sum } from "./metrics.js";
import { drift, progress, score, share, state } from "./words.js";

const WORDS = { ok: "Everything works.", degraded: "Working, with faults.", unavailable: "No model answers." };

export const title = () => "Home";

export async function show(body, { signal, announce, problem }) {
  const trouble = el("div");
  const health = el("p", { class: "state" });
  const models = el("section", { "aria-labelledby": "models-title" });
  const trainings = el("section", { "aria-labelledby": "trainings-title" });
  body.append(health, uploader({ announce, problem }), trouble, models, trainings);
  const drawHealth = drawer(health, sayHealth);
  const drawModels = drawer(models, listModels);
  const drawTrainings = drawer(trainings, listTrainings);
  const failed = (error) => trouble.replaceChildren(...(error ? [problem(error)] : []));

  const refused = (error) => error?.status === 403 && drawTrainings([]); // the key may predict only
  let list = [];
  let figures = null; // not known yet, or to this key
  const both = () => drawModels(list.map((model) => describe(model, figures)));
  await Promise.all([
    every(
      2000,
      signal,
      async () => {
        list = (await get("models", signal)).models;
        drawHealth(await get("health", signal));
        both();
      },
      failed,
    ),
    every(1500, signal, async () => drawTrainings((await get("train?limit=8", signal)).jobs), refused),
    every(5000, signal, async () => {
      figures = samples(await (await send("metrics", { headers: { accept: "text/plain" }, signal })).text());
      both();
    }),
  ]);
}

function sayHealth({ status, device, models }) {
  const empty = Object.keys(models).length === 0;
  return [
    el("strong", { class: `word ${empty ? "ok" : status}` }, empty ? "Ready for your first table." : WORDS[status]),
    ` ${plural(Object.keys(models).length, "model")} on ${device}.`,
  ];
}

function describe(model, figures) {
  return {
    name: model.name,
    state: model.state,
    word: state(model),
    reason: model.reason,
    score: score(model.metrics.test, model.leaders),
    rows: figures && sum(figures, "tabserve_inference_rows_total", { model: model.name }),
    drift: figures && largest(figures, "tabserve_feature_drift_psi", { model: model.name }),
  };
}

function listModels(models) {
  const items = models.map((model) => {
    const to = encodeURIComponent(model.name);
    const traffic = `${plural(model.rows, "row")} predicted since the start. Drift: ${drift(model.drift)}.`;
    return el(
      "article",
      { class: "card" },
      el(
        "h3",
        {},
        el("a", { id: `model-${model.name}`, href: `#/model/${to}` }, model.name),
        " ",
        el("span", { class: `badge ${model.state}` }, model.word),
      ),
      el("p", {}, model.score),
      model.reason ? el("p", { class: "warning" }, model.reason) : null,
      model.rows === null ? null : el("p", { class: "hint" }, traffic),
      el(
        "p",
        { class: "actions" },
        el("a", { class: "button", id: `try-${model.name}`, href: `#/try/${to}` }, `Try ${model.name}`),
      ),
    );
  });
  const none = el("p", { class: "hint" }, "No model yet. Drop a CSV above, choose what to predict, and train.");
  return [el("h2", { id: "models-title" }, "Models"), items.length ? el("div", { class: "cards" }, items) : none];
}

function listTrainings(jobs) {
  const items = jobs.map((job) => {
    const running = job.status === "queued" || job.status === "running";
    const done = share(job);
    const bar = el("progress", {
      max: "1",
      ...(done === null ? {} : { value: done }),
      "aria-label": `Progress of ${job.model}`,
    });
    return el(
      "li",
      {},
      el(
        "a",
        { id: `job-${job.id}`, href: `#/training/${job.id}` },
        `${job.search_of ? "Search for " : ""}${job.model}${job.version ? ` version ${job.version}` : ""}`,
      ),
      ` ${job.status}. `,
      running
        ? [bar, " ", progress(job)]
        : el("span", { class: "hint" }, `${moment(job.finished)}. ${job.detail || ""}`),
    );
  });
  return [
    el("h2", { id: "trainings-title" }, "Trainings"),
    items.length ? el("ul", { class: "plain" }, items) : el("p", { class: "hint" }, "None yet."),
  ];
}

// The name of a data set, from that of its file.
export function datasetName(file) {
  const name = file
    .replace(/\.[^.]*$|\.csv\.gz$/i, "")
    .toLowerCase()
    .normalize("NFKD")
    .replace(/[^a-z0-9_-]+/g, "_")
    .replace(/^[_-]+/, "")
    .slice(0, 64);
  return name.replace(/_+$/, "") || "table";
}

export function uploader({ announce, problem }) {
  const said = el("div", { "aria-live": "polite" });
  const input = el("input", {
    type: "file",
    id: "file",
    accept: ".csv,.tsv,.txt,.gz,.parquet,.arrow,.xlsx,.xls",
    onchange: () => input.files[0] && upload(input.files[0]),
  });
  const area = el(
    "section",
    { class: "drop", "aria-labelledby": "drop-title" },
    el("h2", { id: "drop-title" }, "Drop a CSV here"),
    el("p", {}, el("label", { for: "file" }, "or choose a file"), " ", input),
    el("p", { class: "hint" }, "One line per row, column names on top. It stays on this service."),
    said,
  );

  async function upload(file) {
    const name = datasetName(file.name);
    said.replaceChildren(el("p", {}, `Sending and checking ${file.name} (${number(file.size)} bytes)...`));
    try {
      const answer = await send(`datasets/${name}`, { method: "PUT", body: file, type: "application/octet-stream" });
      const { rows, columns } = await answer.json();
      announce(`${name}: ${rows} rows, ${columns.length} columns.`);
      location.hash = `#/data/${name}`;
    } catch (error) {
      said.replaceChildren(problem(error));
      input.value = "";
    }
  }

  area.addEventListener("dragover", () => area.classList.add("over"));
  area.addEventListener("dragleave", () => area.classList.remove("over"));
  area.addEventListener("drop", (event) => {
    area.classList.remove("over");
    if (event.dataTransfer.files[0]) upload(event.dataTransfer.files[0]);
  });
  return area;
}
