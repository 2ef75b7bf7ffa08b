// Show the page that the address names; the state of each page is in the hash, so a reload and a link bring it back.

import { Problem, askForKey } from "./api.js";
import { el } from "./dom.js";
import * as card from "./card.js";
import * as data from "./data.js";
import * as home from "./home.js";
import * as model from "./model.js";
import * as operations from "./operations.js";
import * as quality from "./quality.js";
import * as train from "./train.js";
import * as training from "./training.js";
import * as tryit from "./tryit.js";

const PAGES = { "": home, data, train, training, model, card, try: tryit, quality, operations };

let leaving = new AbortController();
let shown = null;

export function announce(text) {
  document.getElementById("live").textContent = text;
}

function parse() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page, name: rest.map(decodeURIComponent).join("/"), query: new URLSearchParams(query) };
}

// Write the state of a page into the address, without a new entry in the history.
function keep(state) {
  const query = new URLSearchParams(
    Object.entries(state).filter(([, value]) => value !== "" && value !== null && value !== undefined),
  );
  const path = location.hash.split("?")[0] || "#/";
  history.replaceState(null, "", query.size ? `${path}?${query}` : path);
}

export function problem(error) {
  const list = (error.errors || []).map((fault) =>
    el(
      "li",
      {},
      [fault.row === null ? "" : `line or row ${fault.row}`, fault.feature].filter(Boolean).join(", "),
      fault.row === null && !fault.feature ? "" : ": ",
      fault.problem,
    ),
  );
  return el(
    "div",
    { class: "problem", role: "alert" },
    el("p", {}, error.message),
    list.length ? el("ul", {}, list) : null,
    error.requestId ? el("p", { class: "hint" }, `Request ${error.requestId}`) : null,
  );
}

async function show({ focus = true } = {}) {
  const place = parse();
  const found = Object.hasOwn(PAGES, place.page) ? PAGES[place.page] : null;
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const main = document.getElementById("main");
  const title = el("h1", { tabindex: "-1" }, found ? found.title(place) : "No such page");
  const body = el("div", { class: "page" });
  main.replaceChildren(title, body);
  document.title = `${title.textContent} - Tabserve`;
  for (const link of document.querySelectorAll("nav a")) {
    const own = link.getAttribute("href") === `#/${place.page}`;
    own ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  if (focus && shown !== null) title.focus();
  shown = location.hash;
  if (!found) {
    body.append(el("p", {}, "Nothing here. ", el("a", { href: "#/" }, "Home")));
    return;
  }
  try {
    await found.show(body, { ...place, keep, signal, announce, problem });
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    body.append(problem(error));
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault();
  document.getElementById("main").focus();
});
document.getElementById("key").addEventListener("click", () =>
  askForKey("Give a key of the service.").then(
    () => show({ focus: false }),
    () => {},
  ),
);
window.addEventListener("hashchange", () => show());
window.addEventListener("dragover", (event) => event.preventDefault());
window.addEventListener("drop", (event) => event.preventDefault()); // a file that misses the drop area does not replace the page
show();
