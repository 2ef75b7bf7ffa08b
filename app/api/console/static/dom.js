// Build elements and write numbers for people. Text is only ever set as text, so no name can become markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Replace the content of an element; the control that has the focus keeps it, found again by its id, and what was
// unfolded stays so, found again by its place.
export function replace(container, ...children) {
  const focused = container.contains(document.activeElement) ? document.activeElement.id : "";
  const unfolded = [...container.querySelectorAll("details")].map((one) => one.open);
  container.replaceChildren(...children.flat(Infinity).filter(Boolean));
  const now = container.querySelectorAll("details");
  if (now.length === unfolded.length) now.forEach((one, place) => (one.open = unfolded[place]));
  if (focused) document.getElementById(focused)?.focus();
}

// Return a function that draws only what differs from what it drew before, so that a page is still while nothing happens.
export function drawer(container, draw) {
  let before;
  return (facts) => {
    const now = JSON.stringify(facts);
    if (now !== before) replace(container, draw(facts));
    before = now;
  };
}

export function field(label, control, hint) {
  const id = control.id || (control.id = `f-${Math.random().toString(36).slice(2)}`);
  const described = hint ? el("span", { class: "hint", id: `${id}-hint` }, hint) : null;
  if (described) control.setAttribute("aria-describedby", described.id);
  return el("div", { class: "field" }, el("label", { for: id }, label), control, described);
}

export function select(options, chosen, attributes = {}) {
  const items = options.map((option) => (Array.isArray(option) ? option : [option, option]));
  const box = el(
    "select",
    attributes,
    items.map(([value, text]) => el("option", { value }, text)),
  );
  box.value = chosen ?? items[0]?.[0];
  return box;
}

// A table that scrolls by itself where it is too wide, which the keyboard reaches, too.
export function table(caption, heads, rows) {
  const head = el(
    "tr",
    {},
    heads.map((text) => el("th", { scope: "col" }, text)),
  );
  const body = rows.map(([first, ...cells]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, first),
      cells.map((cell) => el("td", {}, cell)),
    ),
  );
  return el(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {}, el("caption", { class: "hidden" }, caption), el("thead", {}, head), el("tbody", {}, body)),
  );
}

export function notes(texts, title = "Notes") {
  return texts.length
    ? el(
        "section",
        { class: "notes" },
        el("h2", {}, title),
        el(
          "ul",
          {},
          texts.map((t) => el("li", {}, t)),
        ),
      )
    : null;
}

export function number(value, digits = 3) {
  if (value === null || value === undefined) return "-";
  if (typeof value !== "number") return String(value);
  if (Number.isInteger(value)) return value.toLocaleString("en");
  const size = Math.abs(value);
  return size >= 1e6 || size < 1e-3
    ? value.toPrecision(digits)
    : value.toLocaleString("en", { maximumSignificantDigits: size >= 100 ? 5 : digits + 1 });
}

export function percent(share) {
  return `${(100 * share).toFixed(share > 0.995 && share < 1 ? 2 : 1)} %`;
}

export function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

export function moment(text) {
  return text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "-";
}

export function seconds(value) {
  if (value < 90) return `${Math.max(0, Math.round(value))} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${(value / 3600).toFixed(1)} h`;
}
