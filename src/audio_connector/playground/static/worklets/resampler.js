// SPDX-License-Identifier: Apache-2.0
// Streaming sample rate conversion for the worklets: the device has its rate, the call has another.
//
// A polyphase filter: for rates whose ratio is up/down in lowest terms, output sample n is the input at n * down / up,
// seen through a windowed sinc. Every one of the `up` positions between two input samples has its own, exact row of
// coefficients, so nothing is interpolated and nothing drifts, however long the call lasts.

const ZEROS = 16; // zero crossings on either side: about 80 dB against aliases with the window below
const ROLLOFF = 0.92; // of the lower Nyquist frequency: what is above falls off before it could fold back

function gcd(a, b) {
  while (b) [a, b] = [b, a % b];
  return a;
}

function window(x) {
  // Blackman, for x in [-1, 1].
  return 0.42 + 0.5 * Math.cos(Math.PI * x) + 0.08 * Math.cos(2 * Math.PI * x);
}

export class Resampler {
  // Rates in Hz, whole numbers.
  constructor(fromHz, toHz) {
    const divisor = gcd(fromHz, toHz);
    this.up = toHz / divisor;
    this.down = fromHz / divisor;
    const cutoff = Math.min(1, toHz / fromHz) * (fromHz === toHz ? 1 : ROLLOFF);
    this.half = Math.ceil(ZEROS / cutoff);
    this.taps = 2 * this.half;
    this.rows = new Map(); // made when first needed: most pairs of rates use a few of them
    this.cutoff = cutoff;
    this.history = new Float32Array(this.taps); // the newest input samples, twice the half width
    this.phase = 0; // position of the next output sample behind the newest sample of the middle, in 1/up
    this.isSame = fromHz === toHz;
  }

  row(phase) {
    let row = this.rows.get(phase);
    if (row) return row;
    row = new Float32Array(this.taps);
    let sum = 0;
    for (let tap = 0; tap < this.taps; tap++) {
      const distance = tap - (this.half - 1) - phase / this.up;
      const x = Math.PI * distance * this.cutoff;
      row[tap] = (Math.abs(x) < 1e-9 ? 1 : Math.sin(x) / x) * window(distance / this.half);
      if (Math.abs(distance) > this.half) row[tap] = 0;
      sum += row[tap];
    }
    for (let tap = 0; tap < this.taps; tap++) row[tap] /= sum; // a constant stays what it is
    this.rows.set(phase, row);
    return row;
  }

  // Take samples, and call `emit` with each sample of the other rate.
  push(samples, emit) {
    if (this.isSame) {
      for (const sample of samples) emit(sample);
      return;
    }
    const { history, taps } = this;
    for (const sample of samples) {
      history.copyWithin(0, 1);
      history[taps - 1] = sample;
      while (this.phase < this.up) {
        const row = this.row(this.phase);
        let sum = 0;
        for (let tap = 0; tap < taps; tap++) sum += history[tap] * row[tap];
        emit(sum);
        this.phase += this.down;
      }
      this.phase -= this.up;
    }
  }
}
