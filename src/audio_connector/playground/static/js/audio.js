// SPDX-License-Identifier: Apache-2.0
// Sound in and out: one AudioContext at the device's rate; worklets convert from and to the call's rate.

const WORKLETS = new URL("../worklets/", import.meta.url);

// Why a microphone cannot be had, in words that say what to do.
const REFUSALS = {
  NotAllowedError: "The browser was not allowed to use the microphone. Allow it in the address bar, then choose it again here.",
  NotFoundError: "There is no microphone. Drop a WAV, or say one of the sentences below.",
  NotReadableError: "The microphone is used by another program. End that program, then choose the microphone again here.",
  OverconstrainedError: "That microphone is gone. Choose another one.",
};

export class Audio {
  // onSpeech: called with an Int16Array of 20 ms; onFigures: with the figures of a playback worklet, and whose.
  constructor({ onSpeech, onFigures }) {
    this.onSpeech = onSpeech;
    this.onFigures = onFigures;
    this.context = null;
    this.players = new Map(); // speaker -> AudioWorkletNode
    this.capture = null;
    this.microphone = null; // the MediaStream
    this.rateHz = 0;
    this.wish = 0; // counts the wishes for a microphone: only the latest counts, however long permission takes
  }

  // Has to be called from a click or a key the first time: browsers start no sound by themselves.
  async open(volume) {
    if (!this.context) {
      const context = new AudioContext({ latencyHint: "interactive" });
      this.context = context;
      this.volume = new GainNode(context, { gain: volume });
      this.volume.connect(context.destination);
      this.ready = Promise.all(
        ["capture.js", "playback.js"].map((name) => context.audioWorklet.addModule(new URL(name, WORKLETS))),
      );
    }
    // Awaited apart: resume() waits for ever where the browser wants another click first.
    this.context.resume();
    await this.ready;
  }

  setVolume(gain) {
    if (this.volume) this.volume.gain.setTargetAtTime(gain, this.context.currentTime, 0.02);
  }

  // Begin to play what a participant hears.
  startPlaying(speaker, rateHz) {
    this.stopPlaying(speaker);
    const node = new AudioWorkletNode(this.context, "playback", {
      numberOfInputs: 0,
      outputChannelCount: [1],
      processorOptions: { rateHz },
    });
    node.port.onmessage = ({ data }) => this.onFigures(speaker, data);
    node.port.postMessage({ isFlowing: true });
    node.connect(this.volume);
    this.players.set(speaker, node);
  }

  // pcm: an Int16Array that this may keep.
  play(speaker, pcm) {
    this.players.get(speaker)?.port.postMessage(pcm, [pcm.buffer]);
  }

  stopPlaying(speaker) {
    this.players.get(speaker)?.port.postMessage({ isFlowing: false, isOver: true });
    this.players.delete(speaker);
  }

  // Begin to listen. device: a device's id, "" for the default, null for no microphone.
  // Returns the device's name, or null; throws an Error whose message is for people.
  async listen(device, { rateHz, isCleanedUp }) {
    const wish = ++this.wish;
    this.stopListening();
    if (device === null) return null;
    if (!navigator.mediaDevices) {
      throw new Error("Browsers give a microphone to local pages only: open this page at http://localhost.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: {
          deviceId: device ? { exact: device } : undefined,
          channelCount: 1,
          echoCancellation: isCleanedUp,
          noiseSuppression: isCleanedUp,
          autoGainControl: isCleanedUp,
        },
      });
    } catch (error) {
      if (wish !== this.wish) return null;
      throw new Error(REFUSALS[error.name] ?? `The microphone cannot be used: ${error.message}`);
    }
    if (wish !== this.wish) {
      for (const track of stream.getTracks()) track.stop();
      return null;
    }
    this.microphone = stream;
    const source = new MediaStreamAudioSourceNode(this.context, { mediaStream: stream });
    this.capture = new AudioWorkletNode(this.context, "capture", {
      numberOfOutputs: 0,
      channelCount: 1,
      channelCountMode: "explicit",
      processorOptions: { rateHz },
    });
    this.capture.port.onmessage = ({ data }) => this.onSpeech(data);
    source.connect(this.capture);
    this.source = source;
    return stream.getAudioTracks()[0]?.label || "Microphone";
  }

  stopListening() {
    for (const track of this.microphone?.getTracks() ?? []) track.stop();
    this.source?.disconnect();
    if (this.capture) this.capture.port.onmessage = null;
    this.microphone = this.capture = this.source = null;
  }

  close() {
    this.wish += 1;
    this.stopListening();
    for (const speaker of [...this.players.keys()]) this.stopPlaying(speaker);
  }

  // The microphones, as far as the browser tells: names only once one of them was allowed.
  static async microphones() {
    const devices = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return devices
      .filter(({ kind, deviceId }) => kind === "audioinput" && deviceId && deviceId !== "default")
      .map(({ deviceId, label }) => ({ id: deviceId, name: label || "Microphone" }));
  }
}
