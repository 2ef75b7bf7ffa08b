// Say in sentences what the facts of a model mean.

import { number, percent, plural, seconds } from "./dom.js";

const BASELINES = {
  majority: "always guessing the most frequent class",
  mean: "always answering the mean",
  logistic_regression: "logistic regression",
  ridge: "ridge regression",
  gradient_boosting: "gradient boosting",
  knn: "nearest neighbours",
};

const GUESSES = ["majority", "mean"]; // what ignores the columns
const FEW_ROWS = 100;

export function baseline(name) {
  return BASELINES[name] || name.replaceAll("_", " ");
}

export function headline(metrics) {
  if (!metrics) return "no test figures";
  if ("accuracy" in metrics)
    return `right in ${number(Math.round(metrics.accuracy * metrics.rows))} of ${plural(metrics.rows, "test row")} (${percent(metrics.accuracy)})`;
  return `typical error ${number(metrics.rmse)} (RMSE, ${plural(metrics.rows, "test row")}), R² ${number(metrics.r2)}`;
}

function figure(figures) {
  return "accuracy" in figures ? percent(figures.accuracy) : `RMSE ${number(figures.rmse)}`;
}

// The score beside the best and the weakest baseline of the leader board.
export function score(metrics, leaders) {
  const said = [headline(metrics)];
  const simple = leaders?.leaders.filter((leader) => leader.role === "baseline") || [];
  if (simple.length) {
    const guess = simple.find((leader) => GUESSES.includes(leader.name));
    if (guess) said.push(`${baseline(guess.name)} gets ${figure(guess.figures)}`);
    if (simple[0] !== guess)
      said.push(`the best simple method, ${baseline(simple[0].name)}, ${figure(simple[0].figures)}`);
  }
  const few =
    metrics && metrics.rows < FEW_ROWS ? ` ${metrics.rows} test rows are too few to tell small differences.` : "";
  return `${said[0][0].toUpperCase()}${said.join("; ").slice(1)}.${few}`;
}

export function state(model) {
  if (model.state === "ready") return `live, version ${model.serving_version}`;
  return model.state === "degraded" ? `degraded, version ${model.serving_version} answers` : "unavailable";
}

export function drift(index) {
  if (index === undefined) return "too few requests to tell";
  return index < 0.1 ? "low" : index < 0.25 ? "moderate" : "high";
}

export function verdict(job) {
  if (!job.version) return job.detail || "It has not ended.";
  const gate = job.gate ? ` ${job.gate.reason[0].toUpperCase()}${job.gate.reason.slice(1)}.` : "";
  return job.activated
    ? `Version ${job.version} is live.${gate}`
    : `Version ${job.version} is published, but not live.${gate}`;
}

export function progress(job) {
  if (job.status === "queued")
    return job.queue_position ? `queued, number ${job.queue_position} in the queue` : "queued";
  const last = job.progress;
  if (!last) return "starts";
  if (last.event === "notice") return last.message;
  return `epoch ${last.epoch} of ${last.epochs}, loss ${number(last.validation_loss ?? last.train_loss)}, ${seconds(last.remaining_s)} left`;
}

// The share that is done, 0 to 1, or null where it is not known.
export function share(job) {
  const last = job.progress;
  if (last?.event === "epoch") return last.epoch / last.epochs;
  const member = last && place(last.message);
  return member ? (member.number - 1 + (member.epochs ? member.epoch / member.epochs : 0)) / member.members : null;
}

// What a notice of `auto` says about the place of a member, or null.
export function place(message) {
  const found = /^auto: (.+?), member (\d+) of (\d+)(?:: epoch (\d+)\/(\d+), loss (-?[\d.]+), (\d+) s left)?/.exec(
    message,
  );
  if (!found) return null;
  const [, name, ...figures] = found;
  const [position, members, epoch, epochs, loss, left] = figures.map((text) =>
    text === undefined ? undefined : Number(text),
  );
  return { name, number: position, members, epoch, epochs, loss, left };
}
