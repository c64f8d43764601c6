// SPDX-License-Identifier: Apache-2.0
// What a participant hears: 16-bit PCM at the call's rate in, a steady stream at the device's rate out.
//
// A ring buffer with a small jitter buffer. Messages come through the page's main thread and are late now and then;
// what is missing then is this page's doing and not the bot's, so it is counted here, apart from the bot's underruns.

import { Resampler } from "./resampler.js";

const RING_S = 2; // more is never held: what is older than that nobody wants to hear any more
const LEAST_S = 0.08; // gathered before playing starts: four messages
const STEP_S = 0.04; // gathered in addition after each underrun: a busy machine needs more in hand
const MOST_TARGET_S = 0.24; // gathered at most
const TRIM_S = 0.12; // beyond what was to be gathered, silence is skipped: clocks differ a little
const MOST_S = 0.6; // beyond it, sound is skipped as well
const REPORT_S = 0.25;

class Playback extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz } }) {
    super();
    this.resampler = new Resampler(rateHz, sampleRate);
    this.ring = new Float32Array(Math.ceil(RING_S * sampleRate));
    this.read = 0;
    this.held = 0; // samples
    this.targetS = LEAST_S;
    this.isFlowing = false; // the call is open, so running dry is a fault
    this.isPlaying = false; // gathered enough
    this.isOver = false; // nothing comes any more: play the rest, and end
    this.underruns = 0;
    this.missing = 0; // samples
    this.skipped = 0; // samples
    this.untilReport = 0;
    this.store = (sample) => {
      this.ring[(this.read + this.held++) % this.ring.length] = sample;
    };
    this.port.onmessage = ({ data }) => {
      if (data instanceof Int16Array) this.take(data);
      else Object.assign(this, data);
    };
  }

  take(pcm) {
    const isSilent = pcm.every((sample) => sample === 0);
    const heldS = this.held / sampleRate;
    if (heldS > MOST_S || (isSilent && heldS > this.targetS + TRIM_S)) {
      this.skipped += (pcm.length * this.resampler.up) / this.resampler.down;
      return;
    }
    this.resampler.push(
      Float32Array.from(pcm, (sample) => sample / 32768),
      this.store,
    );
  }

  process(_, [output]) {
    const channel = output[0];
    if (this.held >= this.targetS * sampleRate || this.isOver) this.isPlaying = true;
    const count = this.isPlaying ? Math.min(channel.length, this.held) : 0;
    for (let index = 0; index < count; index++) channel[index] = this.ring[(this.read + index) % this.ring.length];
    this.read = (this.read + count) % this.ring.length;
    this.held -= count;
    if (this.isPlaying && count < channel.length) {
      this.isPlaying = false;
      if (this.isFlowing) {
        this.underruns += 1;
        this.targetS = Math.min(MOST_TARGET_S, this.targetS + STEP_S);
      }
    }
    if (this.isFlowing && this.underruns && !this.isPlaying) this.missing += channel.length - count;
    for (let other = 1; other < output.length; other++) output[other].set(channel);
    this.report(channel.length);
    return !this.isOver || this.held > 0;
  }

  report(samples) {
    this.untilReport -= samples;
    if (this.untilReport > 0) return;
    this.untilReport = REPORT_S * sampleRate;
    const ms = (count) => (count / sampleRate) * 1000;
    this.port.postMessage({
      bufferedMs: ms(this.held),
      underruns: this.underruns,
      missingMs: ms(this.missing),
      skippedMs: ms(this.skipped),
    });
  }
}

registerProcessor("playback", Playback);
