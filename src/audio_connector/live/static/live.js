// SPDX-License-Identifier: Apache-2.0
// What an application shows, for its page: `live({caption(data, {key, at_s}) {...}})` calls the handler of each kind.

/**
 * Call handlers with what the application shows, what it has shown before first.
 * An element with the id "live" says whether the application is there.
 */
export function live(handlers) {
  const events = new EventSource("events");
  const sign = document.getElementById("live");
  const say = (text, is_there) => {
    if (sign) {
      sign.textContent = text;
      sign.classList.toggle("is-there", is_there);
    }
  };
  events.onopen = () => say("live", true);
  const loading = ({ ready, total }) => say(ready < total ? `loading engines, ${ready} of ${total}` : "live", true);
  events.onerror = () => say("not live: the application has ended, or does not answer; trying again", false);
  let run = "";
  events.onmessage = (message) => {
    const [now] = message.lastEventId.split("-");
    if (run && now !== run) return location.reload(); // the application was started anew, and counts from 1 again
    run = now;
    const { kind, key, at_s, data } = JSON.parse(message.data);
    if (kind === "loading") loading(data);
    handlers[kind]?.(data, { key, at_s });
  };
  return events;
}

/** Make an element: `element("li", {class: "final"}, "text", child)`; text is never taken for HTML. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(attribute, value);
  }
  made.append(...children);
  return made;
}

/** Find the child that shows a key, or append one that `make` makes; returns it. */
export function keyed(parent, key, make) {
  for (const child of parent.children) {
    if (child.dataset.key === String(key)) return child;
  }
  const made = make();
  made.dataset.key = String(key);
  const wasAtEnd = parent.scrollHeight - parent.scrollTop - parent.clientHeight < 40;
  parent.append(made);
  if (wasAtEnd) parent.scrollTop = parent.scrollHeight;
  return made;
}

/** Seconds as a clock: 1:07. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
