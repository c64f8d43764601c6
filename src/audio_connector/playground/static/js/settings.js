// SPDX-License-Identifier: Apache-2.0
// Microphone, volume, and what the next call is like.

const byId = (id) => document.getElementById(id);
const NONE = "none";

export class Settings {
  // onMicrophone: called when another microphone is wanted; onVolume: with the volume, 0 to 1.
  constructor({ onMicrophone, onVolume }) {
    byId("microphone").addEventListener("change", onMicrophone);
    byId("clean").addEventListener("change", onMicrophone);
    byId("volume").addEventListener("input", () => onVolume(this.volume));
    byId("profile").addEventListener("change", () => this.showProfile());
    this.profiles = new Map();
  }

  // hello: the program's first message. What was chosen stays, where the program came back.
  start({ rates_hz: rates, rate_hz: rateHz, profiles, profile }) {
    this.profiles = new Map(profiles.map(({ name, text }) => [name, text]));
    const chosen = { rate: byId("rate").value, profile: byId("profile").value };
    fill(byId("rate"), rates.map((rate) => [String(rate), `${rate / 1000} kHz`]), chosen.rate || String(rateHz));
    fill(byId("profile"), profiles.map(({ name }) => [name, name]), chosen.profile || profile);
    this.showProfile();
    this.lock(false);
  }

  showProfile() {
    const text = this.profiles.get(this.profile) ?? "";
    byId("profile-note").textContent = text && text[0].toUpperCase() + text.slice(1);
  }

  // A call that runs keeps its rate and its router.
  lock(isLocked) {
    byId("rate").disabled = byId("profile").disabled = isLocked;
  }

  get rateHz() {
    return Number(byId("rate").value);
  }

  get profile() {
    return byId("profile").value;
  }

  get volume() {
    return Number(byId("volume").value) ** 2; // ears are logarithmic
  }

  get isCleanedUp() {
    return byId("clean").checked;
  }

  // A device's id, "" for the default one, null for none.
  get microphone() {
    const { value } = byId("microphone");
    return value === NONE ? null : value;
  }

  // microphones: [{id, name}]
  offer(microphones) {
    const select = byId("microphone");
    const chosen = select.value;
    const all = [["", "Default microphone"], ...microphones.map(({ id, name }) => [id, name]), [NONE, "No microphone"]];
    fill(select, all, all.some(([id]) => id === chosen) ? chosen : "");
  }

  tellMicrophone(text, isFault = false) {
    byId("microphone-note").textContent = text;
    byId("microphone-note").classList.toggle("fault", isFault);
  }
}

function fill(select, pairs, chosen) {
  select.replaceChildren(...pairs.map(([id, name]) => new Option(name, id, false, id === chosen)));
}
