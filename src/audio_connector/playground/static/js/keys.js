// SPDX-License-Identifier: Apache-2.0
// Shortcuts. None where a key means something already: in a field, on a focused button, with a modifier.

const FIELDS = "input:not([type=radio]):not([type=checkbox]):not([type=range]):not([type=file]), select, textarea, [contenteditable]";
const PRESSABLE = "button, a[href], input, select, summary, label";

export function listenToKeys(controls) {
  const actions = {
    d: () => controls.toggleCall(),
    m: () => controls.toggleMute(),
    b: () => controls.bargeIn(),
    g: () => controls.toggleGuest(),
    t: () => controls.nextTheme(),
  };

  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.target.matches?.(FIELDS)) return;
    if (event.key === " ") {
      // On a button, a space presses the button.
      if (event.target.matches?.(PRESSABLE)) return;
      event.preventDefault(); // the page would scroll
      if (!event.repeat) controls.talk(true);
      return;
    }
    if (event.repeat) return;
    const action = actions[event.key.toLowerCase()];
    if (action) action();
    else if (/^[0-9*#]$/.test(event.key)) controls.press(event.key);
  });

  addEventListener("keyup", (event) => {
    if (event.key === " ") controls.talk(false);
  });

  // The key may be let go where the page does not see it.
  addEventListener("blur", () => controls.talk(false));
}
