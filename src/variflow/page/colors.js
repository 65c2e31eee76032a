// Values as colours, and the key to them.
"use strict";

const unknownColor = [0, 0, 0];

// Colours of ColorBrewer that colour-blind readers can tell apart: YlGnBu, and PuOr around white.
const risingColors = unfold("081d58 253494 225ea8 1d91c0 41b6c4 7fcdbb c7e9b4 edf8b1 ffffd9");
const signedColors = unfold("2d004b 542788 8073ac b2abd2 d8daeb f7f7f7 fee0b6 fdb863 e08214 b35806 7f3b08");

// What the codes of a plane of marks stand for, and their colours.
const marks = {
  occlusion: { titles: ["shown by both frames", "occluded"], colors: unfold("deebf7 b35806") },
  flags: { titles: ["measured", "masked", "replaced", "rejected"], colors: unfold("deebf7 000000 e08214 542788") },
};

// The corners of the two wheels, clockwise from the right, and how many steps are between each and the next. The safe
// one was fitted by benchmarks/fit_wheel.py: with fewer kinds of cones, too, directions 60 degrees apart differ.
const wheels = {
  middlebury: { corners: unfold("ff0000 ffff00 00ff00 00ffff 0000ff ff00ff"), steps: [15, 6, 4, 11, 13, 6] },
  safe: { corners: unfold("f7ad7a 514400 2d378d 5bbeff"), steps: [14, 14, 14, 14] },
};

function unfold(text) {
  return text.split(" ").map((word) => [0, 2, 4].map((at) => parseInt(word.slice(at, at + 2), 16)));
}

function blend(first, second, share) {
  return first.map((value, channel) => value + share * (second[channel] - value));
}

// So many colours from the first of a map to its last.
function spread(map, count) {
  return Array.from({ length: count }, (_, i) => {
    const at = (i / (count - 1)) * (map.length - 1);
    const before = Math.min(Math.floor(at), map.length - 2);
    return blend(map[before], map[before + 1], at - before);
  });
}

const rising = spread(risingColors, 256);
const signed = spread(signedColors, 256);
const hues = {};
for (const [name, wheel] of Object.entries(wheels)) {
  hues[name] = wheel.corners.flatMap((corner, i) => {
    const next = wheel.corners[(i + 1) % wheel.corners.length];
    return Array.from({ length: wheel.steps[i] }, (_, step) => blend(corner, next, step / wheel.steps[i]));
  });
}

// The colour of a displacement in shares of full colour: white at rest, darkened beyond full colour.
function colorOfFlow(u, v, wheel) {
  const ring = hues[wheel];
  const at = ((Math.atan2(v, u) / (2 * Math.PI) + 1) % 1) * ring.length;
  const before = Math.floor(at) % ring.length;
  const share = at - Math.floor(at);
  const next = ring[(before + 1) % ring.length];
  const speed = Math.hypot(u, v);
  const color = [0, 0, 0];
  for (let channel = 0; channel < 3; channel++) {
    const hue = ring[before][channel] + share * (next[channel] - ring[before][channel]);
    color[channel] = speed <= 1 ? 255 - speed * (255 - hue) : 0.75 * hue;
  }
  return color;
}

// The colour of a value of a layer, given the value at full colour.
function colorOfValue(layer, value, full) {
  const share = layer.signed ? (value / full + 1) / 2 : value / full;
  return (layer.signed ? signed : rising)[Math.max(0, Math.min(255, Math.round(255 * share)))];
}

// Draw the key of a layer; return what it says in words.
function drawKey(canvas, layer, state, ink) {
  const ratio = window.devicePixelRatio || 1;
  const [wide, high] = layer.kind === "flow" ? [150, 150] : [260, 44];
  canvas.width = wide * ratio;
  canvas.height = high * ratio;
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${high}px`;
  const pen = canvas.getContext("2d");
  canvas.hidden = !layer.kind || layer.kind === "frame";
  if (canvas.hidden) return "";
  if (layer.kind === "flow") {
    drawWheel(pen, canvas.width, state.wheel);
    return `Colour is the direction of motion. Rim: ${say(state.full, layer)}; what is faster is darker, no motion is white, unknown is black.`;
  }
  pen.scale(ratio, ratio);
  pen.font = "13px system-ui, sans-serif";
  pen.fillStyle = ink;
  if (layer.kind === "marks") return drawMarks(pen, marks[layer.name], ink);
  for (let x = 0; x < 240; x++) {
    const value = layer.signed ? (x / 239) * 2 - 1 : x / 239;
    pen.fillStyle = paint(colorOfValue(layer, value, 1));
    pen.fillRect(10 + x, 2, 1.5, 18);
  }
  pen.fillStyle = ink;
  const ends = layer.signed ? [-state.full, 0, state.full] : [0, state.full / 2, state.full];
  ["left", "center", "right"].forEach((side, i) => {
    pen.textAlign = side;
    pen.fillText(sayBriefly(ends[i] * layer.factor), [10, 130, 250][i], 38);
  });
  return `${layer.title}${layer.unit ? `, ${layer.unit}` : ""}. The colours at the ends stand for what is beyond, too. Unknown is black.`;
}

// Draw a square of each colour with what it stands for, two in a row.
function drawMarks(pen, { titles, colors }, ink) {
  const inRow = Math.ceil(titles.length / 2);
  pen.textAlign = "left";
  titles.forEach((title, i) => {
    const [x, y] = [10 + 125 * (i % inRow), 2 + 22 * Math.floor(i / inRow)];
    pen.fillStyle = paint(colors[i]);
    pen.fillRect(x, y, 16, 16);
    pen.strokeStyle = ink;
    pen.strokeRect(x, y, 16, 16);
    pen.fillStyle = ink;
    pen.fillText(title, x + 24, y + 13);
  });
  return titles.length > 2 ? "What became of each vector." : "Whether the second frame shows the point.";
}

function drawWheel(pen, size, wheel) {
  const picture = pen.createImageData(size, size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const u = (2 * x) / (size - 1) - 1;
      const v = (2 * y) / (size - 1) - 1;
      if (Math.hypot(u, v) <= 1) setPixel(picture.data, 4 * (y * size + x), colorOfFlow(u, v, wheel));
    }
  }
  pen.putImageData(picture, 0, 0);
}

function setPixel(bytes, at, color) {
  bytes[at] = color[0];
  bytes[at + 1] = color[1];
  bytes[at + 2] = color[2];
  bytes[at + 3] = 255;
}

function paint(color) {
  return `rgb(${color.map(Math.round).join(",")})`;
}
