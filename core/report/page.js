
"use strict";
for (const pair of document.querySelectorAll(".pair")) {
  const find = (name) => pair.querySelector(name);
  const stage = find(".stage"), tuned = find(".tuned"), wipe = find(".wipe"), warm = find(".warm"), border = find(".border"), aspect = find(".aspect");
  const show = () => {
    if (wipe) {
      tuned.style.setProperty("--wipe", wipe.value + "%");
      find(".edge").style.left = wipe.value + "%";
    }
    const heats = [...pair.querySelectorAll(".heat")];
    const chosen = aspect ? aspect.selectedIndex : 0;
    heats.forEach((heat, i) => { heat.style.opacity = i === chosen ? warm.value / 100 : 0; });
    if (border) find(".mask").style.opacity = border.value / 100;
  };
  for (const control of [wipe, warm, border, aspect]) control?.addEventListener("input", show);
  const drag = (event) => {
    if (!wipe || event.buttons !== 1 && event.type !== "pointerdown") return;
    const box = stage.getBoundingClientRect();
    wipe.value = Math.round(100 * Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
    show();
  };
  stage.addEventListener("pointerdown", drag);
  stage.addEventListener("pointermove", drag);
  show();
}

const data = JSON.parse(document.getElementById("data").textContent) || [];
const tip = document.getElementById("tip");
const left = 58, right = 628, top_ = 10, bottom = 240, width = 640;
const nearest = (list, x) => {
  let low = 0, high = list.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle] < x) low = middle + 1; else high = middle;
  }
  return low > 0 && x - list[low - 1] < list[low] - x ? low - 1 : low;
};
const line = (text, cls) => {
  const div = document.createElement("div");
  if (cls) {
    const swatch = document.createElement("i");
    swatch.className = "swatch " + cls;
    div.append(swatch);
  }
  div.append(text);
  return div;
};
for (const figure of document.querySelectorAll(".chart")) {
  const chart = data[figure.dataset.chart], svg = figure.querySelector("svg"), hair = figure.querySelector(".hair");
  const [x0, x1] = chart.range;
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = (event.clientX - box.left) / box.width * width;
    const step = x0 + (Math.min(right, Math.max(left, at)) - left) / (right - left) * (x1 - x0);
    let shown = null;
    const rows = chart.series.map((s) => {
      const i = nearest(s.x, step);
      if (shown === null || Math.abs(s.x[i] - step) < Math.abs(shown - step)) shown = s.x[i];
      return line(s.name + "  " + s.y[i].toFixed(chart.digits) + (s.x[i] === shown ? "" : " at " + s.x[i]), s.class);
    });
    tip.replaceChildren(line("step " + shown), ...rows);
    tip.hidden = false;
    const beside = event.clientX + 16 + tip.offsetWidth > innerWidth;
    tip.style.left = (beside ? event.clientX - 16 - tip.offsetWidth : event.clientX + 16) + "px";
    tip.style.top = Math.min(event.clientY + 12, innerHeight - tip.offsetHeight) + "px";
    const x = left + (shown - x0) / (x1 - x0) * (right - left);
    hair.setAttribute("d", "M" + x + " " + top_ + "V" + bottom);
  });
  svg.addEventListener("pointerleave", () => { tip.hidden = true; hair.setAttribute("d", ""); });
}
