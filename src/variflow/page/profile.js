// The profile: values along a line, a plot of them, and the table that is downloaded.
"use strict";

// The quantities that a profile has, in the order of the table. Each makes a value of those of a place and the line.
const quantities = {
  u: { title: "u, to the right", unit: facts.units.speed, factor: facts.factors.speed },
  v: { title: "v, down", unit: facts.units.speed, factor: facts.factors.speed },
  speed: { title: "speed", unit: facts.units.speed, factor: facts.factors.speed },
  along: { title: "motion along the line", unit: facts.units.speed, factor: facts.factors.speed },
  across: { title: "motion across the line, to its right", unit: facts.units.speed, factor: facts.factors.speed },
  vorticity: { title: "vorticity, clockwise as seen", unit: facts.units.rate, factor: facts.factors.rate },
  divergence: { title: "divergence", unit: facts.units.rate, factor: facts.factors.rate },
  confidence: { title: "confidence", unit: "", factor: 1 },
};

// The places of a line, about a pixel apart, and all quantities there, in units; NaN where unknown.
function sampleLine(pair, line) {
  const [x0, y0, x1, y1] = line;
  const long = Math.hypot(x1 - x0, y1 - y0);
  const count = Math.max(2, Math.round(long) + 1);
  const [across, down] = long ? [(x1 - x0) / long, (y1 - y0) / long] : [1, 0];
  return Array.from({ length: count }, (_, i) => {
    const share = i / (count - 1);
    const [x, y] = [x0 + share * (x1 - x0), y0 + share * (y1 - y0)];
    const [u, v] = [lookUp(pair.u, x, y), lookUp(pair.v, x, y)];
    const values = {
      u, v, speed: Math.hypot(u, v), along: u * across + v * down, across: v * across - u * down,
      vorticity: lookUp(take(pair, "vorticity"), x, y),
      divergence: lookUp(take(pair, "divergence"), x, y),
    };
    if (pair.confidence) values.confidence = lookUp(pair.confidence, x, y);
    for (const name of Object.keys(values)) values[name] *= quantities[name].factor;
    const length = facts.factors.length;
    return { x: x * length, y: y * length, distance: share * long * length, ...values };
  });
}

function writeProfile(samples) {
  const names = Object.keys(samples[0]);
  const heading = names.map((name) => {
    const unit = name in quantities ? quantities[name].unit : facts.units.length;
    return unit ? `${name} [${unit}]` : name;
  });
  const rows = samples.map((sample) => names.map((name) => (Number.isNaN(sample[name]) ? "" : sample[name])));
  return [heading, ...rows].map((row) => row.join(",")).join("\n") + "\n";
}

// About so many round numbers from low to high.
function chooseTicks(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((candidate) => candidate >= raw) || 10 * power;
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) ticks.push(i * step);
  return ticks;
}

function findRange(values) {
  const known = values.filter((value) => !Number.isNaN(value));
  const [low, high] = known.length ? [Math.min(...known), Math.max(...known)] : [0, 1];
  const margin = (high - low || Math.abs(high) || 1) * 0.05;
  return [low - margin, high + margin];
}

// Plot one quantity against the distance; gaps where it is unknown.
function plotProfile(plot, samples, name) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = [plot.clientWidth, plot.clientHeight];
  [plot.width, plot.height] = [wide * ratio, high * ratio];
  const brush = plot.getContext("2d");
  brush.scale(ratio, ratio);
  const style = getComputedStyle(document.documentElement);
  const [ink, quiet, rule, mark] = ["--ink", "--quiet", "--line", "--mark"].map((key) => style.getPropertyValue(key));
  const { title, unit } = quantities[name];
  const values = samples.map((sample) => sample[name]);
  const [low, top] = findRange(values);
  const far = samples[samples.length - 1].distance || 1;
  const box = { left: 64, right: wide - 12, top: 22, bottom: high - 36 };
  const toX = (distance) => box.left + (distance / far) * (box.right - box.left);
  const toY = (value) => box.bottom - ((value - low) / (top - low)) * (box.bottom - box.top);
  brush.font = "12px system-ui, sans-serif";
  brush.fillStyle = quiet;
  brush.strokeStyle = rule;
  brush.textAlign = "right";
  for (const tick of chooseTicks(low, top, 5)) {
    brush.fillText(sayBriefly(tick), box.left - 6, toY(tick) + 4);
    brush.fillRect(box.left, toY(tick), box.right - box.left, tick === 0 ? 1 : 0.35);
  }
  brush.textAlign = "center";
  for (const tick of chooseTicks(0, far, Math.max(2, wide / 110))) {
    brush.fillText(sayBriefly(tick), toX(tick), box.bottom + 15);
  }
  brush.fillText(`distance, ${facts.units.length}`, (box.left + box.right) / 2, high - 5);
  brush.textAlign = "left";
  brush.fillStyle = ink;
  brush.fillText(unit ? `${title}, ${unit}` : title, box.left, 13);
  brush.strokeRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  brush.strokeStyle = mark;
  brush.lineWidth = 2;
  brush.beginPath();
  values.forEach((value, i) => {
    if (Number.isNaN(value)) return;
    const move = i === 0 || Number.isNaN(values[i - 1]) ? "moveTo" : "lineTo";
    brush[move](toX(samples[i].distance), toY(value));
  });
  brush.stroke();
}
