// SPDX-License-Identifier: Apache-2.0
// Shows the conversations of the assistant, and what each turn took.
import { element, keyed, live } from "/live.js";

const STAGES = { pause: "pause", text: "understood", answer: "answer found", voice: "first sound" };
const FULL_MS = 2000; // the width of a bar; what is longer fills it
const at = (id) => document.getElementById(id);

for (const [name, text] of Object.entries(STAGES)) {
  at("legend").append(element("span", {}, element("i", { class: name }), text));
}

function bubble(key, who, name, ...text) {
  at("empty")?.remove();
  const talk = at("talk");
  const wasAtEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
  const line = keyed(talk, key, () => element("li"));
  line.className = who;
  line.replaceChildren(element("span", { class: "who" }, name), ...text);
  if (wasAtEnd) talk.scrollTop = talk.scrollHeight;
}

function ours(key, call, heard, unheard) {
  if (!heard && !unheard) return;
  const cut = unheard ? [" ", element("span", { class: "unheard", title: "not heard" }, unheard)] : [];
  bubble(key, "ours", `assistant, call ${call}`, heard, ...cut);
}

let lines = 0;
live({
  state({ call, state }) {
    const chip = keyed(at("calls"), call, () => element("li"));
    chip.className = state;
    chip.textContent = `call ${call}: ${state}`;
    if (state === "ended") setTimeout(() => chip.className === "ended" && chip.remove(), 10000);
  },
  line({ call, heard, unheard }) {
    ours(`line ${(lines += 1)}`, call, heard, unheard);
  },
  turn({ call, number, caller, is_final, heard, unheard, stages_ms, p50_ms }) {
    const key = `${call}.${number}`;
    if (caller) bubble(`caller ${key}`, is_final ? "caller" : "caller partial", `caller ${call}`, caller);
    ours(`ours ${key}`, call, heard, unheard);
    const total = Object.values(stages_ms).reduce((sum, each) => sum + each, 0);
    if (!("voice" in stages_ms)) return;
    const row = keyed(at("turns"), key, () => element("li"));
    const bar = element("div", { class: "stages", role: "img", "aria-label": `${Math.round(total)} ms` });
    for (const [stage, took] of Object.entries(stages_ms)) {
      const part = element("div", { class: stage, title: `${STAGES[stage]}: ${Math.round(took)} ms` });
      part.style.width = `${(100 * took) / Math.max(FULL_MS, total)}%`;
      bar.append(part);
    }
    row.replaceChildren(`call ${call}, turn ${number}`, element("span", { class: "total" }, `${Math.round(total)} ms`), bar);
    if (p50_ms !== null) at("p50").textContent = `p50 of all turns: ${Math.round(p50_ms)} ms`;
  },
  trouble({ text }) {
    bubble(`trouble ${(lines += 1)}`, "bad", "trouble", text);
  },
});
