// The controls, the numbers under the pointer, the keyboard and the downloads.
"use strict";

const find = (id) => document.getElementById(id);

const { units, factors } = facts;
const layers = [
  { name: "flow", kind: "flow", title: "flow in colours", scale: "speed", unit: units.speed, factor: factors.speed },
  { name: "speed", kind: "value", title: "speed", scale: "speed", unit: units.speed, factor: factors.speed },
  { name: "vorticity", kind: "value", title: "vorticity", scale: "vorticity", signed: true, unit: units.rate, factor: factors.rate, above: "the flow turns clockwise as seen" },
  { name: "divergence", kind: "value", title: "divergence", scale: "divergence", signed: true, unit: units.rate, factor: factors.rate, above: "the flow spreads" },
  { name: "confidence", kind: "value", title: "confidence", unit: "", factor: 1, needs: "confidence" },
  { name: "occlusion", kind: "marks", title: "occlusion", needs: "occlusion" },
  { name: "flags", kind: "marks", title: "flags", needs: "flags" },
  { name: "first", kind: "frame", title: "first frame", needs: "first" },
  { name: "second", kind: "frame", title: "second frame", needs: "second" },
  { name: "warped", kind: "frame", title: "warped back", needs: "second" },
  { name: "difference", kind: "value", title: "difference", scale: "difference", signed: true, unit: "", factor: 1, needs: "second" },
];
const state = { x: Math.floor(width / 2), y: Math.floor(height / 2), pair: null, line: null, layer: layers[0], blinked: false };
const pairs = new Map();
// The least and the largest distance between arrows, in pixels, and that on the screen to begin with.
const spacings = [Math.max(1, Math.max(width, height) / 250), Math.max(2, Math.max(width, height) / 4)];
const comfortable = 26;
let timer = 0;
let dragging = false;
let samples = null;

function sayBriefly(value) {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(3)));
  return value.toExponential(2);
}

// A value with as many digits as its steps allow.
function sayExactly(value, step) {
  if (Number.isNaN(value)) return "unknown";
  const digits = Math.max(0, Math.ceil(-Math.log10(step)) + 1);
  return digits > 9 ? value.toExponential(5) : value.toFixed(digits);
}

function say(value, layer) {
  return `${sayBriefly(value * layer.factor)}${layer.unit ? ` ${layer.unit}` : ""}`;
}

function readControls() {
  const number = (id) => Number(find(id).value);
  state.opacity = number("opacity") / 100;
  state.wheel = find("wheel").value;
  state.brightness = number("brightness");
  state.zoom = 2 ** (number("zoom") / 20);
  state.other = find("other").value;
  state.way = document.querySelector("input[name=way]:checked").value;
  state.rate = number("rate") / 10;
  state.curtain = number("curtain") / 100;
  state.arrows = find("arrows").checked;
  state.hatch = find("hatch").checked;
  state.least = number("least") / 100;
  state.layer = layers.find((layer) => layer.name === document.querySelector("input[name=layer]:checked").value);
  const automatic = state.layer.scale === "difference" ? findDifference() : facts.scales[state.layer.scale] || 1;
  state.full = state.layer.scale ? automatic * 10 ** (number("range") / 100) : 1;
  const [least, most] = spacings;
  state.spacing = Math.max(1, Math.round(least * (most / least) ** (number("spacing") / 100)));
  state.magnify = (state.spacing / (facts.scales.speed || 1)) * 10 ** (number("length") / 100);
}

// Set the arrows so far apart that they can be told from each other on this screen.
function spaceArrows() {
  const [least, most] = spacings;
  const wanted = (comfortable * width) / canvas.clientWidth;
  find("spacing").value = (100 * Math.log(wanted / least)) / Math.log(most / least);
}

function findDifference() {
  const [low, high] = facts.pairs[state.pair.number].range;
  return (high - low) / 4;
}

function sayControls() {
  const { layer } = state;
  find("opacity-said").value = `${Math.round(100 * state.opacity)} %`;
  find("range-said").value = layer.scale ? say(state.full, layer) : "";
  find("range").disabled = !layer.scale;
  find("brightness-said").value = find("brightness").value;
  find("zoom-said").value = `${state.zoom.toFixed(1)} times`;
  find("rate-said").value = state.rate.toFixed(1);
  find("curtain-said").value = `${Math.round(100 * state.curtain)} %`;
  find("spacing-said").value = `${state.spacing} px`;
  find("length-said").value = `${sayBriefly(state.magnify)} times the motion`;
  find("least-said").value = state.least.toFixed(2);
  find("rate").disabled = state.way !== "blink";
  find("curtain").disabled = state.way !== "curtain";
  for (const id of ["spacing", "length"]) find(id).disabled = !state.arrows;
  find("opacity").disabled = !state.pair.first || layer.kind === "frame" || state.way !== "none";
  for (const box of find("layers").querySelectorAll("label")) box.classList.toggle("unused", state.way !== "none");
  const compared = { warped: "the second frame warped back", second: "the second frame" }[state.other];
  const whole = `${layer.title}${layer.above ? `, above 0 where ${layer.above}` : ""}`;
  const seen = state.way === "none" ? whole : `the first frame and ${compared}, by ${state.way}; no layer`;
  const text = `Shown: ${seen}${state.arrows ? `; an arrow that reaches the next one is ${say(state.spacing / state.magnify, layers[0])}` : ""}.`;
  if (find("shown").textContent !== text) find("shown").textContent = text;
}

function update() {
  if (!state.pair) return;
  readControls();
  sayControls();
  look(state);
  drawPicture(state);
  const ink = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  document.querySelector(".key").hidden = state.way !== "none" || state.layer.kind === "frame";
  const keyed = state.way === "none" ? state.layer : { kind: "frame" };
  find("key-said").textContent = drawKey(find("key"), keyed, state, ink);
  setTimer();
}

function setTimer() {
  const every = state.way === "blink" ? 1000 / state.rate : 0;
  if (timer && timer.every === every) return;
  if (timer) clearInterval(timer.id);
  timer = every && { every, id: setInterval(blink, every) };
}

function blink() {
  state.blinked = !state.blinked;
  drawPicture(state);
}

// The numbers at the pointer: title, text, unit.
function listNumbers() {
  const { pair, x, y } = state;
  const i = y * width + x;
  const [u, v] = [pair.u[i], pair.v[i]];
  const speed = (value) => sayExactly(value * factors.speed, pair.step * factors.speed);
  const rate = (value) => sayExactly(value * factors.rate, pair.step * factors.rate);
  const rows = [["x, y", `${x}, ${y}`, "px"]];
  if (units.length !== "px") {
    const [across, down] = [x, y].map((place) => sayExactly(place * factors.length, factors.length));
    rows.push(["x, y", `${across}, ${down}`, units.length]);
  }
  rows.push(
    ["u, to the right", speed(u), units.speed],
    ["v, down", speed(v), units.speed],
    ["speed", speed(Math.hypot(u, v)), units.speed],
    ["direction, clockwise from right", Number.isNaN(u) ? "unknown" : ((Math.atan2(v, u) * 180) / Math.PI).toFixed(1), "°"],
    ["vorticity", rate(take(pair, "vorticity")[i]), units.rate],
    ["divergence", rate(take(pair, "divergence")[i]), units.rate],
  );
  if (pair.confidence) rows.push(["confidence", sayExactly(pair.confidence[i], 0.1), ""]);
  if (pair.occlusion) rows.push(["occluded", pair.occlusion[i] ? "yes" : "no", ""]);
  if (pair.flags) rows.push(["flag", marks.flags.titles[pair.flags[i]], ""]);
  for (const [title, name] of [["first frame", "first"], ["second, warped back", "warped"]]) {
    if (!pair[name === "first" ? "first" : "second"]) continue;
    const values = take(pair, name).map((plane) => plane[i]);
    rows.push([title, values.map((value) => (Number.isNaN(value) ? "unknown" : Number(value.toPrecision(5)))).join(", "), ""]);
  }
  return rows;
}

function showNumbers(aloud) {
  const rows = listNumbers();
  const body = find("numbers").tBodies[0];
  body.replaceChildren(...rows.map(([title, text, unit]) => {
    const row = document.createElement("tr");
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = title;
    const cell = document.createElement("td");
    cell.textContent = text === "unknown" ? text : `${text}${unit ? ` ${unit}` : ""}`;
    row.append(head, cell);
    return row;
  }));
  if (aloud) find("spoken").textContent = rows.slice(0, 5).map((row) => row.join(" ")).join("; ");
}

function point(x, y, aloud = false) {
  state.x = Math.max(0, Math.min(width - 1, Math.round(x)));
  state.y = Math.max(0, Math.min(height - 1, Math.round(y)));
  look(state);
  drawPicture(state);
  showNumbers(aloud);
}

function setLine(line) {
  state.line = line;
  const has = line && Math.hypot(line[2] - line[0], line[3] - line[1]) >= 0.5;
  samples = has ? sampleLine(state.pair, line) : null;
  find("plot").hidden = !samples;
  find("save-profile").disabled = !samples;
  find("clear").disabled = !line;
  if (samples) {
    plotProfile(find("plot"), samples, find("quantity").value);
    const ends = line.map((value) => value.toFixed(1));
    find("profile-said").textContent = `From (${ends[0]}, ${ends[1]}) to (${ends[2]}, ${ends[3]}) px.`;
  } else {
    const other = line ? "Press Enter at the other end." : "Drag over the picture, or press Enter at both ends.";
    find("profile-said").textContent = other;
  }
  drawPicture(state);
}

function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

// What is seen, with its key below.
function savePicture() {
  drawPicture(state, false);
  const key = find("key");
  const size = 13 * (window.devicePixelRatio || 1);
  const text = [find("about").textContent, find("shown").textContent].filter(Boolean).join(". ");
  const under = 2.5 * size + (key.hidden ? 0 : key.height);
  const sheet = document.createElement("canvas");
  [sheet.width, sheet.height] = [canvas.width, canvas.height + under];
  const brush = sheet.getContext("2d");
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ground");
  brush.fillRect(0, 0, sheet.width, sheet.height);
  brush.drawImage(canvas, 0, 0);
  brush.font = `${size}px system-ui, sans-serif`;
  brush.fillStyle = getComputedStyle(document.documentElement).getPropertyValue("--ink");
  brush.fillText(text, 0.5 * size, canvas.height + 1.3 * size, canvas.width - size);
  if (!key.hidden) brush.drawImage(key, 0.5 * size, canvas.height + 2 * size);
  drawPicture(state);
  sheet.toBlob((blob) => download(blob, "flow.png"), "image/png");
}

function tick(id) {
  find(id).checked = !find(id).checked;
}

function choose(way) {
  const chosen = state.way === way ? "none" : way;
  document.querySelector(`input[name=way][value=${chosen}]`).checked = true;
}

function pressKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  const far = event.shiftKey ? 10 : 1;
  const moves = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] };
  const { line, x, y } = state;
  if (event.key in moves) point(x + moves[event.key][0], y + moves[event.key][1], true);
  else if (event.key === "Enter") setLine(line && line.open ? [line[0], line[1], x, y] : Object.assign([x, y, x, y], { open: true }));
  else if (event.key === "Escape") setLine(null);
  else if (event.key === "+" || event.key === "=") find("zoom").stepUp(5), update();
  else if (event.key === "-") find("zoom").stepDown(5), update();
  else if (event.key === "a") tick("arrows"), update();
  else if (event.key === "b" && state.pair.second && state.pair.first) choose("blink"), update();
  else if (event.key === "c" && state.pair.second && state.pair.first) choose("curtain"), update();
  else return;
  event.preventDefault();
}

function listenToPicture() {
  const draws = (event) => event.pointerType !== "touch" || find("draw").getAttribute("aria-pressed") === "true";
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const [x, y] = toFrame(event);
    dragging = draws(event) && [x, y];
    if (dragging) canvas.setPointerCapture(event.pointerId);
    point(x, y);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = toFrame(event);
    if (dragging && Math.hypot(x - dragging[0], y - dragging[1]) * view.scale > 4) setLine([...dragging, x, y]);
    point(x, y);
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (dragging = false));
  canvas.addEventListener("keydown", pressKey);
}

function listen() {
  for (const control of document.querySelectorAll(".controls input, .controls select")) control.addEventListener("input", update);
  find("quantity").addEventListener("input", () => setLine(state.line));
  find("clear").addEventListener("click", () => setLine(null));
  find("draw").addEventListener("click", () => {
    const on = find("draw").getAttribute("aria-pressed") !== "true";
    find("draw").setAttribute("aria-pressed", on);
    canvas.style.touchAction = on ? "none" : "";
  });
  find("save-picture").addEventListener("click", savePicture);
  find("save-profile").addEventListener("click", () => {
    download(new Blob([writeProfile(samples)], { type: "text/csv" }), "profile.csv");
  });
  find("pair").addEventListener("input", () => openPair(Number(find("pair").value)).catch(complain));
  listenToPicture();
  new ResizeObserver(() => {
    layOut(state);
    update();
    setLine(state.line);
  }).observe(find("stage"));
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}

// Offer what the pair has, and nothing else.
function offer(pair) {
  const has = (layer) => !layer.needs || pair[layer.needs];
  const now = has(state.layer) ? state.layer.name : "flow";
  find("layers").querySelectorAll("label").forEach((box) => box.remove());
  for (const layer of layers.filter(has)) {
    const box = document.createElement("label");
    const radio = document.createElement("input");
    Object.assign(radio, { type: "radio", name: "layer", value: layer.name, checked: layer.name === now });
    radio.addEventListener("input", update);
    box.append(radio, ` ${layer.title}`);
    find("layers").append(box);
  }
  find("comparing").hidden = !(pair.first && pair.second);
  find("trust").hidden = !(pair.occlusion || pair.confidence);
  find("hatch-label").hidden = !pair.occlusion;
  find("least-group").hidden = !pair.confidence;
  const chosen = find("quantity").value || "speed";
  const options = Object.entries(quantities).filter(([name]) => name !== "confidence" || pair.confidence);
  find("quantity").replaceChildren(...options.map(([name, { title }]) => new Option(title, name, false, name === chosen)));
}

// Show a pair of a film. The last few stay unpacked.
async function openPair(number) {
  find("pair").value = number;
  find("pair-said").value = facts.pairs[number].label;
  if (!pairs.has(number)) pairs.set(number, unpackPair(number));
  if (pairs.size > 4) pairs.delete(pairs.keys().next().value);
  const pair = await pairs.get(number);
  if (Number(find("pair").value) !== number) return; // another was asked for meanwhile
  find("note").textContent = facts.pairs[number].note;
  const isFirst = !state.pair;
  state.pair = pair;
  offer(pair);
  layOut(state);
  if (isFirst) spaceArrows();
  update();
  showNumbers();
  setLine(state.line);
  document.body.dataset.shown = number;
}

function complain(error) {
  find("fault").textContent = `This page cannot be shown: ${error.message}`;
  find("fault").hidden = false;
}

function start() {
  find("about").textContent = facts.about;
  find("chooser").hidden = facts.pairs.length === 1 && !facts.pairs[0].note;
  find("pair").hidden = facts.pairs.length === 1;
  find("pair").max = facts.pairs.length - 1;
  state.zoom = 1;
  return openPair(0).then(listen);
}

start().catch(complain);
