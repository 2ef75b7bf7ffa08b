// Shadow of a model: how its answers compare with those of the active version, in sentences.

import { el, number, percent, plural } from "./dom.js";

const VERDICTS = {
  better: "Labels show that the shadow is better.",
  worse: "Labels show that the shadow is worse.",
  undecided: "Labels do not tell yet which one is better.",
};

// `found` is the field `shadow` of the live figures of the active version.
export function describe({ active, shadow, promotes_itself: itself, agreement, test }) {
  return el(
    "section",
    {},
    el("h2", {}, `Version ${shadow} in the shadow of version ${active}`),
    el("p", {}, `Its answers are computed and compared, and never sent. ${agreed(agreement)}`),
    el("p", {}, `${VERDICTS[test.verdict]} ${pairs(test)}`),
    itself ? el("p", {}, "It is promoted by itself once labels show that it is better.") : null,
  );
}

function agreed({ rows, share, interval, mean_absolute_difference: distance, failed, dropped }) {
  if (!rows) return "No row has been answered by both yet.";
  const lost = [failed && `${plural(failed, "row")} failed`, dropped && `${plural(dropped, "row")} left out for lack of time`];
  const said = lost.filter(Boolean).length ? ` (${lost.filter(Boolean).join(", ")})` : "";
  const same =
    share === null
      ? `they are ${number(distance)} apart on average`
      : `they agree on ${percent(share)} (95 % interval: ${interval.map(percent).join(" to ")})`;
  return `Of ${plural(rows, "row")} that both answered, ${same}${said}.`;
}

function pairs({ shadow_better: won, active_better: lost, evidence, needed }) {
  const rows = plural(won + lost, "labelled row");
  return `Of ${rows} that tell them apart, the shadow was right or nearer on ${number(won)}: evidence ${number(evidence)}, ${number(needed)} decides.`;
}
