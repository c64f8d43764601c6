// SPDX-License-Identifier: Apache-2.0
// The curve of a call and its utterances. Each call has a view of its own.
import { callViews, clock, drawn, element, keyed, live } from "./live.js";

const SHORTEST_S = 30; // of the curve
const HEIGHT = 0.14; // of a mark; moods go from 1, at the top, to -1

const view = callViews((shown) => {
  const line = drawn("polyline");
  shown.find("curve").append(drawn("line", { x1: 0, x2: 1e5, y1: 0, y2: 0 }), line);
  Object.assign(shown, { line, points: ["0,0"], end_s: SHORTEST_S });
});

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
    shown.option.textContent = new Date(began).toLocaleTimeString();
    if (is_over) {
      const links = files.map((name) => element("a", { href: `files/${name}` }, name));
      shown.find("over").replaceChildren("The call is over. ", ...links.flatMap((link) => [link, " "]));
      shown.find("over").hidden = false;
    }
  },
  utterance({ call, start_s, end_s, text, tone, pace, arousal, mood, label, curve }) {
    const shown = view(call);
    stretch(shown, end_s);
    const mark = drawn("rect", { class: label, x: start_s, y: -mood - HEIGHT / 2, width: Math.max(0.2, end_s - start_s), height: HEIGHT }, drawn("title", {}, text));
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
