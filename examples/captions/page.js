// SPDX-License-Identifier: Apache-2.0
import { clock, element, keyed, live } from "/live.js";

const find = (id) => document.getElementById(id);
const SPEAKER_COLOURS = 4;
const MAX_SESSIONS = 50; // that a page which is open for days has in memory
const MAX_LINES = 2000; // of each

/** The part of a session; each has its captions and links to its files. */
function sessionOf(folder, label) {
  return keyed(find("sessions"), folder, () => {
    find("nothing").hidden = true;
    return element("div", {}, element("h2", {}, `session ${label}`), element("ol"));
  }, MAX_SESSIONS);
}

/** The line of an utterance, where it belongs: who is understood last may have begun first. */
function lineOf(list, { number, place, speaker, start_s }) {
  for (const child of list.children) {
    if (Number(child.dataset.number) === number) return child;
  }
  const line = element(
    "li",
    { class: "caption" },
    element("span", { class: "quiet" }, clock(start_s)),
    element("span", { class: `who speaker-${place % SPEAKER_COLOURS}` }, speaker),
    element("span", { class: "text" }),
    element("span", { class: "translation" }),
  );
  line.dataset.number = number;
  const later = [...list.children].find((child) => Number(child.dataset.number) > number);
  list.insertBefore(line, later ?? null);
  if (list.children.length > MAX_LINES) list.firstElementChild.remove();
  return line;
}

live({
  session({ session, folder, files, is_over }) {
    const heading = sessionOf(folder, session).querySelector("h2");
    heading.replaceChildren(`session ${session}${is_over ? ", over" : ""}`);
    for (const name of files) {
      heading.append(element("a", { href: `/files/${folder}/${name}` }, name));
    }
  },
  caption(caption, { key }) {
    const list = sessionOf(key.split("/")[0], caption.session).querySelector("ol");
    const scroller = document.querySelector(".scrolls");
    const wasAtEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 40;
    const line = lineOf(list, caption);
    if (caption.is_final && !caption.text) {
      line.remove(); // it was no speech
      return;
    }
    line.classList.toggle("partial", !caption.is_final);
    line.querySelector(".text").textContent = caption.text;
    line.querySelector(".translation").textContent = caption.translation;
    if (wasAtEnd) scroller.scrollTop = scroller.scrollHeight;
  },
  figures({ p50_s, p95_s, words }) {
    find("figures").textContent =
      `Of ${words} words half were here ${p50_s} s after they were said, 95 of 100 after ${p95_s} s.`;
  },
  problem({ text }) {
    find("problem").textContent = text;
    find("problem").hidden = false;
  },
});
