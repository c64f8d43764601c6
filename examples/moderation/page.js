// SPDX-License-Identifier: Apache-2.0
import { clock, element, keyed, live } from "/live.js";

const flags = document.getElementById("flags");
const heard = document.getElementById("heard");
const MAX_FLAGS = 1000; // that a page which is open for days has in memory, as the application
const states = new Map();
const clips = new Set();

/** A row for a flag, in the form that it has by now. */
function flag(data, { key }) {
  states.set(key, data.state);
  let row = [...flags.children].find((each) => each.dataset.key === key);
  if (!row) {
    row = element("li", { "data-key": key });
    flags.prepend(row); // who moderates looks at the top
    if (flags.children.length > MAX_FLAGS) {
      states.delete(flags.lastElementChild.dataset.key);
      flags.lastElementChild.remove();
    }
  }
  row.className = `flag ${data.state} severity-${data.severity}`;
  row.replaceChildren(
    element(
      "p",
      { class: "what" },
      element("strong", { class: "category" }, data.category.replaceAll("_", " ")),
      element("span", { class: "state" }, data.action ? `${data.state}, ${data.action}` : data.state),
      element("span", { class: "quiet" }, `${data.who} at ${clock(data.at_s)}, after ${data.after_s.toFixed(1)} s`),
    ),
    element("p", { class: "text" }, ...marked(data.text, data.said)),
    player(data.clip),
  );
  count();
}

/** The text with what was said in it marked; by words, since the recogniser's punctuation is in the text alone. */
function marked(text, said) {
  const words = said.split(" ").map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = new RegExp(words.join("[\\s\\p{P}]+"), "iu").exec(text);
  if (!found) return [text];
  const end = found.index + found[0].length;
  return [text.slice(0, found.index), element("mark", {}, found[0]), text.slice(end)];
}

/** The clip, once it is there: what is said after the word belongs to it. */
function player(name) {
  if (!clips.has(name)) return element("p", { class: "quiet", "data-clip": name }, "the clip comes in a moment");
  return element("audio", { controls: "", preload: "metadata", src: `/files/${name}` });
}

function clip({ file }) {
  clips.add(file);
  if (clips.size > MAX_FLAGS) clips.delete(clips.values().next().value);
  for (const place of document.querySelectorAll("[data-clip]")) {
    if (place.dataset.clip === file) place.replaceWith(player(file));
  }
}

function count() {
  const standing = [...states.values()].filter((state) => state !== "withdrawn").length;
  document.getElementById("count").textContent = `${standing} flagged, ${states.size - standing} withdrawn`;
  document.getElementById("nothing").hidden = true;
}

live({
  flag,
  clip,
  heard({ who, text, is_final, start_s }, { key }) {
    const row = keyed(heard, key, () => element("li"), 200);
    row.className = is_final ? "" : "quiet";
    row.replaceChildren(element("span", { class: "quiet" }, `${clock(start_s)} ${who} `), text || "…");
  },
  problem({ text }) {
    document.getElementById("troubles").hidden = false;
    keyed(document.getElementById("problems"), text, () => element("li", { class: "bad" }, text), 20);
  },
});
