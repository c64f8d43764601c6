// SPDX-License-Identifier: Apache-2.0
// The five figures above the timeline, and the list of turns.

const byId = (id) => document.getElementById(id);
const LONGEST_BAR_MS = 2000; // a bar of full width; slower answers fill it as well

export class Figures {
  constructor(model) {
    this.model = model;
    this.clear();
  }

  clear() {
    this.page = new Map();
    this.counts = new Map();
    this.deepestMs = 0;
    for (const id of ["answer", "silence", "depth", "underruns", "page-underruns"]) value(id, null);
    byId("answer-note").textContent = "no turn yet";
    byId("silence-note").textContent = "press B while the bot speaks";
    byId("depth-note").textContent = "audio that waits to be heard";
    byId("underruns-note").textContent = "gaps in its speech";
    byId("page-note").textContent = "not the bot’s doing";
    this.list();
  }

  showDepth() {
    const { depth } = this.model.participants.get(1);
    const now = depth.at(depth.end - 1);
    if (now !== null) value("depth", duration(now));
  }

  // message: "figures" of the program.
  show(message) {
    this.counts.set(message.speaker, message);
    const all = [...this.counts.values()];
    const sum = (name) => all.reduce((total, counts) => total + counts[name], 0);
    value("underruns", [sum("underruns")], sum("underruns") > 0);
    const faults = [
      [sum("underrun_ms"), `${duration(sum("underrun_ms")).join(" ")} missing`],
      [sum("wrong_sizes"), `${sum("wrong_sizes")} messages of a wrong size`],
      [sum("overflow_ms"), `${duration(sum("overflow_ms")).join(" ")} overflowed`],
      [sum("frames_dropped"), `${sum("frames_dropped")} frames it did not read`],
    ].filter(([count]) => count > 0);
    byId("underruns-note").textContent = faults.map(([, text]) => text).join(", ") || "no gap in its speech";
    this.deepestMs = Math.max(...all.map(({ deepest_ms: deepest }) => deepest));
    byId("depth-note").textContent = `at most ${duration(this.deepestMs).join(" ")}`;
    this.showTurns();
    this.showBargeIn();
    this.list();
  }

  showTurns() {
    const latencies = this.turns().map(({ latency_ms: ms }) => ms);
    if (!latencies.length) return;
    const middle = [...latencies].sort((a, b) => a - b)[Math.floor((latencies.length - 1) / 2)];
    value("answer", duration(this.turns().at(-1).latency_ms));
    byId("answer-note").textContent =
      latencies.length === 1 ? "after you fell silent" : `median ${Math.round(middle)} ms of ${latencies.length} turns`;
  }

  showBargeIn() {
    const last = this.bargeIns().at(-1);
    if (!last) return;
    const { silence, note } = told(last);
    value("silence", silence === null ? ["…"] : duration(silence));
    byId("silence-note").textContent = note;
  }

  // values: what a playback worklet counts.
  showPage(speaker, values) {
    this.page.set(speaker, values);
    const all = [...this.page.values()];
    const count = all.reduce((total, { underruns }) => total + underruns, 0);
    const missing = all.reduce((total, { missingMs }) => total + missingMs, 0);
    value("page-underruns", [count], count > 0);
    const buffered = Math.round(this.page.get(1)?.bufferedMs ?? 0);
    byId("page-note").textContent = count ? `${Math.round(missing)} ms missing here only` : `${buffered} ms in hand`;
  }

  turns() {
    return this.inOrder((lanes) => lanes.turns, (turn) => turn.reply_at_s);
  }

  bargeIns() {
    return this.inOrder((lanes) => lanes.bargeIns, beginS);
  }

  inOrder(of, when) {
    return [...this.model.participants.values()].flatMap(of).sort((a, b) => when(a) - when(b));
  }

  list() {
    const rows = [
      ...this.turns().map((turn) => ({ atS: turn.reply_at_s, ms: turn.latency_ms, text: "" })),
      ...this.bargeIns().map((bargeIn) => {
        const { silence, note } = told(bargeIn);
        return { atS: beginS(bargeIn), ms: silence, text: `barge-in: ${note}`, isBarge: true };
      }),
    ].sort((a, b) => b.atS - a.atS);
    byId("turns").replaceChildren(...rows.map(rowOf));
    byId("turns-empty").hidden = rows.length > 0;
    byId("turns-note").textContent = rows.length ? "from the end of speech to the answer" : "";
  }
}

const beginS = ({ speech_at_s: speechS, clear_at_s: clearS }) => speechS ?? clearS ?? 0;

// How long a bot took to fall silent, in words.
function told({ speech_at_s: speechS, clear_at_s: clearS, silent_at_s: silentS, dropped_ms: dropped, stale_ms: stale }) {
  const ms = (fromS, toS) => Math.round((toS - fromS) * 1000);
  const silence = silentS === null ? null : ms(speechS ?? clearS, silentS);
  if (clearS === null) {
    return { silence, note: silence === null ? "the bot talks on; no clear yet" : "no clear came: it talked on to its end" };
  }
  const parts = [speechS === null ? "the bot cleared by itself" : `clear after ${ms(speechS, clearS)} ms`];
  if (dropped) parts.push(`${duration(dropped).join(" ")} dropped`);
  if (stale) parts.push(`${duration(stale).join(" ")} stale`);
  return { silence, note: parts.join(", ") };
}

function rowOf({ atS, ms, text, isBarge }) {
  const row = document.createElement("li");
  row.classList.toggle("is-barge", Boolean(isBarge));
  const at = Object.assign(document.createElement("span"), { className: "at" });
  at.textContent = `${Math.floor(atS / 60)}:${(atS % 60).toFixed(1).padStart(4, "0")}`;
  const bar = Object.assign(document.createElement("span"), { className: "bar" });
  const inner = document.createElement("span");
  inner.style.width = `${Math.min(100, ((ms ?? LONGEST_BAR_MS) / LONGEST_BAR_MS) * 100)}%`;
  bar.append(inner);
  const took = Object.assign(document.createElement("span"), { className: "took" });
  took.textContent = ms === null ? "…" : duration(ms).join(" ");
  row.append(at, bar, took);
  if (text) row.append(Object.assign(document.createElement("span"), { className: "what", textContent: text }));
  return row;
}

// Milliseconds as [number, unit].
export function duration(ms) {
  if (ms < 10000) return [Math.round(ms).toLocaleString("en"), "ms"];
  return [(ms / 1000).toFixed(1), "s"];
}

function value(id, parts, isBad = false) {
  const element = byId(id);
  element.classList.toggle("bad", isBad);
  const [number, unit] = parts ?? ["–"];
  const text = unit ? `${number}${unit}` : String(number);
  if (element.textContent === text) return;
  element.replaceChildren(String(number));
  if (unit) element.append(Object.assign(document.createElement("span"), { className: "unit", textContent: unit }));
}
