"use strict";
// One scan in three planes, by NiiVue. The volumes are in msnmoLayers, from the scan's own script.
// NiiVue draws the scan and its maps; lesions, letters and the legend are drawn over it, so that
// they are sharp at every size and stay legible on bright tissue.
// The radiological convention is that of msnmo's pictures: the patient's left is on the right, and
// the nose at the left of a sagittal slice.

const state = document.getElementById("viewer-state");
const place = document.getElementById("viewer-place");
const canvas = document.getElementById("viewer");
const boxes = [...document.querySelectorAll("input[data-layer]")];
const sliders = [...document.querySelectorAll("input[data-opacity]")];
const axes = [...document.querySelectorAll("input[data-axis]")];
const ways = [...document.querySelectorAll("input[name=drawn]")];
const contrasts = [...document.querySelectorAll("button[data-low]")];
const marks = document.getElementById("viewer-marks");
const legend = document.getElementById("viewer-legend");

const OPTIONS = {
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  isOrientationTextVisible: false,
  multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
  multiplanarPadPixels: 4,
  crosshairColor: [0.8, 0.47, 0.65, 0.8],
  crosshairWidth: 0.5,
  crosshairWidthUnit: "mm",
  crosshairGap: 3,
  fontColor: [1, 1, 1, 1],
  backColor: [0, 0, 0, 1],
  dragAndDropEnabled: false,
  isColorbar: false,
  // keys of ours move the slices; NiiVue's would change the view without a word
  viewModeHotKey: "",
  clipPlaneHotKey: "",
  cycleClipPlaneHotKey: "",
  logLevel: "error",
  loadingText: "",
};
// screen directions in the axial slice; Page Up and Page Down go to the head and to the foot
const STEPS = {
  ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
  PageUp: [0, 0, 1], PageDown: [0, 0, -1],
};

// each plane: axis across (drawn from right to left), axis upwards, axis through; letters of the sides
const PLANES = {
  0: { across: 0, up: 1, through: 2, letters: ["R", "L", "A", "P"] },
  1: { across: 0, up: 2, through: 1, letters: ["R", "L", "S", "I"] },
  2: { across: 1, up: 2, through: 0, letters: ["A", "P", "S", "I"] },
};
const OUTCOMES = Object.fromEntries([...document.querySelectorAll("[data-outcome]")]
  .map(each => [each.dataset.outcome, each.style.backgroundColor]));
const FILLED = 0.6;  // of a layer's opacity
const DASHES = [6, 4];

function say(text) { state.textContent = text; }

function colourMap(layer) {
  const rgb = layer.colours.map(hex => [1, 3, 5].map(at => parseInt(hex.slice(at, at + 2), 16)));
  const first = Math.round(255 * layer.clear), last = rgb.length - 1;
  const map = {
    R: rgb.map(each => each[0]), G: rgb.map(each => each[1]), B: rgb.map(each => each[2]),
    A: rgb.map(() => 255),
    I: rgb.map((_, index) => Math.round(first + (255 - first) * index / last)),
  };
  if (first > 0)  // two clear entries: colours between entries are mixed
    for (const index of [first - 1, 0]) {
      for (const [key, channel] of [["R", 0], ["G", 1], ["B", 2]]) map[key].unshift(rgb[0][channel]);
      map.A.unshift(0);
      map.I.unshift(index);
    }
  return map;
}

function opacityOf(index) { return boxes[index].checked ? sliders[index].value / 100 : 0; }

// a layer is decoded when it is first shown
async function load(viewer, index) {
  const layer = msnmoLayers[index];
  if (!layer.data) return;
  const base64 = layer.data;
  layer.data = "";
  if (layer.kind === "mask") {
    layer.mask = (await niivue.NVImage.loadFromBase64({ base64, name: layer.name + ".nii.gz" })).img;
    return;
  }
  viewer.addColormap(layer.name, colourMap(layer));
  const volume = await niivue.NVImage.loadFromBase64({
    base64, name: layer.name + ".nii.gz", colormap: layer.name,
    opacity: opacityOf(index), cal_min: layer.low, cal_max: layer.high,
  });
  layer.id = volume.id;
  viewer.addVolume(volume);
}

async function show(viewer, index) {
  if (boxes[index].checked) await load(viewer, index);
  tellLegend();
  const at = viewer.volumes.findIndex(volume => volume.id === msnmoLayers[index].id);
  if (at >= 0) viewer.setOpacity(at, opacityOf(index));
  viewer.createOnLocationChange();
  viewer.drawScene();
}

function wayDrawn() { return (ways.find(each => each.checked) || { value: "contours" }).value; }

function shownMasks() {
  return [...msnmoLayers.entries()]
    .filter(([index, layer]) => layer.mask && boxes[index].checked)
    .map(([index, layer]) => ({ ...layer, opacity: opacityOf(index), dashes: dashesOf(layer) }));
}

// beside a truth, predictions are dashed: their shape tells them apart as well as their colour
function dashesOf(layer) { return layer.truth || !msnmoLayers.some(each => each.truth) ? [] : DASHES; }

// true lesions and the first prediction shown, if both are: what right and wrong are told by
function compared(masks) {
  const truth = masks.find(each => each.truth), found = masks.find(each => !each.truth);
  return truth && found ? { truth, found } : null;
}

function dims(viewer) { return viewer.volumes[0].hdr.dims.slice(1, 4); }

function voxelOf(viewer, frac) {
  return dims(viewer).map((side, axis) => Math.min(side - 1, Math.max(0, Math.floor(frac[axis] * side))));
}

// a mask's slice as it is seen: rows from the top, columns from the left
function cut(viewer, mask, plane) {
  const sides = dims(viewer), steps = [1, sides[0], sides[0] * sides[1]];
  const width = sides[plane.across], height = sides[plane.up], slice = new Uint8Array(width * height);
  const start = steps[plane.through] * voxelOf(viewer, viewer.scene.crosshairPos)[plane.through];
  for (let row = 0, at = 0; row < height; row++)
    for (let column = 0; column < width; column++, at++)
      slice[at] = mask[start + (width - 1 - column) * steps[plane.across] + (height - 1 - row) * steps[plane.up]] ? 1 : 0;
  return { slice, width, height };
}

// the closed lines along the voxels' edges around what is marked
function outlines({ slice, width, height }) {
  const next = new Map();
  const marked = (x, y) => x >= 0 && y >= 0 && x < width && y < height && slice[y * width + x];
  const add = (x, y, toX, toY) => {
    const key = y * (width + 1) + x;
    if (!next.has(key)) next.set(key, []);
    next.get(key).push([toX, toY]);
  };
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      if (!marked(x, y)) continue;
      if (!marked(x, y - 1)) add(x, y, x + 1, y);
      if (!marked(x + 1, y)) add(x + 1, y, x + 1, y + 1);
      if (!marked(x, y + 1)) add(x + 1, y + 1, x, y + 1);
      if (!marked(x - 1, y)) add(x, y + 1, x, y);
    }
  const lines = [];
  for (const [key, ends] of next)
    while (ends.length) {
      const line = [[key % (width + 1), Math.floor(key / (width + 1))]];
      for (let end = ends.pop(); end; end = (next.get(end[1] * (width + 1) + end[0]) || []).pop()) line.push(end);
      lines.push(line);
    }
  return lines;
}

function strokeMask(pen, cells, box, style) {
  const path = new Path2D();
  for (const line of outlines(cells))
    line.forEach(([x, y], index) => path[index ? "lineTo" : "moveTo"](
      box[0] + x * box[2] / cells.width, box[1] + y * box[3] / cells.height));
  pen.setLineDash(style.dashes.map(each => each * style.scale));
  pen.globalAlpha = style.opacity;
  pen.strokeStyle = style.colour;
  pen.lineWidth = style.width * style.scale;
  pen.stroke(path);
}

function fillMask(pen, { slice, width, height }, box, colour, opacity) {
  pen.globalAlpha = opacity;
  pen.fillStyle = colour;
  const path = new Path2D();
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++, at++)
      if (slice[at]) path.rect(box[0] + x * box[2] / width, box[1] + y * box[3] / height, box[2] / width, box[3] / height);
  pen.fill(path);
}

function outcomesOf(truth, found) {
  const told = { "true positive": (t, f) => t && f, "false positive": (t, f) => f && !t, "false negative": (t, f) => t && !f };
  return Object.entries(told).map(([name, holds]) => [
    name, { ...truth, slice: truth.slice.map((value, at) => holds(value, found.slice[at]) ? 1 : 0) },
  ]);
}

function drawLesions(viewer, pen, plane, box, scale) {
  const masks = shownMasks(), way = wayDrawn(), pair = way === "outcomes" ? compared(masks) : null;
  const seen = pair ? [pair.truth, pair.found] : masks;
  const cells = seen.map(layer => cut(viewer, layer.mask, plane));
  if (pair)
    for (const [name, region] of outcomesOf(...cells))
      fillMask(pen, region, box, OUTCOMES[name], FILLED * pair.found.opacity);
  else if (way !== "contours")
    seen.forEach((layer, index) => fillMask(pen, cells[index], box, layer.colours[0], FILLED * layer.opacity));
  // a dark rim first: the lines lie on tissue as bright as they are
  for (const [colour, width, faint] of [["#000", 3.5, 0.5], [null, 1.8, 1]])
    seen.forEach((layer, index) => strokeMask(pen, cells[index], box, {
      colour: colour || layer.colours[0], width, scale, dashes: layer.dashes, opacity: faint * layer.opacity,
    }));
  pen.globalAlpha = 1;
  pen.setLineDash([]);
}

function drawLetters(pen, plane, [left, top, width, height], scale) {
  const size = 15 * scale, near = 0.75 * size;
  pen.font = `bold ${size}px system-ui, sans-serif`;
  pen.textAlign = "center";
  pen.textBaseline = "middle";
  pen.lineJoin = "round";
  pen.lineWidth = 4 * scale;
  pen.strokeStyle = "#000";
  pen.fillStyle = "#fff";
  const places = [[left + near, top + height / 2], [left + width - near, top + height / 2], [left + width / 2, top + near], [left + width / 2, top + height - near]];
  plane.letters.forEach((letter, index) => {
    pen.strokeText(letter, ...places[index]);
    pen.fillText(letter, ...places[index]);
  });
}

function drawMarks(viewer, withScene = false) {
  marks.width = canvas.width;
  marks.height = canvas.height;
  const pen = marks.getContext("2d"), scale = canvas.width / (canvas.clientWidth || canvas.width);
  if (withScene) {
    pen.fillRect(0, 0, marks.width, marks.height);
    pen.drawImage(canvas, 0, 0);
  }
  for (const tile of viewer.screenSlices) {
    const plane = PLANES[tile.axCorSag];
    if (!plane) continue;
    drawLesions(viewer, pen, plane, tile.leftTopWidthHeight, scale);
    drawLetters(pen, plane, tile.leftTopWidthHeight, scale);
  }
}

function entry(label, colour, dashes) {
  const item = document.createElement("li"), swatch = document.createElement("span");
  swatch.className = dashes ? "line" : "box";
  swatch.style.borderColor = colour;
  if (dashes) swatch.style.borderTopStyle = dashes.length ? "dashed" : "solid";
  else swatch.style.background = colour;
  item.append(swatch, label);
  return item;
}

function tellLegend() {
  const masks = shownMasks(), way = wayDrawn(), pair = way === "outcomes" ? compared(masks) : null;
  const seen = pair ? [pair.truth, pair.found] : masks;
  const areas = pair ? Object.entries(OUTCOMES).map(([name, colour]) => entry(name, colour)) : [];
  legend.replaceChildren(...areas, ...seen.map(layer => entry(layer.label, layer.colours[0], layer.dashes)));
}

function setContrast(viewer, low, high) {
  viewer.volumes[0].cal_min = low;
  viewer.volumes[0].cal_max = high;
  viewer.updateGLVolume();
  tellContrast(viewer);
}

function tellContrast(viewer) {
  const [low, high] = [viewer.volumes[0].cal_min, viewer.volumes[0].cal_max];
  document.getElementById("viewer-contrast").textContent = `Now black is ${Number(low.toPrecision(3))}, white ${Number(high.toPrecision(3))}.`;
  for (const each of contrasts)
    each.setAttribute("aria-pressed", String(Number(each.dataset.low) === low && Number(each.dataset.high) === high));
}

// the middle of a curved lesion may lie outside it: go to the nearest marked voxel of any mask
function nearestMarked(viewer, voxel) {
  const sides = dims(viewer);
  let best = voxel, least = Infinity;
  for (const layer of msnmoLayers.filter(each => each.mask && !each.truth))
    for (let at = 0; at < layer.mask.length; at++) {
      if (!layer.mask[at]) continue;
      const place = [at % sides[0], Math.floor(at / sides[0]) % sides[1], Math.floor(at / (sides[0] * sides[1]))];
      const far = place.reduce((sum, value, axis) => sum + (value - voxel[axis]) ** 2, 0);
      if (far < least) [best, least] = [place, far];
    }
  return best;
}

async function goTo(viewer, mm) {
  for (const [index, layer] of msnmoLayers.entries())
    if (layer.kind === "mask") await load(viewer, index);
  const voxel = nearestMarked(viewer, voxelOf(viewer, viewer.mm2frac(mm)));
  voxel.forEach((value, axis) => { axes[axis].value = value; });
  go(viewer);
  document.querySelector(".canvas").scrollIntoView({ block: "nearest" });
}

function tell(location) {
  const [x, y, z] = location.mm;
  const side = (value, positive, negative) => `${Math.abs(value).toFixed(1)} ${value < 0 ? negative : positive}`;
  const sides = axes.map(each => Number(each.max) + 1);
  const voxel = location.vox.map((value, axis) => Math.min(sides[axis] - 1, Math.max(0, Math.round(value))));
  const at = voxel[0] + sides[0] * (voxel[1] + sides[1] * voxel[2]);
  const values = msnmoLayers.flatMap(layer => {
    if (layer.mask) return [`${layer.label}: ${layer.mask[at] ? "yes" : "no"}`];
    const here = location.values.find(each => each.id === layer.id);
    return here ? [`${layer.label}: ${Number(here.value.toPrecision(3))}`] : [];
  });
  place.textContent = [`${side(x, "R", "L")}, ${side(y, "A", "P")}, ${side(z, "S", "I")} mm`, ...values].join(" · ");
  location.vox.forEach((voxel, axis) => { axes[axis].value = Math.round(voxel); });
}

function go(viewer) {
  viewer.scene.crosshairPos = viewer.vox2frac(axes.map(each => Number(each.value)));
  viewer.createOnLocationChange();
  viewer.drawScene();
}

function listen(viewer) {
  const start = axes.map(each => each.value);
  ways.forEach(each => each.addEventListener("change", () => { tellLegend(); viewer.drawScene(); }));
  contrasts.forEach(each => each.addEventListener("click",
    () => setContrast(viewer, Number(each.dataset.low), Number(each.dataset.high))));
  document.getElementById("viewer-reset").addEventListener("click", () => {
    start.forEach((value, axis) => { axes[axis].value = value; });
    setContrast(viewer, msnmoLayers[0].low, msnmoLayers[0].high);
    go(viewer);
  });
  for (const button of document.querySelectorAll("button[data-mm]"))
    button.closest("tr").addEventListener("click", () => goTo(viewer, button.dataset.mm.split(" ").map(Number)));
  viewer.onIntensityChange = () => tellContrast(viewer);
  // paper gets no WebGL: the scene is copied to where the marks are
  addEventListener("beforeprint", () => { viewer.drawScene(); drawMarks(viewer, true); });
  addEventListener("afterprint", () => viewer.drawScene());
  boxes.forEach((box, index) => box.addEventListener("change", () => show(viewer, index)));
  sliders.forEach((slider, index) => slider.addEventListener("input", () => {
    boxes[index].checked = true;
    show(viewer, index);
  }));
  axes.forEach(slider => slider.addEventListener("input", () => go(viewer)));
  // until the picture is clicked the wheel scrolls the page: NiiVue must not see it
  canvas.parentElement.addEventListener("wheel", event => {
    if (document.activeElement !== canvas) event.stopPropagation();
  }, { capture: true, passive: true });
  canvas.addEventListener("keydown", event => {
    const step = STEPS[event.key];
    if (!step) return;
    event.preventDefault();
    viewer.moveCrosshairInVox(...step);
  });
}

async function start() {
  if (!document.createElement("canvas").getContext("webgl2")) {
    document.querySelector(".viewer").classList.add("unable");
    say("This browser offers no WebGL2, which the viewer needs; the numbers below are complete.");
    return;
  }
  const viewer = new niivue.Niivue(OPTIONS);
  await viewer.attachToCanvas(canvas);
  // the scan itself is the grid of all others, shown or not
  await load(viewer, 0);
  for (const index of msnmoLayers.keys()) if (boxes[index].checked) await load(viewer, index);
  viewer.onLocationChange = tell;
  const drawScene = viewer.drawScene.bind(viewer);
  viewer.drawScene = () => { drawScene(); drawMarks(viewer); };
  listen(viewer);
  tellLegend();
  setContrast(viewer, msnmoLayers[0].low, msnmoLayers[0].high);
  go(viewer);
  say("");
  window.msnmoViewer = viewer;
}

start().catch(error => say("The viewer could not start: " + error));
