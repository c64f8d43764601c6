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

/** Make an element of a drawing (SVG). */
export function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  made.append(...children);
  return made;
}

/** Find the child that shows a key, or append one that `make` makes; the first of more than `most` leaves the page. */
export function keyed(parent, key, make, most = 2000) {
  for (const child of parent.children) {
    if (child.dataset.key === String(key)) return child;
  }
  const made = make();
  made.dataset.key = String(key);
  const wasAtEnd = parent.scrollHeight - parent.scrollTop - parent.clientHeight < 40;
  parent.append(made);
  if (parent.children.length > most) parent.firstElementChild.remove();
  if (wasAtEnd) parent.scrollTop = parent.scrollHeight;
  return made;
}

/**
 * A view of each call, of the template "call", of which the one is shown that "calls" in the head has chosen, the
 * latest at first. Returns a function that finds the view of a call or makes it, and has `begin` complete it: its
 * `find(class)` finds a part of it, and its `option` is its line in the head. The first of more than 50 leaves the page.
 */
export function callViews(begin) {
  const views = new Map();
  const choice = document.getElementById("calls");
  const template = document.getElementById("call");
  const choose = (call) => {
    choice.value = call;
    for (const [name, { root }] of views) root.hidden = name !== call;
  };
  choice.addEventListener("change", () => choose(choice.value));
  return (call) => {
    if (!views.has(call)) {
      const root = template.content.firstElementChild.cloneNode(true);
      const option = element("option", { value: call }, call);
      views.set(call, { root, option, find: (name) => root.querySelector(`.${name}`) });
      begin(views.get(call));
      document.body.append(root);
      choice.append(option);
      choice.hidden = false;
      document.getElementById("empty").hidden = true;
      if (views.size > 50) {
        const [[first, gone]] = views;
        gone.root.remove();
        gone.option.remove();
        views.delete(first);
      }
      choose(call);
    }
    return views.get(call);
  };
}

/** Seconds as a clock: 1:07. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
