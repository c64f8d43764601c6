// SPDX-License-Identifier: Apache-2.0
// The microphone on its way to the call: the device's rate in, 20 ms of 16-bit PCM at the call's rate out.

import { Resampler } from "./resampler.js";

class Capture extends AudioWorkletProcessor {
  constructor({ processorOptions: { rateHz } }) {
    super();
    this.resampler = new Resampler(sampleRate, rateHz);
    this.frameSamples = rateHz / 50;
    this.frame = new Int16Array(this.frameSamples);
    this.filled = 0;
    this.emit = (sample) => this.take(sample);
  }

  take(sample) {
    const scaled = Math.round(sample * 32767);
    this.frame[this.filled++] = Math.max(-32768, Math.min(32767, scaled));
    if (this.filled < this.frameSamples) return;
    this.port.postMessage(this.frame, [this.frame.buffer]);
    this.frame = new Int16Array(this.frameSamples);
    this.filled = 0;
  }

  process([input]) {
    // No channel while the device starts or is gone; then there is nothing to say.
    if (input.length) this.resampler.push(input[0], this.emit);
    return true;
  }
}

registerProcessor("capture", Capture);
