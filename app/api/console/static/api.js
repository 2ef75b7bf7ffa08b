// Ask the service: errors as problem details, a key when it wants one, and the event stream of a training.

import { el } from "./dom.js";

// A header takes no other letters; fetch would fail as if the service did not answer.
const PRINTED = { pattern: "\\s*[!-~]+\\s*", title: "Letters, digits and signs of ASCII" };
const RETRIED = [0, 502, 503, 504]; // no answer, from the service or a proxy before it
let key = null; // in memory only: it is gone with the page
let asking = null;

export class Problem extends Error {
  constructor(status, details) {
    super(details.detail || details.error || `The service answered ${status}.`);
    this.status = status;
    this.errors = details.errors || [];
    this.requestId = details.request_id;
  }
}

export function usedKey() {
  return key;
}

export function address(path) {
  return new URL(path, document.baseURI).href;
}

export async function send(path, { method = "GET", json, body, type, headers = {}, signal, asks = 2 } = {}) {
  const named = { accept: "application/json", ...headers };
  if (key) named.authorization = `Bearer ${key}`;
  if (json !== undefined) [body, type] = [JSON.stringify(json), "application/json"];
  if (type) named["content-type"] = type;
  let answer;
  try {
    answer = await fetch(path, { method, headers: named, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { detail: "The service does not answer. It may be restarting; this page tries again." });
  }
  if (answer.status === 401 && asks) {
    await askForKey(named.authorization ? "The service does not accept this key." : "This needs a key of the service.");
    return send(path, { method, body, type, headers, signal, asks: asks - 1 });
  }
  if (!answer.ok) throw new Problem(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

export async function get(path, signal) {
  return (await send(path, { signal })).json();
}

// Ask for the key in a dialog; several requests wait for the same one.
export function askForKey(why) {
  asking ??= new Promise((resolve, reject) => {
    const input = el("input", { type: "password", id: "key-input", autocomplete: "off", required: true, ...PRINTED });
    const dialog = el(
      "dialog",
      { "aria-labelledby": "key-title" },
      el(
        "form",
        { method: "dialog" },
        el("h2", { id: "key-title" }, "Key"),
        el("p", {}, `${why} It is kept in this page's memory only.`),
        el("label", { for: "key-input" }, "API key"),
        input,
        el(
          "p",
          { class: "actions" },
          el("button", { class: "primary", value: "use" }, "Use this key"),
          el("button", { value: "cancel", formnovalidate: true }, "Cancel"),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      asking = null;
      if (dialog.returnValue !== "use") {
        reject(new Problem(401, { detail: "This needs a key of the service, and none was given." }));
        return;
      }
      key = input.value.trim();
      document.getElementById("key")?.replaceChildren("Key: in use"); // the page at /docs has no such button
      resolve();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
  return asking;
}

// Yield the events of a training, from the start; a lost connection is taken up where it ended.
// EventSource cannot send a key, so the stream is read by fetch.
export async function* follow(path, signal) {
  let last = "";
  while (!signal.aborted) {
    try {
      const answer = await send(path, {
        headers: { accept: "text/event-stream", ...(last && { "last-event-id": last }) },
        signal,
      });
      if (answer.status === 204) return;
      for await (const event of read(answer.body)) {
        last = event.id || last;
        yield event.data;
        if (event.data.event === "result") return;
      }
    } catch (error) {
      if (signal.aborted || (error instanceof Problem && !RETRIED.includes(error.status))) throw error;
    }
    await pause(1000, signal);
  }
}

async function* read(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const found = Object.fromEntries(
        part.split("\n").map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]),
      );
      if (found.data) yield { id: found.id, data: JSON.parse(found.data) };
    }
  }
}

export function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}

// Do something now and again, until the page is left; while it fails, `failed` shows why.
export async function every(ms, signal, work, failed = () => {}) {
  while (!signal.aborted) {
    let wait = ms;
    try {
      if (!document.hidden) {
        await work();
        failed(null);
      }
    } catch (error) {
      if (signal.aborted) return;
      failed(error);
      if (error.status === 401 || error.status === 403 || error.status === 404) return;
      wait = Math.max(ms, 3000);
    }
    await pause(wait, signal);
  }
}
