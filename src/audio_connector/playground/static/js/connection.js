// SPDX-License-Identifier: Apache-2.0
// The WebSocket to the program: JSON both ways, speech out and sound in as binary messages.

const AGAIN_MS = [500, 1000, 2000, 5000]; // between attempts to reach a program that has gone

export class Connection extends EventTarget {
  // Events: "message" (detail: the object), "sound" (detail: {speaker, pcm}), "open", "lost".
  constructor() {
    super();
    this.attempts = 0;
    this.socket = null;
  }

  open() {
    const socket = new WebSocket(new URL("page", location.href.replace(/^http/, "ws")));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.attempts = 0;
      this.tell("open");
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        this.tell("message", JSON.parse(data));
        return;
      }
      const [speaker] = new Uint8Array(data, 0, 1);
      this.tell("sound", { speaker, pcm: new Int16Array(data.slice(2)) });
    };
    socket.onclose = ({ code, reason }) => {
      this.tell("lost", { code, reason });
      const wait = AGAIN_MS[Math.min(this.attempts++, AGAIN_MS.length - 1)];
      // 1008: the program wants no more pages; asking again would not change that.
      if (code !== 1008) setTimeout(() => this.open(), wait);
    };
    this.socket = socket;
  }

  get isOpen() {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  send(type, values = {}) {
    if (this.isOpen) this.socket.send(JSON.stringify({ type, ...values }));
  }

  // pcm: an Int16Array. What the program does not take in time is dropped: late speech is no speech.
  sendSpeech(pcm) {
    if (this.isOpen && this.socket.bufferedAmount < 32000) this.socket.send(pcm);
  }

  tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
