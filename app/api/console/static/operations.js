// Operations: health, requests, queues, engines and trainings, disks, keys and the last audit records.

import { every, get, send } from "./api.js";
import { drawer, el, moment, number, percent, plural, table } from "./dom.js";
import { pick, quantile, samples, sum } from "./metrics.js";

const OVERVIEW_MS = 10_000;
const NOT_SHOWN = new Set(["time", "action", "outcome", "seq", "process", "monotonic_s", "key", "peer"]);

export const title = () => "Operations";

export async function show(body, { signal, problem }) {
  const [trouble, health, figures, overview] = [el("div"), el("div"), el("div"), el("div")];
  body.append(trouble, health, figures, overview);
  const failed = (error) => trouble.replaceChildren(...(error ? [problem(error)] : []));
  const drawHealth = drawer(health, ({ status, device, models }) => [
    el("p", {}, el("span", { class: `badge ${status}` }, status), ` Models run on ${device}.`),
    Object.keys(models).length ? table("Health of each model", ["Model", "State"], Object.entries(models)) : null,
  ]);
  const drawFigures = drawer(figures, tables);
  let before = null;
  const followed = every(
    3000,
    signal,
    async () => {
      drawHealth(await get("health", signal));
      const all = samples(await (await send("metrics", { headers: { accept: "text/plain" }, signal })).text());
      const now = { at: performance.now(), requests: sum(all, "tabserve_http_requests_total") };
      const rate = before ? ((now.requests - before.requests) * 1000) / (now.at - before.at) : null;
      before = now;
      drawFigures(facts(all, rate));
    },
    failed,
  );
  const drawOverview = drawer(overview, machine);
  const refused = (error) => error && overview.replaceChildren(el("h2", {}, "Disks, keys and audit"), problem(error));
  await Promise.all([followed, every(OVERVIEW_MS, signal, async () => drawOverview(await get("operations", signal)), refused)]);
}

function facts(all, rate) {
  const routes = new Map();
  for (const { labels, value } of pick(all, "tabserve_http_requests_total")) {
    const name = `${labels.method} ${labels.route}`;
    const kept = routes.get(name) || {
      labels: { method: labels.method, route: labels.route },
      requests: 0,
      client: 0,
      server: 0,
    };
    kept.requests += value;
    if (labels.code.startsWith("4")) kept.client += value;
    if (labels.code.startsWith("5")) kept.server += value;
    routes.set(name, kept);
  }
  const duration = "tabserve_http_request_duration_seconds";
  return {
    rate,
    running: sum(all, "tabserve_http_requests_in_progress"),
    routes: [...routes]
      .sort((a, b) => b[1].requests - a[1].requests)
      .map(([name, found]) => [
        name,
        found.requests,
        found.client,
        found.server,
        quantile(all, duration, found.labels, 0.99),
      ]),
    queues: pick(all, "tabserve_queue_rows").map(({ labels, value }) => [labels.model, value]),
    limit: sum(all, "tabserve_queue_limit_rows"),
    jobs: [
      ...pick(all, "tabserve_train_jobs_unfinished").map(({ labels, value }) => [labels.status, value]),
      ...pick(all, "tabserve_train_jobs_total")
        .filter(({ value }) => value)
        .map(({ labels, value }) => [labels.reason, value]),
    ],
    swaps: pick(all, "tabserve_model_swaps_total").map(({ labels, value }) => [labels.result, value]),
    engines: pick(all, "tabserve_model_info").map(({ labels }) => [
      labels.model,
      labels.version,
      labels.device,
      sum(all, "tabserve_model_load_duration_seconds", { model: labels.model }),
    ]),
  };
}

function tables({ rate, running, routes, queues, limit, jobs, swaps, engines }) {
  const slow = (value) =>
    value === undefined ? "-" : value === Infinity ? "above the last bucket" : `${number(value * 1000)} ms`;
  return [
    el("h2", {}, "Requests"),
    el(
      "p",
      {},
      `${rate === null ? "" : `${number(Math.round(rate * 10) / 10)} per second now. `}${number(running)} in progress.`,
    ),
    table(
      "Requests by route",
      ["Route", "Requests", "Client errors", "Server errors", "99 of 100 within"],
      routes.map(([name, total, client, server, p99]) => [
        name,
        number(total),
        `${number(client)} (${percent(client / total)})`,
        number(server),
        slow(p99),
      ]),
    ),
    el("h2", {}, "Queues"),
    table(
      "Rows waiting by model",
      ["Model", "Rows waiting", "Most"],
      queues.map(([name, value]) => [name, number(value), number(limit)]),
    ),
    el("h2", {}, "Trainings"),
    table(
      "Trainings by state",
      ["State", "Trainings"],
      jobs.map(([name, value]) => [name, number(value)]),
    ),
    el("h2", {}, "Versions"),
    table(
      "Serving versions",
      ["Model", "Version", "Device", "Load time"],
      engines.map(([name, version, device, load]) => [name, version, device, `${number(load)} s`]),
    ),
    table(
      "Version swaps since the start",
      ["Result", "Swaps"],
      swaps.map(([name, value]) => [name, number(value)]),
    ),
  ];
}

// What the operator's route says of the machine: processes, disks, keys, audit.
function machine({ workers, disks, keys, keys_current: current, audit }) {
  return [
    el("h2", {}, "Workers and disks"),
    el("p", {}, `${plural(workers.length, "worker")}: process ${workers.join(", ")}.`),
    table(
      "Room on disk",
      ["Folder", "Used", "Free on its disk", "Size of the disk"],
      disks.map((disk) => [disk.folder, size(disk.used_bytes), size(disk.free_bytes), size(disk.total_bytes)]),
    ),
    el("h2", {}, "Keys"),
    current ? null : el("p", { class: "warning" }, "The key file cannot be used now; these keys are those of before."),
    keys === null
      ? el("p", {}, "The service has no keys.")
      : table(
          "Accepted keys",
          ["Key", "Scopes", "Note", "Created", "Expires"],
          keys.map((key) => [
            key.id,
            key.scopes.join(", "),
            key.note || "-",
            moment(key.created),
            key.expires ? moment(key.expires) : "never",
          ]),
        ),
    el("h2", {}, "Last audit records"),
    table(
      "Last audit records",
      ["Time", "Action", "Outcome", "What", "Key", "From"],
      audit.map((one) => [moment(one.time), one.action, one.outcome, object(one), one.key || "-", one.peer || "-"]),
    ),
  ];
}

function object(record) {
  const shown = Object.entries(record).filter(([name, value]) => !NOT_SHOWN.has(name) && String(value).length < 64);
  return shown.map(([name, value]) => `${name} ${value}`).join(", ") || "-";
}

function size(bytes) {
  if (bytes === null) return "-";
  const power = Math.min(4, Math.floor(Math.log2(bytes || 1) / 10));
  return `${number(bytes / 1024 ** power)} ${["bytes", "KiB", "MiB", "GiB", "TiB"][power]}`;
}
