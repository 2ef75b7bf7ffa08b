// Model card: the service's own page of a version, and its pictures, with the key that the console holds.

import { send } from "./api.js";
import { el, replace } from "./dom.js";

// What a card consists of. Everything else in it, such as styles, is left out, and text is only ever set as text.
const KEPT = new Set(["H1", "H2", "SECTION", "P", "UL", "LI", "TABLE", "THEAD", "TBODY", "TR", "TD"]);
const FILES = { Markdown: ["text/markdown", "md"], "CycloneDX JSON": ["application/json", "cdx.json"] };

export const title = ({ name }) => `Model card of ${parts(name).model}, version ${parts(name).version}`;

function parts(name) {
  const [, model, version] = /^(.*)\/(\d+)$/.exec(name) || [null, name, "?"];
  return { model, version };
}

export async function show(body, { name, signal, problem }) {
  const { model, version } = parts(name);
  const folder = `models/${encodeURIComponent(model)}/versions/${encodeURIComponent(version)}`;
  const said = el("div", { "aria-live": "polite" });
  const save = async (type, ending) => {
    try {
      const file = await (await send(`${folder}/card`, { headers: { accept: type }, signal })).blob();
      const link = el("a", { href: URL.createObjectURL(file), download: `${model}-${version}-card.${ending}` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
      replace(said);
    } catch (error) {
      replace(said, problem(error));
    }
  };
  const page = await (await send(`${folder}/card`, { headers: { accept: "text/html" }, signal })).text();
  const main = page.slice(page.indexOf("<main>"), page.indexOf("</main>")); // without the page's own style
  const card = new DOMParser().parseFromString(main, "text/html"); // inert: it loads nothing and runs nothing
  const found = { pictures: [], tables: 0 };
  body.append(
    el(
      "p",
      { class: "actions" },
      el("a", { class: "button", href: `#/model/${encodeURIComponent(model)}` }, "Back to the model"),
      Object.entries(FILES).map(([format, [type, ending]]) =>
        el("button", { type: "button", onclick: () => save(type, ending) }, `Save as ${format}`),
      ),
    ),
    said,
    el(
      "div",
      { class: "model-card" },
      [...card.querySelectorAll("main > section")].map((section) => copy(section, found)),
    ),
  );
  for (const { image, file } of found.pictures) await fill(image, `${folder}/${file}`, signal);
}

function copy(node, found) {
  if (node.nodeType === Node.TEXT_NODE) return node.textContent;
  if (node.nodeName === "IMG") {
    const file = node.getAttribute("src");
    const image = el("img", { alt: `Picture ${file.replace(/^.*\/|\.png$/g, "").replaceAll("_", " ")}` });
    if (/^plots\/[a-z0-9_-]+\.png$/.test(file)) found.pictures.push({ image, file });
    return image;
  }
  const children = [...node.childNodes].map((child) => copy(child, found));
  if (node.nodeName === "TABLE") {
    found.tables += 1;
    const label = `${node.closest("section").querySelector("h2").textContent}, table ${found.tables}`;
    return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, el("table", {}, children));
  }
  if (node.nodeName === "TH") return children.length ? el("th", { scope: "col" }, children) : el("td");
  if (node.nodeName === "PRE") return el("pre", { tabindex: "0", "aria-label": "Request" }, children);
  return KEPT.has(node.nodeName) ? el(node.nodeName.toLowerCase(), {}, children) : children;
}

// An image cannot send a key, so the picture is fetched, and put in as data.
async function fill(image, address, signal) {
  const picture = await (await send(address, { headers: { accept: "image/png" }, signal })).blob();
  const reader = new FileReader();
  reader.addEventListener("load", () => image.setAttribute("src", reader.result));
  reader.readAsDataURL(picture);
}
