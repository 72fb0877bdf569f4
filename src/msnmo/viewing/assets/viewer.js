"use strict";
// One scan in three planes, by NiiVue. The volumes are in msnmoLayers, from the scan's own script.
// The radiological convention is that of msnmo's pictures: the patient's left is on the right, and
// the nose at the left of a sagittal slice.

const state = document.getElementById("viewer-state");
const place = document.getElementById("viewer-place");
const canvas = document.getElementById("viewer");
const boxes = [...document.querySelectorAll("input[data-layer]")];
const sliders = [...document.querySelectorAll("input[data-opacity]")];
const axes = [...document.querySelectorAll("input[data-axis]")];

const OPTIONS = {
  isRadiologicalConvention: true,
  sagittalNoseLeft: true,
  showAllOrientationMarkers: true,
  multiplanarShowRender: niivue.SHOW_RENDER.NEVER,
  multiplanarPadPixels: 4,
  crosshairColor: [1, 0.95, 0.3, 0.7],
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
  const at = viewer.volumes.findIndex(volume => volume.id === msnmoLayers[index].id);
  if (at >= 0) viewer.setOpacity(at, opacityOf(index));
  viewer.createOnLocationChange();
}

function tell(location) {
  const [x, y, z] = location.mm;
  const side = (value, positive, negative) => `${Math.abs(value).toFixed(1)} ${value < 0 ? negative : positive}`;
  const values = location.values.map(each => {
    const layer = msnmoLayers.find(other => other.id === each.id);
    const shown = layer.kind === "mask" ? (each.value > 0.5 ? "yes" : "no") : Number(each.value.toPrecision(3));
    return `${layer.label}: ${shown}`;
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
  listen(viewer);
  go(viewer);
  say("");
  window.msnmoViewer = viewer;
}

start().catch(error => say("The viewer could not start: " + error));
