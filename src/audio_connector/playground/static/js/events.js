// SPDX-License-Identifier: Apache-2.0
// The list of events, the newest first, and what of them the timeline marks.

const KEPT = 250; // rows

// What stands at the timeline, by the event's name; what is not here is for the list only.
const MARKS = {
  mute: "mute",
  unmute: "unmute",
  clear: "clear",
  "hang up": "hang up",
  closed: "closed",
  reset: "reset",
  overflow: "overflow",
  underrun: "underrun",
  "clear ignored": "clear ignored",
  notify: "notify",
};

const byId = (id) => document.getElementById(id);

export class Events {
  constructor() {
    this.list = byId("events");
    byId("clear-events").addEventListener("click", () => {
      this.list.replaceChildren();
      this.show();
    });
    this.show();
  }

  // event: {source, name, detail, at_s?, speaker?}; returns the timeline's mark, or null.
  add({ source, name, detail = "", at_s: atS, speaker = 1 }) {
    const row = document.createElement("li");
    row.dataset.source = source;
    row.dataset.speaker = speaker;
    const time = document.createElement("time");
    time.textContent = atS === undefined ? "" : clock(atS);
    const by = Object.assign(document.createElement("span"), { className: "by", title: whose(source, speaker) });
    const text = document.createElement("span");
    text.append(Object.assign(document.createElement("span"), { className: "sr", textContent: `${whose(source, speaker)}: ` }));
    text.append(Object.assign(document.createElement("span"), { className: "name", textContent: name }));
    if (detail) text.append(Object.assign(document.createElement("span"), { className: "detail", textContent: ` ${detail}` }));
    row.append(time, by, text);
    this.list.prepend(row);
    while (this.list.children.length > KEPT) this.list.lastElementChild.remove();
    this.show();
    if (name === "key") return `key ${detail}`;
    return MARKS[name] ?? null;
  }

  show() {
    const hasAny = this.list.children.length > 0;
    this.list.hidden = !hasAny;
    byId("events-empty").hidden = hasAny;
    byId("clear-events").hidden = !hasAny;
  }
}

function whose(source, speaker) {
  if (source === "participant") return speaker === 2 ? "second participant" : "you";
  return { server: "bot", router: "router", network: "network", fault: "fault" }[source] ?? source;
}

function clock(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}
