// SPDX-License-Identifier: Apache-2.0
import { drawn, element, keyed, live } from "/live.js";

const WIDTH = 440, HEIGHT = 130, LEFT = 34, BOTTOM = 22;
const MAX_CALLS = 100; // that a page which is open for days has in memory
const calls = document.getElementById("calls");
const known = new Map();

const GOOD = new Set(["accepted", "recognised", "enrolled"]);
const WISHES = { enrol: "to be enrolled as", verify: "claims to be", who: "does not say who it is" };

/** A call's row; made where it is new. */
function row(id) {
  if (!known.has(id)) {
    const parts = { head: element("p", { class: "head" }), chart: element("div"), foot: element("p", { class: "quiet" }) };
    const item = element("li", { class: "call" }, parts.head, parts.chart, parts.foot);
    known.set(id, { ...parts, item, scores: [], what: "who", name: "", decision: null });
    calls.prepend(item);
    if (known.size > MAX_CALLS) {
      const [[first, gone]] = known;
      gone.item.remove();
      known.delete(first);
    }
    document.getElementById("nothing").hidden = true;
  }
  return known.get(id);
}

function draw(one) {
  const verdict = one.decision?.verdict;
  const tone = verdict ? (GOOD.has(verdict) ? "good" : verdict === "suspicious" || verdict === "too short" ? "warn" : "bad") : "quiet";
  const name = one.what === "who" ? "" : ` ${one.name}`;
  one.head.replaceChildren(
    element("strong", { class: tone }, verdict ?? "listening"),
    element("span", {}, `${WISHES[one.what]}${name}`),
    ...(one.decision && one.what === "who" && one.decision.name ? [element("strong", {}, one.decision.name)] : []),
  );
  if (one.scores.length) one.chart.replaceChildren(chart(one));
  const said = one.decision ? [...one.decision.hints, one.decision.why].filter(Boolean) : [];
  const score = one.scores.at(-1);
  if (score) said.unshift(`latest score ${score.score.toFixed(2)} against ${score.threshold.toFixed(2)}`);
  one.foot.textContent = said.join("; ");
}

/** Score over seconds of speech, and the line that it is held against. */
function chart({ scores, decision }) {
  const longest = Math.max(6, scores.at(-1).speech_s);
  const x = (seconds) => LEFT + (seconds / longest) * (WIDTH - LEFT - 8);
  const y = (score) => 8 + (1 - Math.max(0, Math.min(1, score))) * (HEIGHT - BOTTOM - 8);
  const line = `M${scores.map((each) => `${x(each.speech_s).toFixed(1)} ${y(each.score).toFixed(1)}`).join("L")}`;
  const threshold = scores.at(-1).threshold;
  const marks = [0, 0.5, 1].flatMap((score) => [
    drawn("line", { x1: LEFT, x2: WIDTH - 8, y1: y(score), y2: y(score), class: "grid" }),
    drawn("text", { x: LEFT - 6, y: y(score) + 4, "text-anchor": "end" }, score.toFixed(1)),
  ]);
  for (let second = 0; second <= longest; second += 2) {
    marks.push(drawn("text", { x: x(second), y: HEIGHT - 6, "text-anchor": "middle" }, `${second} s`));
  }
  const points = scores.map((each) => drawn("circle", { cx: x(each.speech_s), cy: y(each.score), r: 3.5, class: each.score < threshold ? "below" : "above" }));
  const decided = decision?.speech_s ? [drawn("line", { x1: x(decision.speech_s), x2: x(decision.speech_s), y1: 8, y2: HEIGHT - BOTTOM, class: "decided" })] : [];
  return drawn(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "score over seconds of speech" },
    ...marks,
    drawn("line", { x1: LEFT, x2: WIDTH - 8, y1: y(threshold), y2: y(threshold), class: "threshold" }),
    ...decided,
    drawn("path", { d: line, class: "score" }),
    ...points,
  );
}

live({
  call({ call, what, name }) {
    draw(Object.assign(row(call), { what, name }));
  },
  score({ call, score, speech_s, threshold }) {
    const one = row(call);
    one.scores.push({ score, speech_s, threshold });
    draw(one);
  },
  collected({ call, seconds, of }) {
    row(call).foot.textContent = `${Math.min(seconds, of).toFixed(1)} of ${of} s of speech`;
  },
  decision(decision) {
    const one = row(decision.call);
    one.decision = decision;
    draw(one);
  },
  enrolled({ people }) {
    document.getElementById("people").replaceChildren(
      ...people.map(({ name, at, line_hz }) =>
        element("tr", {}, element("td", {}, name), element("td", { class: "quiet" }, at.slice(0, 10)), element("td", { class: "quiet number" }, `${line_hz / 1000} kHz`)),
      ),
    );
  },
  problem({ text }) {
    document.getElementById("troubles").hidden = false;
    keyed(document.getElementById("problems"), text, () => element("li", { class: "bad" }, text), 20);
  },
});
