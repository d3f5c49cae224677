"use strict";
// Charts: a live one in place of each still picture. Figures: large on a click. The table of claims: filters and sorting.

let vega = null;

function loadVega() {
  if (vega) return vega;
  vega = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${document.documentElement.dataset.content_root}_static/vega.js`;
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  return vega;
}

async function drawChart(figure) {
  await loadVega();
  const live = figure.querySelector(".chart-live");
  const specification = JSON.parse(figure.querySelector(".chart-data").textContent);
  // `ast`: expressions are interpreted, since the page's policy lets no text run as a script.
  await window.vegaEmbed(live, specification, { actions: false, renderer: "svg", ast: true });
  live.hidden = false;
  figure.querySelector(".chart-picture").hidden = true;
  figure.dataset.live = "true";
}

function drawWhenSeen(figures) {
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      drawChart(entry.target);
    }
  }); // not before it is in view: what draws it is more than half of a page
  figures.forEach((figure) => seen.observe(figure));
}

function cellText(row, column) {
  return row.cells[column].textContent.trim();
}

function compare(a, b) {
  const [x, y] = [a, b].map((text) => (/^[\d.−e]+$/.test(text) ? Number(text.replace("−", "-")) : NaN));
  if (Number.isNaN(x) && Number.isNaN(y)) return a.localeCompare(b);
  return (Number.isNaN(x) ? Infinity : x) - (Number.isNaN(y) ? Infinity : y);
}

function chooser(label, words, onChange) {
  const select = document.createElement("select");
  select.setAttribute("aria-label", label);
  select.append(new Option(label, ""));
  for (const word of words) select.append(new Option(word, word));
  select.addEventListener("change", onChange);
  return select;
}

function makeOverview(table) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const texts = document.documentElement.lang.startsWith("zh")
    ? { 1: "全部主题", 2: "全部结论", shown: (n) => `显示 ${n} 条论断` }
    : { 1: "All topics", 2: "All verdicts", shown: (n) => `${n} claims shown` };
  const shown = document.createElement("output");
  const selects = [1, 2].map((column) => {
    const words = [...new Set(rows.map((row) => cellText(row, column)))];
    const select = chooser(texts[column], words, filter);
    select.dataset.column = column;
    return select;
  });
  function filter() {
    for (const row of rows) row.hidden = selects.some((s) => s.value && cellText(row, s.dataset.column) !== s.value);
    shown.textContent = texts.shown(rows.filter((row) => !row.hidden).length);
  }
  const controls = document.createElement("div");
  controls.className = "controls";
  controls.append(...selects, shown);
  table.parentElement.before(controls);
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent.trim();
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const sorted = [...rows].sort((a, b) => compare(cellText(a, column), cellText(b, column)) * (descending ? -1 : 1));
      body.append(...sorted);
    });
  });
  filter();
}

function openLarge(event) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return; // another tab or window: the link does that
  event.preventDefault();
  const figure = event.currentTarget.closest("figure").cloneNode(true);
  figure.removeAttribute("id");
  const dialog = document.createElement("dialog");
  dialog.className = "large";
  dialog.setAttribute("aria-label", figure.querySelector("img").alt);
  dialog.append(figure);
  dialog.addEventListener("click", (click) => {
    click.preventDefault();
    dialog.close();
  });
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details.question")) details.open = true;
});

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll("table.overview").forEach(makeOverview);
  for (const scroll of document.querySelectorAll(".scroll")) scroll.tabIndex = 0;
  for (const link of document.querySelectorAll("figure.drawn a.image-reference")) link.addEventListener("click", openLarge);
  drawWhenSeen(document.querySelectorAll("figure.chart"));
});
