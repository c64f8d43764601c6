// SPDX-License-Identifier: Apache-2.0
// Comfort only: without it the page shows the same. It reads positions and texts that are in the page, and makes no HTML.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const NEAR_PX = 12;
  const ZOOMS = [1, 2, 4, 8];

  function atText(seconds) {
    if (seconds < 60) return `${seconds.toFixed(2)} s`;
    const minutes = Math.floor(seconds / 60);
    return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
  }

  function equip(figure) {
    const scroll = figure.querySelector(".scroll");
    const time = figure.querySelector(".time");
    const rows = figure.querySelector(".rows");
    const readout = figure.querySelector(".readout");
    const duration = Number(rows.dataset.duration);
    const marks = [...rows.querySelectorAll("[data-t]")].sort((a, b) => a.dataset.t - b.dataset.t);
    const cursor = document.createElementNS(SVG, "line");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("y2", "100%");
    cursor.setAttribute("visibility", "hidden");
    rows.append(cursor);
    let current = -1;

    function show(seconds, index) {
      const x = `${(100 * seconds) / duration}%`;
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.setAttribute("visibility", "visible");
      if (current >= 0) marks[current].classList.remove("is-current");
      current = index;
      if (index >= 0) marks[index].classList.add("is-current");
      readout.textContent = index >= 0 ? marks[index].querySelector("title").textContent : atText(seconds);
    }

    function hide() {
      if (current >= 0) marks[current].classList.remove("is-current");
      cursor.setAttribute("visibility", "hidden");
      readout.textContent = "";
    }

    function nearest(event, box) {
      const pointed = event.target.closest("[data-t]");
      if (pointed) return marks.indexOf(pointed);
      let best = -1;
      let bestPx = NEAR_PX;
      marks.forEach((mark, index) => {
        const px = Math.abs(box.left + (mark.dataset.t / duration) * box.width - event.clientX);
        if (px < bestPx) [best, bestPx] = [index, px];
      });
      return best;
    }

    rows.addEventListener("pointermove", (event) => {
      const box = rows.getBoundingClientRect();
      const seconds = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * duration;
      const index = nearest(event, box);
      show(index >= 0 ? Number(marks[index].dataset.t) : seconds, index);
    });
    rows.addEventListener("pointerleave", hide);

    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "what happened; the arrow keys go from one to the next");
    scroll.addEventListener("blur", hide);
    scroll.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step || !marks.length) return;
      event.preventDefault();
      const index = Math.min(Math.max(current + step, 0), marks.length - 1);
      show(Number(marks[index].dataset.t), index);
      const x = (Number(marks[index].dataset.t) / duration) * rows.getBoundingClientRect().width;
      scroll.scrollLeft = x - scroll.clientWidth / 2;
    });

    const zoom = document.createElement("div");
    zoom.className = "zoom";
    for (const factor of ZOOMS) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = `${factor}×`;
      button.setAttribute("aria-label", `${factor} times as wide`);
      button.setAttribute("aria-pressed", String(factor === 1));
      button.addEventListener("click", () => {
        const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / scroll.scrollWidth;
        time.style.width = `${100 * factor}%`;
        scroll.scrollLeft = middle * scroll.scrollWidth - scroll.clientWidth / 2;
        for (const other of zoom.children) other.setAttribute("aria-pressed", String(other === button));
      });
      zoom.append(button);
    }
    figure.prepend(zoom);
  }

  function openLinked() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.tagName === "DETAILS") target.open = true;
  }

  document.querySelectorAll("figure").forEach(equip);
  window.addEventListener("hashchange", openLinked);
  openLinked();
  window.addEventListener("beforeprint", () => {
    for (const part of document.querySelectorAll("details.call, .sum details")) {
      if (part.matches(".sum details") || part.querySelector("figure")) part.open = true;
    }
  });
})();
