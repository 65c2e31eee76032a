// The picture: frames and layers, arrows, what compares, the line and the pointer.
"use strict";

const canvas = document.getElementById("picture");
const pen = canvas.getContext("2d");
const view = { left: 0, top: 0, wide: width, high: height, scale: 1 };

// Make room: the picture fills the width, and at most three quarters of the height of the window; half of it on a narrow
// screen, where the picture stays above the controls.
function layOut(state) {
  const ratio = window.devicePixelRatio || 1;
  const room = document.getElementById("stage").clientWidth;
  const share = window.matchMedia("(max-width: 760px)").matches ? 0.5 : 0.75;
  const highest = Math.max(160, share * window.innerHeight);
  const fit = Math.min(room / width, highest / height);
  const [wide, high] = [Math.max(1, Math.round(width * fit)), Math.max(1, Math.round(height * fit))];
  canvas.style.width = `${wide}px`;
  canvas.style.height = `${high}px`;
  [canvas.width, canvas.height] = [Math.round(wide * ratio), Math.round(high * ratio)];
  look(state);
}

// Set the part of the frame that is seen, so that the pointer is within it and stays where it was on the screen.
function look(state) {
  view.scale = (canvas.width / width) * state.zoom;
  const [wide, high] = [width / state.zoom, height / state.zoom];
  const [x, y] = [state.x + 0.5, state.y + 0.5];
  view.left = x - ((x - view.left) / view.wide) * wide;
  view.top = y - ((y - view.top) / view.high) * high;
  [view.wide, view.high] = [wide, high];
  view.left = Math.max(0, Math.min(width - wide, Math.min(x - 0.5, Math.max(x + 0.5 - wide, view.left))));
  view.top = Math.max(0, Math.min(height - high, Math.min(y - 0.5, Math.max(y + 0.5 - high, view.top))));
}

// Where a place of the frame is on the canvas; the centre of the first pixel is at (0, 0).
function toCanvas(x, y) {
  return [(x + 0.5 - view.left) * view.scale, (y + 0.5 - view.top) * view.scale];
}

// Where an event is in the frame, kept within it.
function toFrame(event) {
  const box = canvas.getBoundingClientRect();
  const x = ((event.clientX - box.left) / box.width) * view.wide + view.left - 0.5;
  const y = ((event.clientY - box.top) / box.height) * view.high + view.top - 0.5;
  return [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
}

// Pictures are kept, at full size, until what they show changes.
const kept = new Map();

function keepPicture(name, parts, colorAt) {
  const recipe = JSON.stringify(parts);
  const known = kept.get(name);
  if (known && known.recipe === recipe) return known.picture;
  const picture = known ? known.picture : document.createElement("canvas");
  [picture.width, picture.height] = [width, height];
  const brush = picture.getContext("2d");
  const pixels = brush.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const color = colorAt(i);
    if (color) setPixel(pixels.data, 4 * i, color);
  }
  brush.putImageData(pixels, 0, 0);
  kept.set(name, { recipe, picture });
  return picture;
}

function pictureOfFrame(name, state) {
  const planes = take(state.pair, name);
  const [low, high] = facts.pairs[state.pair.number].range;
  const power = 2 ** (-state.brightness / 40);
  return keepPicture(name, [state.pair.number, state.brightness], (i) => {
    if (Number.isNaN(planes[0][i])) return [96, 96, 112];
    const color = planes.map((plane) => 255 * Math.max(0, Math.min(1, (plane[i] - low) / (high - low))) ** power);
    return color.length === 1 ? [color[0], color[0], color[0]] : color;
  });
}

function pictureOfLayer(layer, state) {
  if (layer.kind === "frame") return pictureOfFrame(layer.name, state);
  const { pair, full } = state;
  const trusted = pair.confidence;
  const parts = [pair.number, layer.name, full, state.wheel, state.least];
  const hidden = (i) => trusted && trusted[i] < state.least;
  if (layer.kind === "flow") {
    return keepPicture("layer", parts, (i) => {
      if (hidden(i)) return null;
      return Number.isNaN(pair.u[i]) ? unknownColor : colorOfFlow(pair.u[i] / full, pair.v[i] / full, state.wheel);
    });
  }
  const plane = take(pair, layer.name);
  return keepPicture("layer", parts, (i) => {
    if (hidden(i)) return null;
    if (layer.kind === "marks") return marks[layer.name].colors[plane[i]];
    return Number.isNaN(plane[i]) ? unknownColor : colorOfValue(layer, plane[i], full);
  });
}

function place(picture, onto) {
  onto.imageSmoothingEnabled = view.scale < 1;
  onto.drawImage(picture, view.left, view.top, view.wide, view.high, 0, 0, canvas.width, canvas.height);
}

// Draw all that is seen; without the pointer for a download.
function drawPicture(state, withPointer = true) {
  const layer = state.layer;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (state.way === "none") {
    const over = layer.kind !== "frame" && state.pair.first;
    if (over && (state.opacity < 1 || state.least > 0)) place(pictureOfFrame("first", state), pen);
    pen.globalAlpha = over ? state.opacity : 1;
    place(pictureOfLayer(layer, state), pen);
    pen.globalAlpha = 1;
  } else {
    compare(state);
  }
  if (state.hatch && state.pair.occlusion) drawHatch(state);
  if (state.arrows) drawArrows(state);
  if (state.line) drawLine(state.line);
  if (withPointer) drawPointer(state);
}

function compare(state) {
  const said = { warped: "second frame, warped back", second: "second frame" }[state.other];
  const showsOther = state.way === "blink" && state.blinked;
  place(pictureOfFrame(showsOther ? state.other : "first", state), pen);
  if (state.way === "blink") {
    label(showsOther ? said : "first frame", 0, "left");
    return;
  }
  const split = Math.round(state.curtain * canvas.width);
  pen.save();
  pen.beginPath();
  pen.rect(split, 0, canvas.width - split, canvas.height);
  pen.clip();
  place(pictureOfFrame(state.other, state), pen);
  pen.restore();
  pen.fillStyle = "#ffffff";
  pen.fillRect(split - 2, 0, 4, canvas.height);
  pen.fillStyle = "#000000";
  pen.fillRect(split - 1, 0, 2, canvas.height);
  label("first frame", 0, "left");
  label(said, canvas.width, "right");
}

function label(text, x, side) {
  const size = 13 * (window.devicePixelRatio || 1);
  pen.font = `${size}px system-ui, sans-serif`;
  const wide = pen.measureText(text).width + size;
  pen.fillStyle = "rgba(0, 0, 0, 0.65)";
  pen.fillRect(side === "left" ? x : x - wide, 0, wide, 1.7 * size);
  pen.fillStyle = "#ffffff";
  pen.textAlign = side;
  pen.fillText(text, x + (side === "left" ? 0.5 : -0.5) * size, 1.2 * size);
}

function drawHatch(state) {
  const occluded = state.pair.occlusion;
  const mask = keepPicture("hatch", [state.pair.number], (i) => (occluded[i] ? [0, 0, 0] : null));
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [canvas.width, canvas.height];
  const brush = sheet.getContext("2d");
  place(mask, brush);
  const gap = 8 * (window.devicePixelRatio || 1);
  const tile = document.createElement("canvas");
  tile.width = tile.height = gap;
  const stripe = tile.getContext("2d");
  for (const [ink, thick] of [["#ffffff", gap / 2.2], ["#000000", gap / 5]]) {
    stripe.strokeStyle = ink;
    stripe.lineWidth = thick;
    for (const shift of [-gap, 0, gap]) {
      stripe.beginPath();
      stripe.moveTo(shift - 1, gap + 1);
      stripe.lineTo(shift + gap + 1, -1);
      stripe.stroke();
    }
  }
  brush.globalCompositeOperation = "source-in";
  brush.fillStyle = brush.createPattern(tile, "repeat");
  brush.fillRect(0, 0, sheet.width, sheet.height);
  pen.drawImage(sheet, 0, 0);
}

// One arrow every so many pixels; white with a dark rim, so that it shows on any ground.
function drawArrows(state) {
  const { pair, spacing } = state;
  const ratio = window.devicePixelRatio || 1;
  const longer = state.magnify * view.scale;
  const found = [];
  for (let y = Math.floor(spacing / 2); y < height; y += spacing) {
    for (let x = Math.floor(spacing / 2); x < width; x += spacing) {
      const i = y * width + x;
      if (Number.isNaN(pair.u[i]) || (pair.confidence && pair.confidence[i] < state.least)) continue;
      const [left, top] = toCanvas(x, y);
      const reach = spacing * view.scale;
      if (left < -reach || top < -reach || left > canvas.width + reach || top > canvas.height + reach) continue;
      found.push([left, top, pair.u[i] * longer, pair.v[i] * longer]);
    }
  }
  const thick = ratio * Math.max(1.6, Math.min(3, (spacing * view.scale) / ratio / 12));
  pen.beginPath();
  for (const [x, y, u, v] of found) traceArrow(x, y, u, v, thick);
  pen.lineJoin = "round";
  pen.lineWidth = 2 * ratio;
  pen.strokeStyle = "#000000";
  pen.fillStyle = "#ffffff";
  pen.stroke();
  pen.fill();
}

// Add the outline of an arrow to the path. A short one is a head alone, so it shows where it points at any length; where
// nothing moves it is a dot.
function traceArrow(x, y, u, v, thickest) {
  const long = Math.hypot(u, v);
  if (long < 1) {
    pen.moveTo(x + 1, y);
    pen.arc(x, y, 1, 0, 7);
    return;
  }
  const head = Math.min(5 * thickest, long);
  const half = long > head ? thickest / 2 : 0;
  const outline = [[0, half], [long - head, half], [long - head, 0.4 * head], [long, 0]];
  const ends = [...outline, ...outline.map(([along, across]) => [along, -across]).reverse()];
  ends.forEach(([along, across], i) => {
    pen[i ? "lineTo" : "moveTo"](x + (along * u - across * v) / long, y + (along * v + across * u) / long);
  });
  pen.closePath();
}

function drawLine(line) {
  const ratio = window.devicePixelRatio || 1;
  const [from, to] = [toCanvas(line[0], line[1]), toCanvas(line[2], line[3])];
  for (const [ink, thick] of [["#000000", 5], ["#ffd400", 2.5]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = thick * ratio;
    pen.beginPath();
    pen.moveTo(...from);
    pen.lineTo(...to);
    pen.stroke();
  }
  [from, to].forEach((end, i) => {
    pen.fillStyle = i ? "#ffffff" : "#ffd400";
    pen.strokeStyle = "#000000";
    pen.lineWidth = 1.5 * ratio;
    pen.beginPath();
    pen.arc(...end, 4.5 * ratio, 0, 7);
    pen.fill();
    pen.stroke();
  });
}

function drawPointer(state) {
  const ratio = window.devicePixelRatio || 1;
  const [x, y] = toCanvas(state.x, state.y);
  const gap = Math.max(3 * ratio, 0.6 * view.scale);
  for (const [ink, thick] of [["#ffffff", 3], ["#000000", 1]]) {
    pen.strokeStyle = ink;
    pen.lineWidth = thick * ratio;
    pen.beginPath();
    for (const [across, down] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      pen.moveTo(x + across * gap, y + down * gap);
      pen.lineTo(x + across * (gap + 9 * ratio), y + down * (gap + 9 * ratio));
    }
    pen.stroke();
  }
}
