// SPDX-License-Identifier: Apache-2.0
// The curve of a call and its utterances. Each call has a view of its own.
import { clock, element, keyed, live } from "./live.js";

const SHORTEST_S = 30; // of the curve
const MAX_CALLS = 50; // that a page which is open for days has in memory
const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 0.14; // of a mark; moods go from 1, at the top, to -1

const views = new Map();
const choice = document.getElementById("calls");
const template = document.getElementById("call");
choice.addEventListener("change", () => choose(choice.value));

function drawn(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}

function view(call) {
  if (!views.has(call)) {
    const root = template.content.firstElementChild.cloneNode(true);
    const find = (name) => root.querySelector(`.${name}`);
    const line = drawn("polyline", {});
    const zero = drawn("line", { x1: 0, x2: 1e5, y1: 0, y2: 0 });
    find("curve").append(zero, line);
    views.set(call, { root, find, line, points: ["0,0"], end_s: SHORTEST_S });
    document.body.append(root);
    choice.append(element("option", { value: call }, call));
    choice.hidden = false;
    document.getElementById("empty").hidden = true;
    if (views.size > MAX_CALLS) forget(views.keys().next().value);
    choose(call);
  }
  return views.get(call);
}

function forget(call) {
  views.get(call).root.remove();
  views.delete(call);
  [...choice.options].find((option) => option.value === call).remove();
}

function choose(call) {
  choice.value = call;
  for (const [name, { root }] of views) root.hidden = name !== call;
}

function stretch(shown, until_s) {
  if (until_s > shown.end_s) shown.end_s = Math.ceil(until_s / 15) * 15;
  // A unit is a second, so that what was drawn stays where it is.
  shown.find("curve").setAttribute("viewBox", `0 -1.1 ${shown.end_s} 2.2`);
  shown.find("end").textContent = clock(shown.end_s);
}

const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(2);

live({
  call({ call, began, is_over, files }) {
    const shown = view(call);
    stretch(shown, 0);
    [...choice.options].find((option) => option.value === call).textContent = new Date(began).toLocaleTimeString();
    if (is_over) {
      const [plot, data] = files.map((name) => element("a", { href: `files/${name}` }, name));
      shown.find("over").replaceChildren("The call is over: ", plot, ", ", data);
      shown.find("over").hidden = false;
    }
  },
  utterance({ call, start_s, end_s, text, tone, pace, arousal, mood, label, curve }) {
    const shown = view(call);
    stretch(shown, end_s);
    const mark = drawn("rect", { class: label, x: start_s, y: -mood - HEIGHT / 2, width: Math.max(0.2, end_s - start_s), height: HEIGHT });
    mark.append(drawn("title", {}));
    mark.firstChild.textContent = text;
    shown.find("curve").insertBefore(mark, shown.line);
    shown.points.push(`${end_s},${-curve}`);
    shown.line.setAttribute("points", shown.points.join(" "));
    const number = (value) => element("td", { class: "number optional" }, value);
    keyed(shown.find("utterances"), start_s, () =>
      element(
        "tr",
        {},
        element("td", { class: "quiet" }, clock(start_s)),
        element("td", { class: label }, label),
        element("td", {}, text),
        number(signed(arousal)),
        number(tone.pitch_hz === null ? "–" : `${Math.round(tone.pitch_hz)} Hz`),
        number(`${Math.round(tone.level_db)} dB`),
        number(`${Math.round(pace)} /min`),
      ),
    );
  },
  trouble({ call, text }) {
    const shown = view(call);
    shown.find("troubles").hidden = false;
    keyed(shown.find("trouble"), text, () => element("li", { class: "bad" }, text));
  },
});
