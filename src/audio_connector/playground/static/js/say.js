// SPDX-License-Identifier: Apache-2.0
// What a participant says without a microphone: packaged sentences, and a WAV that is dropped or chosen.

const byId = (id) => document.getElementById(id);
const MOST_BYTES = 128 * 1024 * 1024; // what the program takes

export class Say {
  constructor(model, connection) {
    this.model = model;
    this.connection = connection;
    this.saying = new Map(); // speaker -> name
    byId("stop").addEventListener("click", () => {
      for (const speaker of this.saying.keys()) connection.send("stop", { speaker });
    });
    byId("file").addEventListener("change", ({ target }) => {
      if (target.files.length) this.send(target.files[0]);
      target.value = ""; // so that the same file can be chosen again
    });
    for (const choice of document.querySelectorAll('input[name="speaker"]')) {
      choice.addEventListener("change", () => this.fault(""));
    }
    this.takeDrops();
    this.update();
  }

  get speaker() {
    return Number(document.querySelector('input[name="speaker"]:checked').value);
  }

  // sentences: [{name, words, seconds}]
  offer(sentences) {
    const rows = sentences.map(({ name, words, seconds }) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.innerHTML = '<svg class="ico" aria-hidden="true"><use href="icons.svg#play" /></svg>';
      button.append(Object.assign(document.createElement("span"), { textContent: words }));
      button.append(Object.assign(document.createElement("span"), { className: "time", textContent: `${seconds.toFixed(1)} s` }));
      button.dataset.sample = name;
      button.addEventListener("click", () => {
        this.fault("");
        this.connection.send("say", { speaker: this.speaker, sample: name });
      });
      const row = document.createElement("li");
      row.append(button);
      return row;
    });
    byId("sentences").replaceChildren(...rows);
    this.update();
  }

  // After anything that changes who is there.
  update() {
    const guest = document.querySelector('input[name="speaker"][value="2"]');
    guest.disabled = !this.model.isOpen(2);
    if (guest.disabled && guest.checked) document.querySelector('input[name="speaker"][value="1"]').checked = true;
    const isOpen = this.model.isOpen(1) || this.model.isOpen(2);
    for (const button of byId("sentences").querySelectorAll("button")) button.disabled = !isOpen;
    byId("file").disabled = !isOpen;
    byId("drop").classList.toggle("is-off", !isOpen);
    if (!isOpen) this.fault("");
  }

  // message: "saying" of the program.
  show({ speaker, name }) {
    if (name === null) this.saying.delete(speaker);
    else this.saying.set(speaker, name);
    byId("saying").hidden = this.saying.size === 0;
    byId("saying-text").textContent = [...this.saying].map(([who, what]) => (who === 2 ? `Second: ${what}` : what)).join(" · ");
  }

  fault(text) {
    byId("say-fault").hidden = !text;
    byId("say-fault").textContent = text;
  }

  async send(file) {
    this.fault("");
    if (!this.model.isOpen(this.speaker)) {
      this.fault("Nobody is connected: connect first, then drop the file again.");
      return;
    }
    if (file.size > MOST_BYTES) {
      this.fault(`${file.name} is larger than 128 MiB; cut it.`);
      return;
    }
    const query = new URLSearchParams({ speaker: this.speaker, name: file.name });
    try {
      const answer = await fetch(`pages/${this.model.pageId}/speech?${query}`, { method: "POST", body: file });
      if (!answer.ok) this.fault(await answer.text());
    } catch (error) {
      this.fault(`${file.name} could not be sent: ${error.message}`);
    }
  }

  // A file may be dropped anywhere: letting go a little beside the field must not leave the page.
  takeDrops() {
    const field = byId("drop");
    let depth = 0;
    const hasFile = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => {
      if (hasFile(event)) field.classList.toggle("is-over", ++depth > 0);
    });
    addEventListener("dragleave", (event) => {
      if (hasFile(event)) field.classList.toggle("is-over", --depth > 0);
    });
    addEventListener("dragover", (event) => {
      if (hasFile(event)) event.preventDefault();
    });
    addEventListener("drop", (event) => {
      if (!hasFile(event)) return;
      event.preventDefault();
      depth = 0;
      field.classList.remove("is-over");
      const [file] = event.dataTransfer.files;
      if (file) this.send(file);
    });
  }
}
