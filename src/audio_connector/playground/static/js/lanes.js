// SPDX-License-Identifier: Apache-2.0
// What the timeline draws, kept in rings: outlines of audio and the depth of a buffer, by absolute time of the call.

export const BIN_S = 0.01; // one bin of a waveform; the program sends two per frame
export const DEPTH_BIN_S = 0.02; // one value of a buffer's depth
export const KEPT_S = 90; // more than the widest view shows

// Lowest and highest sample in each bin of audio.
export class Outline {
  constructor() {
    this.size = Math.round(KEPT_S / BIN_S);
    this.low = new Int16Array(this.size);
    this.high = new Int16Array(this.size);
    this.begin = null; // the first bin that is known
    this.end = 0; // bins so far
  }

  // peaks: low and high by turns, from bin `from` on; what was never sent is silence.
  put(from, peaks) {
    const count = peaks.length / 2;
    this.begin ??= from;
    for (let bin = Math.max(this.begin, this.end, from - this.size); bin < from; bin++) this.set(bin, 0, 0);
    for (let index = 0; index < count; index++) this.set(from + index, peaks[2 * index], peaks[2 * index + 1]);
    this.end = Math.max(this.end, from + count);
  }

  set(bin, low, high) {
    this.low[bin % this.size] = low;
    this.high[bin % this.size] = high;
  }

  // The loudest of the bins [from, to) as [low, high], each in [-1, 1]; null where nothing is known.
  span(from, to) {
    const first = Math.max(from, this.begin ?? 0, this.end - this.size);
    const last = Math.min(to, this.end);
    if (first >= last) return null;
    let low = 0;
    let high = 0;
    for (let bin = first; bin < last; bin++) {
      low = Math.min(low, this.low[bin % this.size]);
      high = Math.max(high, this.high[bin % this.size]);
    }
    return [low / 32768, high / 32768];
  }
}

// A value over time.
export class Series {
  constructor() {
    this.size = Math.round(KEPT_S / DEPTH_BIN_S);
    this.values = new Float32Array(this.size);
    this.begin = null;
    this.end = 0;
  }

  put(from, values) {
    this.begin ??= from;
    for (let bin = Math.max(this.begin, this.end, from - this.size); bin < from; bin++) this.values[bin % this.size] = 0;
    values.forEach((value, index) => {
      this.values[(from + index) % this.size] = value;
    });
    this.end = Math.max(this.end, from + values.length);
  }

  at(bin) {
    const isKnown = bin >= Math.max(this.begin ?? 0, this.end - this.size) && bin < this.end;
    return !isKnown ? null : this.values[bin % this.size];
  }

  greatest(from, to) {
    let greatest = 0;
    for (let bin = Math.max(0, from); bin < Math.min(to, this.end); bin++) greatest = Math.max(greatest, this.at(bin) ?? 0);
    return greatest;
  }
}

// Everything of one participant.
export class Lanes {
  constructor() {
    this.spoken = new Outline();
    this.heard = new Outline();
    this.depth = new Series();
    this.turns = [];
    this.bargeIns = [];
    this.isPresent = false;
  }
}
