// One training while it runs and when it has ended: curves, members, time left, stop; the gate's verdict in words.

import { every, follow, get, send } from "./api.js";
import { lines } from "./charts.js";
import { drawer, el, notes, number, percent, replace, seconds, table } from "./dom.js";
import { baseline, place, progress, score, share, verdict } from "./words.js";

const FRAME_MS = 250; // at most four drawings a second, however fast the epochs are

export const title = () => "Training";

export async function show(body, { name: id, signal, announce, problem }) {
  const path = `train/${encodeURIComponent(id)}`;
  const [head, live, result, trouble, refused] = [el("div"), el("div"), el("div"), el("div"), el("div")];
  const log = el("ol", { class: "log" });
  body.append(head, trouble, refused, result, live, el("details", {}, el("summary", {}, "Everything it reported"), log));
  const failed = (error) => trouble.replaceChildren(...(error ? [problem(error)] : []));
  // A refusal stays until the next attempt, whatever the looks at the training find.
  const act = (method, to) => async () => {
    refused.replaceChildren();
    try {
      return await (await send(to, { method })).json();
    } catch (error) {
      refused.replaceChildren(problem(error));
      return null;
    }
  };
  const drawHead = drawer(head, (job) => top(job, act("DELETE", path)));
  const drawResult = drawer(result, (job) => end(job, { act, path, announce }));
  let ended = false;

  async function look() {
    const job = await get(path, signal);
    drawHead({
      model: job.model,
      target: job.target,
      dataset: job.dataset,
      search_of: job.search_of,
      status: job.status,
      queue_position: job.queue_position,
      progress: job.progress,
      cancel_requested: job.cancel_requested,
    });
    if (job.status === "queued" || job.status === "running" || ended) return;
    ended = true;
    drawResult(job);
    announce(verdict(job));
  }

  const curves = new Curves(live);
  async function listen() {
    for await (const event of follow(`${path}/events`, signal)) {
      if (event.event === "notice") log.append(el("li", { class: event.level }, event.message));
      curves.add(event);
    }
    curves.ended = true;
    curves.draw();
    await look();
  }
  await look();
  await Promise.all([listen(), every(1500, signal, async () => ended || look(), failed)]);
}

function top(job, stop) {
  const running = job.status === "queued" || job.status === "running";
  const done = share(job);
  const what = `${job.model}${job.target ? `: predicts ${job.target}` : ""}${job.dataset ? ` from ${job.dataset}` : ""}.`;
  const bar = el("progress", { max: "1", ...(done === null ? {} : { value: done }), "aria-label": "Progress" });
  return [
    job.search_of
      ? el("p", {}, "It only tries settings for ", el("a", { href: `#/training/${job.search_of}` }, "a training"), ".")
      : null,
    el("p", {}, what, " ", el("span", { class: `badge ${job.status}` }, job.status)),
    running ? el("p", {}, bar, " ", progress(job)) : null,
    running
      ? el(
          "p",
          { class: "actions" },
          el(
            "button",
            { type: "button", id: "stop", disabled: job.cancel_requested, onclick: stop },
            job.cancel_requested ? "Stopping" : "Stop",
          ),
        )
      : null,
  ];
}

// The curves of the training's own epochs, or of each member of `auto`.
class Curves {
  constructor(container) {
    this.container = container;
    this.own = { train: [], validation: [] };
    this.members = new Map();
    this.drawn = 0;
  }

  add(event) {
    if (event.event === "epoch") {
      this.own.train.push([event.epoch, event.train_loss]);
      if (event.validation_loss !== null) this.own.validation.push([event.epoch, event.validation_loss]);
      this.left = event.remaining_s;
    } else if (event.event === "notice") {
      const member = place(event.message);
      if (!member) return;
      const kept = this.members.get(member.name) || { ...member, points: [] };
      this.members.set(member.name, { ...kept, ...member, points: kept.points });
      if (member.epoch) kept.points.push([member.epoch, member.loss]);
      this.total = member.members;
    } else {
      this.ended = true;
    }
    if (performance.now() - this.drawn > FRAME_MS) this.draw();
  }

  draw() {
    this.drawn = performance.now();
    const { train, validation } = this.own;
    const shown = [];
    if (train.length) {
      const best = validation.length ? validation.reduce((a, b) => (b[1] < a[1] ? b : a)) : null;
      const series = [
        { name: "training loss", points: train },
        ...(validation.length ? [{ name: "validation loss", points: validation }] : []),
      ];
      const said = best ? ` Best so far: epoch ${best[0]}, ${number(best[1])}.` : "";
      shown.push(
        el("h2", {}, "Loss by epoch"),
        lines("Loss by epoch", series, "epoch"),
        el("p", { class: "hint" }, `${said} ${this.left && !this.ended ? `About ${seconds(this.left)} left.` : ""}`),
      );
    }
    if (this.members.size) {
      const members = [...this.members.values()];
      const curves = members.filter((member) => member.points.length > 1).map(({ name, points }) => ({ name, points }));
      const now = members.length - 1;
      const rows = members.map((member, at) => [
        member.name,
        at < now || this.ended ? "done" : "learns",
        member.epochs ? `epoch ${member.epoch} of ${member.epochs}, loss ${number(member.loss)}` : "-",
      ]);
      shown.push(
        el("h2", {}, "Members"),
        table(`Members, ${members.length} of ${this.total} begun`, ["Member", "State", "Progress"], rows),
        curves.length ? lines("Loss of each member by epoch", curves, "epoch") : null,
      );
    }
    replace(this.container, shown);
  }
}

function end(job, { act, path, announce }) {
  const to = encodeURIComponent(job.model);
  const good = job.status === "succeeded";
  const activate = el(
    "button",
    { type: "button", id: "activate", class: "primary", onclick: () => live(job.version) },
    `Make version ${job.version} live`,
  );
  async function live(version) {
    const model = await act("POST", `models/${to}/versions/${version}/activate`)();
    if (!model) return;
    announce(`Version ${version} is live.`);
    activate.replaceWith(el("strong", {}, `Version ${version} is live.`));
  }
  async function repeat() {
    const again = await act("POST", `${path}/retry`)();
    if (again) location.hash = `#/training/${again.id}`;
  }
  return el(
    "section",
    { class: `result ${job.status}` },
    el("h2", {}, good ? "Result" : "It did not succeed"),
    el("p", { class: "verdict" }, verdict(job)),
    good && job.metrics.test ? el("p", {}, score(job.metrics.test, job.leaders)) : null,
    el(
      "p",
      { class: "actions" },
      good && job.version && !job.activated ? activate : null,
      good && job.version ? el("a", { class: "button", id: "try", href: `#/try/${to}` }, "Try it") : null,
      good && job.version ? el("a", { class: "button", href: `#/model/${to}` }, "About this model") : null,
      job.search_of ? null : el("button", { type: "button", onclick: repeat }, "Repeat on the current data"),
    ),
    job.leaders ? board(job.leaders) : null,
    notes(
      job.left_out.map((left) => `${left.name}: ${left.detail}`),
      "Columns that were left out",
    ),
    notes(job.warnings, "Warnings"),
    !good && job.log.length ? el("pre", { tabindex: "0" }, job.log.join("\n")) : null,
  );
}

// The leader board: all models on the same rows, and what it means.
export function board({ leaders, rows, conclusion }) {
  const classes = "accuracy" in leaders[0].figures;
  const lines = leaders.map((leader) => [
    leader.role === "baseline" ? baseline(leader.name) : leader.name,
    { model: "this model", member: "member", baseline: "simple method" }[leader.role],
    classes ? percent(leader.figures.accuracy) : number(leader.figures.r2),
    `${number(classes ? leader.figures.log_loss : leader.figures.rmse)}${leader.error ? ` ± ${number(leader.error, 2)}` : ""}`,
    leader.weight === null ? "-" : percent(leader.weight),
    `${number(leader.row_us / 1000, 2)} ms`,
  ]);
  const caption = `Leader board on ${rows} test rows`;
  return el(
    "section",
    {},
    el("h2", {}, caption),
    el("p", {}, `${conclusion[0].toUpperCase()}${conclusion.slice(1)}.`),
    table(
      caption,
      ["Model", "Role", classes ? "Accuracy" : "R²", classes ? "Log loss" : "RMSE", "Weight", "One row"],
      lines,
    ),
  );
}
