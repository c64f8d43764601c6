// SPDX-License-Identifier: Apache-2.0
import { clock, element, live } from "/live.js";

const find = (id) => document.getElementById(id);
const SPEAKER_COLOURS = 4;
const MAX_SESSIONS = 50; // that a page which is open for days has in memory
const sessions = new Map(); // by their folders, whose names sort by time
let chosen = ""; // the folder that was chosen; the latest until then

/** What is known of the session that a key belongs to; what is shown first need not come first. */
function sessionOf(key, label) {
  const folder = key.split("/")[0];
  if (!sessions.has(folder)) {
    sessions.set(folder, { folder, label, is_over: false, lines: new Map(), minutes: null });
    const gone = [...sessions.keys()].find((each) => each !== folder && each !== chosen);
    if (sessions.size > MAX_SESSIONS) sessions.delete(gone);
  }
  return sessions.get(folder);
}

/** A time that plays the audio from there. */
function at(folder, start_s) {
  const label = `play from ${clock(start_s)}`;
  const button = element("button", { class: "at", type: "button", "aria-label": label }, clock(start_s));
  button.onclick = () => {
    const audio = find("audio");
    audio.hidden = false;
    audio.src = `/files/${folder}/audio.wav#t=${start_s}`; // anew: it grows while the session lasts
    audio.play().catch(() => {});
  };
  return button;
}

const quiet = (text) => element("span", { class: "quiet" }, text);

function showLines({ folder, lines }) {
  const list = find("lines");
  const wasAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  const inOrder = [...lines.values()].sort((one, other) => one.start_s - other.start_s);
  list.replaceChildren(
    ...inOrder.map(({ start_s, place, speaker, text }) =>
      element(
        "li",
        {},
        at(folder, start_s),
        element("span", { class: `who speaker-${place % SPEAKER_COLOURS}` }, speaker),
        element("span", {}, text),
      ),
    ),
  );
  find("nothing").hidden = lines.size > 0;
  if (wasAtEnd) list.scrollTop = list.scrollHeight;
}

function showMinutes({ folder, minutes }) {
  const { summary = "", decisions = [], actions = [] } = minutes ?? {};
  find("summary").textContent = summary;
  find("summary").hidden = !summary;
  find("decisions").replaceChildren(
    ...decisions.map((each) => element("li", {}, at(folder, each.start_s), ` ${each.text} `, quiet(each.speaker))),
  );
  find("actions").replaceChildren(
    ...actions.map((each) =>
      element(
        "li",
        {},
        at(folder, each.start_s),
        " ",
        element("strong", {}, each.owner ?? "nobody named"),
        `: ${each.task} `,
        quiet([each.due, each.due_on].filter(Boolean).join(", ")),
      ),
    ),
  );
}

function showSessions(shown) {
  const folders = [...sessions.keys()].sort().reverse();
  find("sessions").replaceChildren(
    ...folders.map((folder) => {
      const { label, is_over } = sessions.get(folder);
      const option = element("option", { value: folder }, `session ${label}${is_over ? ", over" : ""}`);
      option.selected = folder === shown.folder;
      return option;
    }),
  );
  find("sessions").hidden = false;
  find("files").replaceChildren(
    element("a", { href: `/files/${shown.folder}/notes.md` }, "notes.md"),
    element("a", { href: `/files/${shown.folder}/audio.wav` }, "audio.wav"),
  );
}

function show() {
  const folder = chosen || [...sessions.keys()].sort().at(-1);
  const shown = sessions.get(folder);
  showSessions(shown);
  showLines(shown);
  showMinutes(shown);
}

find("sessions").onchange = (event) => {
  chosen = event.target.value;
  show();
};

live({
  session({ session, is_over }, { key }) {
    sessionOf(key, session).is_over = is_over;
    show();
  },
  line(line, { key }) {
    sessionOf(key, line.session).lines.set(line.number, line);
    show();
  },
  minutes(minutes, { key }) {
    sessionOf(key, minutes.session).minutes = minutes;
    show();
  },
  problem({ text }) {
    find("problem").textContent = text;
    find("problem").hidden = false;
  },
});
