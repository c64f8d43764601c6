// SPDX-License-Identifier: Apache-2.0
// The timeline: both directions of every participant, the router's buffer and what happened, on one time axis.

import { BIN_S, DEPTH_BIN_S } from "./lanes.js";

const BAR = 3; // CSS pixels of a bar with its gap
const STRIP = 30; // height of the strip of events
const AXIS = 22; // height of the axis
const FRAME_MS = 1000 / 30; // between pictures: enough for a calm scroll, half the work of the display's rate
const STILL_MS = 500; // the same where motion is not wanted
const LEAST_DEPTH_MS = 300; // of the buffer's scale
const DEPTH_SHARE = 0.7; // of a lane's height that the buffer's lane has

const COLOURS = ["text", "muted", "line", "surface", "spoken", "heard", "guest", "depth", "turn", "barge"];

export class Timeline {
  // model: {nowS(), participants: Map(speaker -> Lanes), events: [], isLive}
  constructor(canvas, model) {
    this.canvas = canvas;
    this.model = model;
    this.windowS = 20;
    this.drawnAt = 0;
    this.isWanted = true;
    this.stillness = matchMedia("(prefers-reduced-motion: reduce)");
    new ResizeObserver(() => this.fit()).observe(canvas);
    this.readColours();
    this.fit();
    requestAnimationFrame((at) => this.tick(at));
  }

  readColours() {
    const style = getComputedStyle(this.canvas);
    this.colour = Object.fromEntries(COLOURS.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.font = style.fontFamily;
    this.isWanted = true;
  }

  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    const scale = devicePixelRatio || 1;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.isWanted = true;
  }

  show(windowS) {
    this.windowS = windowS;
    this.isWanted = true;
  }

  tick(at) {
    requestAnimationFrame((next) => this.tick(next));
    const every = this.stillness.matches ? STILL_MS : FRAME_MS;
    const isDue = this.model.isLive && at - this.drawnAt >= every - 2;
    if (!isDue && !this.isWanted) return;
    this.isWanted = false;
    this.drawnAt = at;
    this.draw();
  }

  // A call begins at the left and scrolls once it fills the view. Where motion is not wanted, the axis stands still
  // and turns like a page.
  get startS() {
    const nowS = this.model.nowS();
    if (!this.stillness.matches) return Math.max(0, nowS - this.windowS);
    return Math.floor(nowS / this.windowS) * this.windowS;
  }

  x(atS) {
    return ((atS - this.from) / this.windowS) * this.width;
  }

  draw() {
    const { context, width, height, colour } = this;
    this.from = this.startS;
    context.clearRect(0, 0, width, height);
    this.taken = []; // parts of the strip that have a text already
    const people = [...this.model.participants].filter(([, lanes]) => lanes.isPresent);
    const rows = people.flatMap(([speaker, lanes]) => [
      { outline: lanes.spoken, name: speaker === 1 ? "You say" : "Second says", ink: speaker === 1 ? "spoken" : "guest" },
      { outline: lanes.heard, name: speaker === 1 ? "You hear" : "Second hears", ink: "heard" },
    ]);
    if (!people.length) return;
    const room = height - STRIP - AXIS;
    const lane = room / (rows.length + DEPTH_SHARE);
    this.drawAxis(height - AXIS);
    people.forEach(([, lanes], index) => this.drawSpans(lanes, STRIP + 2 * index * lane, 2 * lane));
    rows.forEach(({ outline, name, ink }, index) => {
      const top = STRIP + index * lane;
      this.drawOutline(outline, top + lane / 2, lane / 2 - 6, colour[ink]);
      this.label(name, top + 4, colour[ink]);
    });
    this.drawDepths(people, STRIP + rows.length * lane, lane * DEPTH_SHARE);
    this.drawEvents(height - AXIS);
  }

  drawAxis(bottom) {
    const { context, colour } = this;
    const wide = this.width / this.windowS;
    const step = [1, 2, 5, 10, 20, 30].find((seconds) => seconds * wide >= 70) ?? 60;
    context.strokeStyle = colour.line;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(0, bottom + 0.5);
    context.lineTo(this.width, bottom + 0.5);
    context.font = `11px ${this.font}`;
    context.fillStyle = colour.muted;
    context.textBaseline = "alphabetic";
    for (let atS = Math.max(0, Math.ceil(this.from / step) * step); atS <= this.from + this.windowS; atS += step) {
      const x = Math.round(this.x(atS)) + 0.5;
      context.moveTo(x, STRIP);
      context.lineTo(x, bottom + 5);
      const text = `${Math.floor(atS / 60)}:${String(atS % 60).padStart(2, "0")}`;
      const half = context.measureText(text).width / 2;
      if (x - half > 0 && x + half < this.width) context.fillText(text, x - half, bottom + 17);
    }
    context.stroke();
  }

  // Bars stand at absolute times, so that scrolling moves them and never changes them.
  drawOutline(outline, middle, half, ink) {
    const { context } = this;
    const perBar = Math.max(1, Math.round((BAR / this.width) * (this.windowS / BIN_S)));
    const first = Math.floor(this.from / BIN_S / perBar);
    const last = Math.ceil((this.from + this.windowS) / BIN_S / perBar);
    const thick = Math.max(1, (perBar * BIN_S * this.width) / this.windowS - 1);
    context.fillStyle = ink;
    context.beginPath();
    for (let bar = first; bar < last; bar++) {
      const span = outline.span(bar * perBar, (bar + 1) * perBar);
      if (!span) continue;
      const top = loudness(span[1]) * half;
      const bottom = loudness(-span[0]) * half;
      context.rect(this.x(bar * perBar * BIN_S), middle - top - 0.5, thick, top + bottom + 1);
    }
    context.fill();
  }

  // The buffers of all participants in one lane, on one scale.
  drawDepths(people, top, height) {
    const { context, colour } = this;
    const first = Math.max(0, Math.floor(this.from / DEPTH_BIN_S));
    const last = Math.ceil((this.from + this.windowS) / DEPTH_BIN_S);
    const greatest = people.map(([, { depth }]) => depth.greatest(first, last));
    const most = niceAbove(Math.max(LEAST_DEPTH_MS, ...greatest));
    this.label("Router buffer", top + 4, colour.depth);
    context.fillStyle = colour.muted;
    context.font = `11px ${this.font}`;
    const text = most >= 2000 ? `${most / 1000} s` : `${most} ms`;
    context.fillText(text, this.width - context.measureText(text).width - 6, top + 15);
    for (const [speaker, { depth }] of people) {
      const bottom = top + height - 2;
      const ink = speaker === 1 ? colour.depth : colour.guest;
      this.drawDepth(depth, { first: Math.max(first, depth.begin ?? 0), last, bottom, scale: (height - 22) / most, ink });
    }
  }

  drawDepth(depth, { first, last, bottom, scale, ink }) {
    const { context } = this;
    context.beginPath();
    context.moveTo(this.x(first * DEPTH_BIN_S), bottom);
    let end = first;
    for (let bin = first; bin < Math.min(last, depth.end); bin++) {
      const value = depth.at(bin);
      if (value === null) continue;
      context.lineTo(this.x(bin * DEPTH_BIN_S), bottom - value * scale);
      end = bin;
    }
    context.lineTo(this.x(end * DEPTH_BIN_S), bottom);
    context.globalAlpha = 0.2;
    context.fillStyle = ink;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = ink;
    context.lineWidth = 1.25;
    context.stroke();
  }

  // How long an answer took, and how long the bot needed to fall silent.
  drawSpans(lanes, top, height) {
    const { colour } = this;
    for (const { speech_at_s: speechS, clear_at_s: clearS, silent_at_s: silentS } of lanes.bargeIns) {
      const fromS = speechS ?? clearS;
      const toS = silentS ?? this.model.nowS();
      const took = `${Math.round((toS - fromS) * 1000)} ms`;
      if (fromS !== null) {
        const texts = silentS === null ? [] : [`silent after ${took}`, took];
        this.band({ fromS, toS, top, height, ink: colour.barge, texts });
      }
    }
    for (const { speech_end_s: fromS, reply_at_s: toS, latency_ms: ms } of lanes.turns) {
      this.band({ fromS, toS, top, height, ink: colour.turn, texts: [`${Math.round(ms)} ms`] });
    }
  }

  // texts: the first one that has room is written.
  band({ fromS, toS, top, height, ink, texts }) {
    const { context } = this;
    const [left, right] = [this.x(fromS), this.x(toS)];
    if (right < 0 || left > this.width) return;
    context.fillStyle = ink;
    context.globalAlpha = 0.16;
    context.fillRect(left, top, Math.max(1, right - left), height);
    context.globalAlpha = 1;
    context.fillRect(left, STRIP - 3, Math.max(2, right - left), 3);
    context.font = `600 11px ${this.font}`;
    for (const text of texts) {
      const wide = context.measureText(text).width;
      const start = Math.max(0, Math.min(left, this.width - wide));
      if (this.take(start, start + wide)) {
        context.fillText(text, start, STRIP - 8);
        break;
      }
    }
  }

  drawEvents(bottom) {
    const { context, colour } = this;
    context.font = `11px ${this.font}`;
    for (const { at_s: atS, mark } of this.model.events) {
      const x = Math.round(this.x(atS)) + 0.5;
      if (!mark || x < -80 || x > this.width) continue;
      context.strokeStyle = colour.muted;
      context.globalAlpha = 0.55;
      context.setLineDash([2, 3]);
      context.beginPath();
      context.moveTo(x, STRIP - 4);
      context.lineTo(x, bottom);
      context.stroke();
      context.setLineDash([]);
      context.globalAlpha = 1;
      const wide = context.measureText(mark).width;
      if (!this.take(x, x + wide)) continue;
      context.fillStyle = colour.muted;
      context.fillText(mark, x - 1, STRIP - 8);
    }
  }

  // Reserve a part of the strip for a text; false where another one is.
  take(left, right) {
    const isFree = this.taken.every(([from, to]) => left >= to + 6 || right + 6 <= from);
    if (isFree) this.taken.push([left, right]);
    return isFree;
  }

  label(text, top, ink) {
    const { context, colour } = this;
    context.font = `600 11px ${this.font}`;
    const wide = context.measureText(text).width;
    context.globalAlpha = 0.82;
    context.fillStyle = colour.surface;
    context.fillRect(4, top - 1, wide + 22, 17);
    context.globalAlpha = 1;
    context.fillStyle = ink;
    context.beginPath();
    context.arc(13, top + 7.5, 3.5, 0, 2 * Math.PI);
    context.fill();
    context.fillStyle = colour.text;
    context.textBaseline = "alphabetic";
    context.fillText(text, 21, top + 11.5);
  }
}

// Of an amplitude in [0, 1], how much of the lane it fills: the quiet half of speech is worth seeing as well.
function loudness(amplitude) {
  return Math.min(1, Math.max(0, amplitude)) ** 0.6;
}

function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}
