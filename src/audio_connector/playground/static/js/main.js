// SPDX-License-Identifier: Apache-2.0
// The page: what the program tells goes to the panels and the timeline, what the person does goes to the program.

import { Audio } from "./audio.js";
import { Connection } from "./connection.js";
import { Controls } from "./controls.js";
import { Events } from "./events.js";
import { Figures } from "./figures.js";
import { listenToKeys } from "./keys.js";
import { Lanes } from "./lanes.js";
import { Say } from "./say.js";
import { Settings } from "./settings.js";
import { Timeline } from "./timeline.js";

const MARKS_KEPT = 400; // events that the timeline can show

const connection = new Connection();

// What there is to know of the session; drawn from and changed here only.
const model = {
  pageId: null,
  people: new Map(), // speaker -> {state, from_s, ...} as the program told it
  participants: new Map([
    [1, new Lanes()],
    [2, new Lanes()],
  ]),
  events: [], // for the timeline: {at_s, mark}
  isMuted: false,
  isLive: false,
  clock: { atS: 0, seenAt: 0 }, // the program's time, and when it was told
  nowS() {
    // Between two messages time goes on; it never runs ahead of a program that has stopped telling.
    if (!this.isLive) return this.clock.atS;
    return this.clock.atS + Math.min(0.3, (performance.now() - this.clock.seenAt) / 1000);
  },
  isOpen(speaker) {
    return this.people.get(speaker)?.state === "open";
  },
};

const events = new Events();
const figures = new Figures(model);
const settings = new Settings({ onMicrophone: () => listen(), onVolume: (gain) => audio.setVolume(gain) });
const say = new Say(model, connection);
const timeline = new Timeline(document.getElementById("timeline"), model);

const audio = new Audio({
  onSpeech(pcm) {
    controls.showLevel(pcm);
    if (model.isOpen(1) && !model.isMuted) connection.sendSpeech(pcm);
  },
  onFigures: (speaker, values) => figures.showPage(speaker, values),
});

const controls = new Controls(model, {
  async connect() {
    controls.fault("");
    controls.show("connecting");
    try {
      await audio.open(settings.volume);
    } catch (error) {
      controls.fault(`This browser cannot play sound here: ${error.message}`);
    }
    connection.send("connect", { rate_hz: settings.rateHz, profile: settings.profile });
  },
  disconnect: () => connection.send("disconnect"),
  mute: (muted) => connection.send("mute", { muted }),
  bargeIn: () => connection.send("barge_in"),
  press: (digit) => connection.send("press", { digit }),
  join: () => connection.send("join"),
  leave: () => connection.send("leave"),
});

async function listen() {
  if (!model.isOpen(1)) return;
  settings.tellMicrophone("");
  try {
    const name = await audio.listen(settings.microphone, {
      rateHz: model.people.get(1).rate_hz,
      isCleanedUp: settings.isCleanedUp,
    });
    if (name !== null) settings.tellMicrophone(`Listening to ${name}`);
    settings.offer(await Audio.microphones());
  } catch (error) {
    settings.tellMicrophone(error.message, true);
  }
}

const receive = {
  hello(message) {
    model.pageId = message.id;
    document.getElementById("bot").textContent = message.bot;
    document.getElementById("bot").title = message.url;
    document.title = `${message.bot} · Playground`;
    settings.start(message);
    say.offer(message.sentences);
    controls.recording(null);
    controls.show("idle");
  },

  call(message) {
    const { speaker, state } = message;
    model.people.set(speaker, message);
    const lanes = model.participants.get(speaker);
    if (state === "connecting" && speaker === 1) begin();
    if (state === "open") {
      if (speaker === 2) model.participants.set(2, new Lanes());
      model.participants.get(speaker).isPresent = true;
      if (audio.context) audio.startPlaying(speaker, message.rate_hz);
      if (speaker === 1) listen();
    }
    if (state === "over" || state === "failed") {
      audio.stopPlaying(speaker);
      if (speaker === 1) {
        audio.close();
        settings.tellMicrophone("");
      } else lanes.isPresent = lanes.spoken.end > 0;
    }
    if (state === "failed") events.add({ source: "fault", name: "no connection", detail: message.text, speaker });
    model.isLive = model.isOpen(1) || model.isOpen(2);
    controls.showCall(message);
    settings.lock(state === "connecting" || model.isOpen(1));
    say.update();
    showPlot();
  },

  live(message) {
    const lanes = model.participants.get(message.speaker);
    lanes.spoken.put(toBins(message, "spoken"), message.spoken[1]);
    lanes.heard.put(toBins(message, "heard"), message.heard[1]);
    lanes.depth.put(message.depth_ms[0] + Math.round(fromS(message) / 0.02), message.depth_ms[1]);
    if (message.speaker === 1 || !model.isOpen(1)) model.clock = { atS: message.at_s, seenAt: performance.now() };
    figures.showDepth();
    controls.showClock();
  },

  figures(message) {
    const lanes = model.participants.get(message.speaker);
    lanes.turns = message.turns;
    lanes.bargeIns = message.barge_ins;
    figures.show(message);
    timeline.isWanted = true;
  },

  event(message) {
    const mark = events.add(message);
    if (mark) model.events.push({ at_s: message.at_s, mark });
    if (model.events.length > MARKS_KEPT) model.events.shift();
    if (message.source === "participant" && message.speaker === 1 && /^(un)?mute$/.test(message.name)) {
      controls.showMuted(message.name === "mute");
      say.update();
    }
  },

  notice({ text }) {
    events.add({ source: "fault", name: "the bot’s program", detail: text });
    controls.noticed(text);
  },

  dropped: ({ sounds, texts }) =>
    events.add({ source: "fault", name: "this page is too slow", detail: `${sounds} pieces of sound and ${texts} messages were dropped` }),

  saying: (message) => say.show(message),

  recording: (message) => controls.recording(message),

  fault({ where, text }) {
    if (where === "say") {
      say.fault(text);
      return;
    }
    // What was asked for did not happen: show what is, and not what was expected.
    controls.show(model.people.get(1)?.state ?? "idle");
    controls.fault(text);
  },
};

const fromS = ({ speaker }) => model.people.get(speaker)?.from_s ?? 0;

// Bins are counted from the beginning of a participant; the timeline's from that of the session.
const toBins = (message, name) => message[name][0] + Math.round(fromS(message) / 0.01);

// A new call: an empty timeline, the time from zero.
function begin() {
  model.participants.set(1, new Lanes()).set(2, new Lanes());
  model.people.delete(2);
  model.events = [];
  model.clock = { atS: 0, seenAt: performance.now() };
  figures.clear();
  controls.showMuted(false);
  controls.recording(null);
  timeline.isWanted = true;
}

function showPlot() {
  const hasAny = [...model.participants.values()].some((lanes) => lanes.isPresent);
  document.getElementById("plot-empty").hidden = hasAny;
  document.body.classList.toggle("has-guest", model.participants.get(2).isPresent);
  timeline.isWanted = true;
}

connection.addEventListener("message", ({ detail }) => receive[detail.type]?.(detail));
connection.addEventListener("sound", ({ detail: { speaker, pcm } }) => audio.play(speaker, pcm));
connection.addEventListener("open", () => controls.banner(""));
connection.addEventListener("lost", ({ detail: { code, reason } }) => {
  audio.close();
  model.people.clear();
  model.isLive = false;
  controls.show("lost");
  settings.lock(true);
  say.update();
  controls.banner(
    code === 1008 && reason
      ? `This page cannot be used: ${reason}. Close one, then reload.`
      : "The playground’s program has ended or cannot be reached. Start it again; this page comes back by itself.",
  );
});

for (const choice of document.querySelectorAll('input[name="window"]')) {
  choice.addEventListener("change", () => timeline.show(Number(choice.value)));
}
addEventListener("themechange", () => timeline.readColours());
addEventListener("pagehide", () => audio.close());
listenToKeys(controls);
timeline.show(Number(document.querySelector('input[name="window"]:checked').value));
showPlot();
connection.open();
