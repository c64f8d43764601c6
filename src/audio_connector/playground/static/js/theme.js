// SPDX-License-Identifier: Apache-2.0
// Light or dark, before anything is drawn: as the system, or as was chosen here. A plain script, so that it runs first.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");

  const chosen = () => {
    try {
      return localStorage.getItem("theme") ?? "auto";
    } catch {
      return "auto"; // storage may be forbidden; then the choice lasts as long as the page
    }
  };

  const apply = (choice) => {
    const isDark = choice === "dark" || (choice === "auto" && system.matches);
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
    document.documentElement.dataset.choice = choice;
    dispatchEvent(new Event("themechange"));
  };

  globalThis.theme = {
    next() {
      const order = ["auto", "light", "dark"];
      const choice = order[(order.indexOf(document.documentElement.dataset.choice) + 1) % order.length];
      try {
        localStorage.setItem("theme", choice);
      } catch {
        // As above.
      }
      apply(choice);
    },
  };

  system.addEventListener("change", () => apply(document.documentElement.dataset.choice));
  apply(chosen());
})();
