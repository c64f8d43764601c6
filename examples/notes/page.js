// SPDX-License-Identifier: Apache-2.0
import { clock, element, live } from "/live.js";

const find = (id) => document.getElementById(id);
const SPEAKER_COLOURS = 4;
let current = ""; // the folder of the session that is shown: the latest

/** A time that plays the audio from there. */
function at(start_s) {
  const label = `play from ${clock(start_s)}`;
  const button = element("button", { class: "at", type: "button", "aria-label": label }, clock(start_s));
  button.onclick = () => {
    const audio = find("audio");
    audio.hidden = false;
    audio.src = `/files/${current}/audio.wav#t=${start_s}`; // anew: it grows while the session lasts
    audio.play().catch(() => {});
  };
  return button;
}

/** Another session has begun: what is shown of the one before goes. */
function begin(folder) {
  if (folder === current) return;
  current = folder;
  for (const id of ["lines", "decisions", "actions"]) find(id).replaceChildren();
}

live({
  session({ session, folder, is_over }) {
    begin(folder);
    find("session").textContent = `session ${session}${is_over ? ", over" : ""}`;
    find("files").replaceChildren(
      element("a", { href: `/files/${folder}/notes.md` }, "notes.md"),
      element("a", { href: `/files/${folder}/audio.wav` }, "audio.wav"),
    );
  },
  line({ number, speaker, place, start_s, text }, { key }) {
    if (!key.startsWith(`${current}/`)) return;
    find("nothing").hidden = true;
    const list = find("lines");
    const line = element(
      "li",
      {},
      at(start_s),
      element("span", { class: `who speaker-${place % SPEAKER_COLOURS}` }, speaker),
      element("span", {}, text),
    );
    line.dataset.start = start_s;
    const later = [...list.children].find((child) => Number(child.dataset.start) > start_s);
    list.insertBefore(line, later ?? null);
    if (!later) list.scrollTop = list.scrollHeight;
  },
  minutes({ summary, decisions, actions }, { key }) {
    if (!key.startsWith(`${current}/`)) return;
    find("summary").textContent = summary;
    find("summary").hidden = !summary;
    find("decisions").replaceChildren(
      ...decisions.map((each) =>
        element("li", {}, at(each.start_s), ` ${each.text} `, element("span", { class: "quiet" }, each.speaker)),
      ),
    );
    find("actions").replaceChildren(
      ...actions.map((each) =>
        element(
          "li",
          {},
          at(each.start_s),
          " ",
          element("strong", {}, each.owner ?? "nobody named"),
          `: ${each.task} `,
          element("span", { class: "quiet" }, [each.due, each.due_on].filter(Boolean).join(", ")),
        ),
      ),
    );
  },
  problem({ text }) {
    find("problem").textContent = text;
    find("problem").hidden = false;
  },
});
