// SPDX-License-Identifier: Apache-2.0
// The agent's page: what to do now, who spoke, what of the checklist was said. Each call has a view of its own.
import { callViews, clock, drawn, element, keyed, live } from "./live.js";

const HINT_SHOWN_MS = 12000; // what is older is no longer about now
const SHORTEST_S = 60; // of the timeline

const view = callViews((shown) => Object.assign(shown, { spans: new Map(), end_s: SHORTEST_S }));

function stretch(shown, until_s) {
  if (until_s > shown.end_s) shown.end_s = Math.ceil(until_s / 30) * 30;
  // A unit is a second, so that what was drawn stays where it is.
  shown.find("timeline").setAttribute("viewBox", `0 0 ${shown.end_s} 4`);
  shown.find("end").textContent = clock(shown.end_s);
}

function mark(shown, key, attributes) {
  if (!shown.spans.has(key)) {
    const made = drawn("rect");
    shown.find("timeline").append(made);
    shown.spans.set(key, made);
  }
  for (const [name, value] of Object.entries(attributes)) shown.spans.get(key).setAttribute(name, value);
}

live({
  call({ call, began, is_over, file }) {
    const shown = view(call);
    shown.option.textContent = new Date(began).toLocaleTimeString();
    stretch(shown, 0);
    if (is_over) {
      clearTimeout(shown.fading);
      shown.find("now").classList.remove("is-hint");
      const summary = file ? element("a", { href: `files/${file}` }, "Summary") : "Its summary was not written.";
      shown.find("latest").replaceChildren("The call is over. ", summary);
    }
  },
  span({ call, role, start_s, end_s }, { key }) {
    const shown = view(call);
    stretch(shown, end_s);
    mark(shown, key, { class: role, x: start_s, y: role === "agent" ? 0.4 : 2.4, width: Math.max(0.1, end_s - start_s), height: 1.2 });
  },
  figures({ call, figures }) {
    const shown = view(call);
    stretch(shown, figures.elapsed_s);
    const { agent, customer } = figures.share;
    shown.find("share").classList.toggle("is-empty", agent + customer === 0);
    shown.find("agent-share").style.width = `${100 * agent}%`;
    const percent = (share) => `${Math.round(100 * share)} %`;
    const both = (figure, form = (value) => value ?? "–") => [form(figure.agent), form(figure.customer)];
    const row = (cells, kind = "td") => element("tr", {}, ...cells.map((cell) => element(kind, {}, String(cell))));
    shown.find("figures").replaceChildren(
      row(["", "agent", "customer"], "th"),
      row(["share of talk", ...both(figures.share, percent)]),
      row(["words a minute", ...both(figures.words_per_minute)]),
      row(["turns", ...both(figures.turns)]),
      row(["interrupted", ...both(figures.interruptions)]),
      row(["both at once", `${figures.overlap_s.toFixed(1)} s`, ""]),
      row(["nobody", `${figures.silence_s.toFixed(1)} s`, ""]),
    );
  },
  hint({ call, rule, text, cause_s, shown_s }) {
    const shown = view(call);
    shown.find("latest").textContent = text;
    shown.find("latest").classList.remove("quiet");
    shown.find("now").classList.add("is-hint");
    clearTimeout(shown.fading);
    shown.fading = setTimeout(() => shown.find("now").classList.remove("is-hint"), HINT_SHOWN_MS);
    const late = `${(shown_s - cause_s).toFixed(1)} s after its cause`;
    shown.find("hints").append(element("li", { title: late }, element("time", {}, clock(shown_s)), text));
    mark(shown, `hint ${shown_s} ${rule}`, { class: "hint", x: shown_s, y: 0, width: 0.25, height: 4 });
  },
  line({ call, role, start_s, text }) {
    const lines = view(call).find("transcript");
    const who = element("span", { class: role === "agent" ? "speaker-0" : "speaker-1" }, `${role}: `);
    const line = keyed(lines, `${role} ${start_s}`, () =>
      element("li", { "data-start": start_s }, element("time", {}, clock(start_s)), who, text),
    );
    // What was said first may be understood last.
    lines.insertBefore(line, [...lines.children].find((each) => each.dataset.start > start_s) ?? null);
  },
  item({ call, number, name, is_said, sentence, at_s }) {
    const item = keyed(view(call).find("checklist"), name, () => element("li", {}));
    item.style.order = number; // what was said since comes later
    item.classList.toggle("is-said", is_said);
    item.replaceChildren(name, ...(is_said ? [" ", element("q", { title: clock(at_s) }, sentence)] : []));
  },
  trouble({ call, text }) {
    const shown = view(call);
    shown.find("troubles").hidden = false;
    keyed(shown.find("trouble"), text, () => element("li", { class: "bad" }, text));
  },
});
