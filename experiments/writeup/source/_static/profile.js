"use strict";
// The moving picture of the front page: the gradient's profile over depth, by the recursions of jaxnotes.meanfield.

const ACTIVATIONS = {
  sigmoid: [(x) => 1 / (1 + Math.exp(-x)), (x) => { const s = 1 / (1 + Math.exp(-Math.abs(x))); return s * (1 - s); }],
  tanh: [Math.tanh, (x) => 1 - Math.tanh(x) ** 2],
  relu: [(x) => Math.max(x, 0), (x) => (x > 0 ? 1 : 0)],
  leaky_relu: [(x) => (x > 0 ? x : 0.01 * x), (x) => (x > 0 ? 1 : 0.01)],
};
// The midpoint rule over a Gaussian: exact to rounding for smooth functions, and for kinks at 0, which no node meets.
const NODES = Array.from({ length: 800 }, (_, i) => (i - 399.5) / 50);
const WEIGHTS = NODES.map((z) => Math.exp(-z * z / 2) / (50 * Math.sqrt(2 * Math.PI)));

function meanSquare(f, q) {
  const scale = Math.sqrt(q);
  let sum = 0;
  for (let i = 0; i < NODES.length; i++) sum += WEIGHTS[i] * f(scale * NODES[i]) ** 2;
  return sum;
}

// [depth + 1] natural logs of the squared gradient's gain across the first layers; a null branchScale is a plain network.
function logGradientGain(activation, q, weightVariance, depth, branchScale) {
  const [value, slope] = ACTIVATIONS[activation];
  const logs = [0];
  let chi, next;
  for (let layer = 0; layer < depth; layer++) {
    chi = weightVariance * meanSquare(slope, q);
    next = weightVariance * meanSquare(value, q);
    logs.push(logs[layer] + (branchScale === null ? Math.log(chi) : Math.log1p(branchScale ** 2 * chi)));
    q = branchScale === null ? next : q + branchScale ** 2 * next;
  }
  return logs;
}

function branchScale(shortcut, depth) {
  return { none: null, plain: 1, scaled: 1 / Math.sqrt(depth) }[shortcut];
}

// log10 of the gradient's norm at each layer, over that of the last layer.
function profile({ activation, weightVariance, depth, shortcut }) {
  const logs = logGradientGain(activation, 1, weightVariance, depth, branchScale(shortcut, depth));
  return logs.map((log) => (logs[depth] - log) / (2 * Math.LN10));
}

const FRAME = { left: 52, top: 16, bottom: 268 };
const RANGES = [2, 5, 10, 20, 50, 100, 200];

function element(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function superscript(exponent) {
  const signs = { "-": "⁻", ".": "·" };
  return `10${[...exponent].map((c) => signs[c] ?? "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]).join("")}`;
}

function drawProfile(svg, chosen, texts) {
  const width = Math.max(300, Math.min(640, svg.clientWidth || 640)); // so that its words keep their size on a phone
  const right = width - 10;
  svg.setAttribute("viewBox", `0 0 ${width} 296`);
  const curve = profile(chosen);
  const largest = Math.max(...curve.map(Math.abs));
  const range = RANGES.find((r) => r >= largest) ?? 200;
  const x = (layer) => right - ((right - FRAME.left) * layer) / chosen.depth; // as the gradient travels
  const y = (log) => (FRAME.top + FRAME.bottom) / 2 - ((FRAME.bottom - FRAME.top) / 2) * (log / range);
  svg.replaceChildren(element("title", {}, texts.title));
  for (const log of [-range, -range / 2, 0, range / 2, range]) {
    svg.append(element("line", { class: log ? "grid" : "zero", x1: FRAME.left, x2: right, y1: y(log), y2: y(log) }));
    const label = Number.isInteger(log) ? superscript(String(log)) : "";
    svg.append(element("text", { x: FRAME.left - 6, y: y(log) + 4, "text-anchor": "end" }, log ? label : "1"));
  }
  svg.append(element("text", { x: FRAME.left, y: 288 }, `${texts.last} ${chosen.depth}`));
  svg.append(element("text", { x: right, y: 288, "text-anchor": "end" }, texts.first));
  const points = curve.map((log, layer) => `${x(layer).toFixed(1)},${y(Math.max(-range, Math.min(range, log))).toFixed(1)}`);
  svg.append(element("polyline", { points: points.join(" ") }));
  return curve;
}

function said(curve, depth, texts) {
  const log = curve[0];
  const kind = log < -1 ? "vanishes" : log > 1 ? "explodes" : "arrives";
  const perLayer = (10 ** (log / depth)).toPrecision(3);
  const ratio = Math.abs(log) < 2 ? (10 ** log).toPrecision(2) : superscript(log.toFixed(0));
  return [kind, texts[kind].replace("{layer}", perLayer).replace("{ratio}", ratio).replace("{depth}", depth)];
}

function makeProfile(figure) {
  const texts = JSON.parse(figure.querySelector(".profile-texts").textContent);
  const form = figure.querySelector("form");
  const [svg, output] = [figure.querySelector("svg"), figure.querySelector("output")];
  svg.removeAttribute("hidden"); // an SVG has no such property
  let sweep = null;
  function update() {
    const weightVariance = Number(form.elements.weights.value);
    const chosen = {
      weightVariance, depth: Number(form.elements.depth.value),
      activation: form.elements.activation.value, shortcut: form.elements.shortcut.value,
    };
    form.querySelector("[data-shows=weights]").textContent = weightVariance.toFixed(2);
    form.querySelector("[data-shows=depth]").textContent = chosen.depth;
    const [kind, text] = said(drawProfile(svg, chosen, texts), chosen.depth, texts);
    output.textContent = text;
    output.className = kind;
  }
  function stop() {
    cancelAnimationFrame(sweep);
    sweep = null;
    play.textContent = texts.play;
  }
  const play = form.querySelector("button");
  play.addEventListener("click", () => {
    if (sweep) return stop();
    play.textContent = texts.stop;
    const { min, max } = form.elements.weights;
    const began = performance.now();
    const step = (now) => {
      const share = Math.min((now - began) / 6000, 1);
      form.elements.weights.value = Number(min) + share * (max - min);
      update();
      if (share < 1) sweep = requestAnimationFrame(step); else stop();
    };
    sweep = requestAnimationFrame(step);
  });
  form.addEventListener("input", () => { if (sweep) stop(); update(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  update();
  figure.dataset.live = "true";
}

document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("figure.profile").forEach(makeProfile));
