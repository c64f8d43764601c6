// SPDX-License-Identifier: Apache-2.0
// The deck of buttons, the state of the call, the keypad and the recording.

const WORDS = {
  idle: "Not connected",
  connecting: "Connecting …",
  open: "Connected",
  over: "Call ended",
  failed: "No connection",
  lost: "No program",
};
const DIGITS = "123456789*0#";
// What a program says, and the end of a call that it causes, arrive within this.
const SOON_MS = 1500;

const byId = (id) => document.getElementById(id);

export class Controls {
  // actions: {connect, disconnect, mute(muted), bargeIn, press(digit), join, leave}
  constructor(model, actions) {
    this.model = model;
    this.actions = actions;
    this.state = "lost";
    this.isTalking = false;
    byId("connect").addEventListener("click", () => this.toggleCall());
    byId("mute").addEventListener("click", () => this.toggleMute());
    byId("barge").addEventListener("click", () => this.bargeIn());
    byId("guest").addEventListener("click", () => this.toggleGuest());
    byId("theme").addEventListener("click", () => this.nextTheme());
    byId("recording").addEventListener("click", (event) => {
      if (byId("recording").getAttribute("aria-disabled") === "true") event.preventDefault();
    });
    for (const digit of DIGITS) {
      const key = Object.assign(document.createElement("button"), { type: "button", textContent: digit });
      key.dataset.digit = digit;
      key.addEventListener("click", () => this.press(digit));
      byId("keypad").append(key);
    }
    this.showTheme();
    this.show("lost");
  }

  // What buttons and keys do.

  toggleCall() {
    if (this.state === "open" || this.state === "connecting") this.actions.disconnect();
    else if (this.state !== "lost") this.actions.connect();
  }

  toggleMute() {
    if (this.isOpen) this.actions.mute(!this.model.isMuted);
  }

  // Talk while a key is held, where the participant is muted.
  talk(wanted) {
    if (wanted && this.isOpen && this.model.isMuted) {
      this.isTalking = true;
      this.actions.mute(false);
    } else if (!wanted && this.isTalking) {
      this.isTalking = false;
      this.actions.mute(true);
    }
  }

  bargeIn() {
    if (this.isOpen && !this.model.isMuted) this.actions.bargeIn();
  }

  press(digit) {
    if (!this.isOpen) return;
    this.actions.press(digit);
    const key = byId("keypad").querySelector(`[data-digit="${CSS.escape(digit)}"]`);
    key.dataset.hit = "";
    setTimeout(() => delete key.dataset.hit, 180);
  }

  toggleGuest() {
    if (this.model.isOpen(2)) this.actions.leave();
    else if (this.isOpen) this.actions.join();
  }

  nextTheme() {
    globalThis.theme.next();
    this.showTheme();
  }

  // What is shown.

  get isOpen() {
    return this.state === "open";
  }

  showCall(call) {
    const { speaker, state, text } = call;
    if (speaker === 2) {
      const isThere = state === "open";
      byId("guest").setAttribute("aria-pressed", String(isThere));
      if (state === "failed") this.fault(`The second participant could not join: ${text}`);
      return;
    }
    this.show(state, text);
    if (state === "open") byId("ids").textContent = `Session ${call.session_id.slice(0, 8)}… · connection ${call.connection_id.slice(0, 8)}…`;
    if (state === "failed") this.fault(text);
    if (state === "open") this.fault("");
    this.ended = state === "over" && !call.is_own_end ? { text, atMs: performance.now() } : null;
    this.tellEnd();
    if (state === "over") byId("guest").setAttribute("aria-pressed", "false");
  }

  // What the bot's program has just said may be why a call ends, and may come a moment later than its end.
  noticed(text) {
    this.notice = { text, atMs: performance.now() };
    this.tellEnd();
  }

  tellEnd() {
    if (!this.ended) return;
    const isWhy = this.notice && Math.abs(this.ended.atMs - this.notice.atMs) < SOON_MS;
    this.fault(`The call was ended: ${this.ended.text}.${isWhy ? ` The bot’s program said: ${this.notice.text}` : ""}`);
  }

  show(state, text = "") {
    this.state = state;
    const isCall = state === "open" || state === "connecting";
    byId("state").dataset.state = state;
    byId("state-text").textContent = WORDS[state];
    byId("state").title = text;
    const connect = byId("connect");
    connect.disabled = state === "lost";
    connect.dataset.action = isCall ? "disconnect" : "connect";
    connect.querySelector("use").setAttribute("href", isCall ? "icons.svg#end" : "icons.svg#call");
    byId("connect-text").textContent = isCall ? "Disconnect" : state === "over" ? "Connect again" : "Connect";
    byId("mute").disabled = !this.isOpen;
    byId("guest").disabled = !this.isOpen;
    byId("barge").disabled = !this.isOpen || this.model.isMuted;
    for (const key of byId("keypad").children) key.disabled = !this.isOpen;
    if (!this.isOpen) this.level(0);
  }

  showMuted(isMuted) {
    this.model.isMuted = isMuted;
    const mute = byId("mute");
    mute.setAttribute("aria-pressed", String(isMuted));
    mute.querySelector("use").setAttribute("href", isMuted ? "icons.svg#mic-off" : "icons.svg#mic");
    mute.querySelector("span").textContent = isMuted ? "Muted" : "Mute";
    byId("barge").disabled = !this.isOpen || isMuted;
    byId("barge").title = isMuted ? "Unmute first: nobody would hear it" : "";
    if (isMuted) this.level(0);
  }

  showLevel(pcm) {
    let peak = 0;
    for (const sample of pcm) peak = Math.max(peak, Math.abs(sample));
    this.level(this.isOpen && !this.model.isMuted ? (peak / 32768) ** 0.5 : 0);
  }

  level(share) {
    byId("level").style.transform = `scaleX(${share.toFixed(3)})`;
  }

  showClock() {
    const seconds = Math.floor(this.model.nowS());
    const text = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    if (byId("clock").textContent !== text) byId("clock").textContent = text;
  }

  showTheme() {
    const choice = document.documentElement.dataset.choice;
    const words = { auto: "as the system", light: "light", dark: "dark" };
    byId("theme").querySelector("use").setAttribute("href", `icons.svg#${{ auto: "auto", light: "sun", dark: "moon" }[choice]}`);
    byId("theme-text").textContent = `Colours: ${words[choice]}`;
    byId("theme").title = `Colours: ${words[choice]} (T)`;
  }

  // message: {seconds, is_full}, or null where nothing is recorded.
  recording(message) {
    const link = byId("recording");
    const hasAny = Boolean(message?.seconds);
    link.setAttribute("aria-disabled", String(!hasAny));
    if (hasAny) link.href = `pages/${this.model.pageId}/recording.wav`;
    else link.removeAttribute("href");
    const seconds = Math.floor(message?.seconds ?? 0);
    const time = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    byId("recording-text").textContent = hasAny ? `Recording ${time}${message.is_full ? ", full" : ""}` : "Recording";
    link.title = hasAny ? "Download: left what was said, right what was heard" : "Nothing is recorded yet";
  }

  fault(text) {
    show(byId("call-fault"), text);
  }

  banner(text) {
    show(byId("banner"), text);
  }
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text;
}
