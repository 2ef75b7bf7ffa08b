// Read the Prometheus text of GET /metrics.

const LINE = /^([a-z_:][\w:]*)(?:\{(.*)\})? (\S+)$/i;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPES = { n: "\n", "\\": "\\", '"': '"' };

// Return all samples, each with its name, labels and value.
export function samples(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = line.startsWith("#") ? null : LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] || "").matchAll(LABEL))
      labels[name] = value.replace(/\\(.)/g, (_, c) => ESCAPES[c] ?? c);
    found.push({ name: match[1], labels, value: Number(match[3].replace("+Inf", "Infinity")) });
  }
  return found;
}

export function pick(all, name, labels = {}) {
  return all.filter(
    (sample) =>
      sample.name === name && Object.entries(labels).every(([label, value]) => sample.labels[label] === value),
  );
}

export function sum(all, name, labels) {
  return pick(all, name, labels).reduce((total, sample) => total + sample.value, 0);
}

// Return the largest value, or undefined if there is none.
export function largest(all, name, labels) {
  const values = pick(all, name, labels).map((sample) => sample.value);
  return values.length ? Math.max(...values) : undefined;
}

// Return an upper bound of a quantile of a histogram, as its buckets tell, or undefined without observations.
export function quantile(all, name, labels, share) {
  const counts = new Map();
  for (const { labels: own, value } of pick(all, `${name}_bucket`, labels)) {
    const bound = Number(own.le.replace("+Inf", "Infinity"));
    counts.set(bound, (counts.get(bound) || 0) + value);
  }
  const bounds = [...counts.keys()].sort((a, b) => a - b);
  const total = counts.get(Infinity);
  return total ? bounds.find((bound) => counts.get(bound) >= share * total) : undefined;
}
