// The numbers of the page: unpacked from the text in the file, and what follows from them.
"use strict";

const facts = JSON.parse(document.getElementById("facts").textContent);
const width = facts.width;
const height = facts.height;

async function inflate(id) {
  const packed = Uint8Array.from(atob(document.getElementById(id).textContent), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// The codes of a plane. Python stored the high bytes before the low ones; of differences to the pixel on the left, or
// also to those above, folded so that small ones of both signs are small.
async function unpackCodes(plane) {
  const bytes = await inflate(plane.id);
  const [rows, columns] = plane.shape;
  const size = rows * columns;
  const codes = plane.bits === 16 ? new Uint16Array(size) : new Uint8Array(size);
  for (let i = 0; i < size; i++) {
    codes[i] = plane.bits === 16 ? (bytes[i] << 8) | bytes[size + i] : bytes[i];
  }
  if (plane.differences === "none") return codes;
  for (let i = 0; i < size; i++) codes[i] = (codes[i] >>> 1) ^ -(codes[i] & 1);
  for (let y = 0; y < rows; y++) {
    for (let i = y * columns + 1; i < (y + 1) * columns; i++) codes[i] += codes[i - 1];
  }
  if (plane.differences === "both") {
    for (let i = columns; i < size; i++) codes[i] += codes[i - columns];
  }
  return codes;
}

// The values of a plane, NaN where unknown.
async function unpackValues(plane) {
  const codes = await unpackCodes(plane);
  const unknown = plane.bits === 16 ? 65535 : 255;
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) {
    values[i] = plane.unknown && codes[i] === unknown ? NaN : plane.low + codes[i] * plane.step;
  }
  return values;
}

// A frame is a list of one or three planes. Of three, red and blue were stored as what they differ by from green.
async function unpackFrame(planes) {
  if (planes.length === 1) return [await unpackValues(planes[0])];
  const [green, red, blue] = await Promise.all(planes.map(unpackCodes));
  if (red.length < green.length) return spreadColors(green, red, blue);
  for (let i = 0; i < green.length; i++) {
    red[i] += green[i];
    blue[i] += green[i];
  }
  return [red, green, blue];
}

// The colours of a large frame, of which two were stored at half the size, around 128.
function spreadColors(mean, halfRed, halfBlue) {
  const colors = [0, 1, 2].map(() => new Uint8ClampedArray(mean.length));
  const columns = Math.ceil(width / 2);
  for (let i = 0; i < mean.length; i++) {
    const at = (Math.floor(i / width) >> 1) * columns + ((i % width) >> 1);
    const [red, blue] = [2 * (halfRed[at] - 128), 2 * (halfBlue[at] - 128)];
    const green = mean[i] - (red + blue) / 4;
    colors[0][i] = green + red;
    colors[1][i] = green;
    colors[2][i] = green + blue;
  }
  return colors;
}

async function unpackPair(number) {
  const stored = facts.pairs[number].planes;
  const pair = { number };
  [pair.u, pair.v] = await Promise.all([unpackValues(stored.u), unpackValues(stored.v)]);
  if (stored.first) pair.first = await unpackFrame(stored.first);
  if (stored.second) pair.second = await unpackFrame(stored.second);
  if (stored.confidence) pair.confidence = await unpackValues(stored.confidence);
  if (stored.occlusion) pair.occlusion = await unpackCodes(stored.occlusion);
  if (stored.flags) pair.flags = await unpackCodes(stored.flags);
  pair.step = Math.max(stored.u.step, stored.v.step);
  pair.made = {};
  return pair;
}

// The planes that follow from a pair are made when they are first wanted.
function take(pair, name) {
  if (pair[name] !== undefined) return pair[name];
  if (!(name in pair.made)) pair.made[name] = makers[name](pair);
  return pair.made[name];
}

const makers = {
  speed: (pair) => pair.u.map((u, i) => Math.hypot(u, pair.v[i])),
  vorticity: (pair) => subtract(differentiate(pair.v, 1), differentiate(pair.u, width)),
  divergence: (pair) => add(differentiate(pair.u, 1), differentiate(pair.v, width)),
  warped: (pair) => (pair.second ? pair.second.map((plane) => warpBack(plane, pair)) : undefined),
  difference: (pair) => subtract(mixGray(take(pair, "warped")), mixGray(pair.first)),
};

function subtract(first, second) {
  return first.map((value, i) => value - second[i]);
}

function add(first, second) {
  return first.map((value, i) => value + second[i]);
}

function mixGray(planes) {
  if (planes.length === 1) return planes[0];
  return Float32Array.from(planes[0], (red, i) => 0.299 * red + 0.587 * planes[1][i] + 0.114 * planes[2][i]);
}

// The mean of the differences to both neighbours along an axis, of those that are known: as variflow.flowops does.
function differentiate(plane, stride) {
  const slope = new Float32Array(plane.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      const place = stride === 1 ? x : y;
      const last = (stride === 1 ? width : height) - 1;
      const after = place < last ? plane[i + stride] - plane[i] : NaN;
      const before = place > 0 ? plane[i] - plane[i - stride] : NaN;
      slope[i] = Number.isNaN(after) ? before : Number.isNaN(before) ? after : (after + before) / 2;
    }
  }
  return slope;
}

// A plane of the second frame looked up along the flow, which brings it onto the first; NaN where the flow leaves it.
function warpBack(plane, pair) {
  const warped = new Float32Array(plane.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const i = y * width + x;
      warped[i] = lookUp(plane, x + pair.u[i], y + pair.v[i]);
    }
  }
  return warped;
}

// The value of a plane between its pixels, linear in x and y; NaN outside, and beside what is unknown.
function lookUp(plane, x, y) {
  if (!(x >= 0 && y >= 0 && x <= width - 1 && y <= height - 1)) return NaN;
  const left = Math.min(Math.floor(x), Math.max(width - 2, 0));
  const top = Math.min(Math.floor(y), Math.max(height - 2, 0));
  const across = x - left;
  const down = y - top;
  const at = top * width + left;
  let sum = 0;
  if ((1 - across) * (1 - down) > 0) sum += (1 - across) * (1 - down) * plane[at];
  if (across * (1 - down) > 0) sum += across * (1 - down) * plane[at + 1];
  if ((1 - across) * down > 0) sum += (1 - across) * down * plane[at + width];
  if (across * down > 0) sum += across * down * plane[at + width + 1];
  return sum;
}

// The magnitude below which a share of the known values of a plane are, from at most some 20000 of them.
function findQuantile(plane, share) {
  const stride = Math.max(1, Math.floor(plane.length / 20000));
  const magnitudes = [];
  for (let i = 0; i < plane.length; i += stride) {
    if (!Number.isNaN(plane[i])) magnitudes.push(Math.abs(plane[i]));
  }
  magnitudes.sort((first, second) => first - second);
  return magnitudes.length ? magnitudes[Math.floor(share * (magnitudes.length - 1))] : 0;
}
