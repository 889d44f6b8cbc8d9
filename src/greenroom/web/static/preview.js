// The preview: what is sent, before and after, the matte, and marking regions to keep.

import { protocols } from "./access.js";
import { $, make, press, say } from "./dom.js";
import { change, download, on, session, tell } from "./session.js";

const VIEWS = ["after", "before", "matte"];
const WANTED = { after: ["after"], compare: ["after", "before"], matte: ["matte"], region: ["before"] };

const canvas = $("view");
const context = canvas.getContext("2d");
let mode = "after";
let pictures = {};
let socket = null;
let isConnected = false;

function open() {
  if (socket || document.hidden || !isConnected) return;
  const opened = new WebSocket(`ws://${location.host}/ws/preview?views=${WANTED[mode].join(",")}`, protocols());
  socket = opened;
  opened.binaryType = "arraybuffer";
  opened.onmessage = async (event) => {
    const number = await take(event.data);
    // Only now is the next one sent: a slow page gets fewer frames, but never old ones.
    if (opened.readyState === WebSocket.OPEN) opened.send(JSON.stringify({ shown: number }));
  };
  opened.onclose = () => {
    if (socket !== opened) return;
    socket = null;
    setTimeout(open, 1000);
  };
}

function close() {
  const closing = socket;
  socket = null;
  closing?.close();
}

// A message is its number (4 bytes), and for each view: which (1 byte), length (4), JPEG.
async function take(message) {
  const data = new DataView(message);
  const found = [];
  for (let place = 4; place < message.byteLength; ) {
    const length = data.getUint32(place + 1);
    const jpeg = new Blob([new Uint8Array(message, place + 5, length)], { type: "image/jpeg" });
    found.push([VIEWS[data.getUint8(place)], createImageBitmap(jpeg)]);
    place += 5 + length;
  }
  const decoded = {};
  for (const [name, picture] of found) decoded[name] = await picture;
  for (const picture of Object.values(pictures)) picture.close();
  pictures = decoded;
  draw();
  return data.getUint32(0);
}

function draw() {
  const shown = pictures[WANTED[mode][0]] ?? pictures.after;
  const both = mode === "compare" && Boolean(pictures.before);
  $("divider").hidden = !both;
  showNote();
  if (!shown) return;
  if (canvas.width !== shown.width || canvas.height !== shown.height) {
    canvas.width = shown.width;
    canvas.height = shown.height;
    $("screen").style.aspectRatio = `${shown.width} / ${shown.height}`;
    $("screen").style.setProperty("--ratio", shown.width / shown.height);
  }
  context.drawImage(shown, 0, 0, canvas.width, canvas.height);
  for (const tag of ["tag-before", "tag-after"]) $(tag).hidden = !both;
  if (!both) return;
  const middle = (canvas.width * $("divider").value) / 100;
  context.save();
  context.beginPath();
  context.rect(0, 0, middle, canvas.height);
  context.clip();
  context.drawImage(pictures.before, 0, 0, canvas.width, canvas.height);
  context.restore();
  context.fillStyle = "#fff";
  context.fillRect(middle - 1, 0, 2, canvas.height);
}

function showNote() {
  const isMissing = !pictures.before && session.status?.showing === "cover";
  const notes = {
    compare: isMissing && "While you are covered there is no camera picture to compare with.",
    region: isMissing
      ? "While you are covered there is no camera picture to draw on."
      : "Draw a rectangle around what is to stay, such as your chair. Only you see this picture.",
  };
  $("screen-note").hidden = !notes[mode];
  if (notes[mode]) say($("screen-note"), notes[mode]);
}

export function show(wanted) {
  mode = mode === wanted ? "after" : wanted;
  for (const name of ["compare", "matte", "region"]) press($(name), mode === name);
  $("regions").hidden = mode !== "region";
  const labels = {
    after: "Preview of what is sent, mirrored",
    compare: "The camera's picture and what is sent, side by side",
    matte: "The matte: white is who was found",
    region: "The camera's picture, mirrored, to mark what stays",
  };
  canvas.setAttribute("aria-label", labels[mode]);
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ views: WANTED[mode] }));
  else if (socket) {
    close();
    open();
  }
  showRegions();
  draw();
}

export function leaveRegions() {
  if (mode === "region") show("region");
}

// Regions are in % of the camera's picture; the preview is mirrored.
function regions() {
  const text = session.settings?.keep_region;
  return text ? text.split(";").map((part) => part.trim()) : [];
}

function placed(text) {
  const parts = text.split(",");
  const numbers = parts.map((part) => parseFloat(part));
  const size = session.status?.size;
  if (parts.length !== 4 || numbers.some(Number.isNaN)) return null;
  const inPercent = numbers.map((number, index) =>
    parts[index].includes("%") || !size ? number : (100 * number) / size[index % 2],
  );
  const [left, top, width, height] = inPercent;
  return [100 - left - width, top, width, height];
}

function boxed(element, [left, top, width, height]) {
  Object.assign(element.style, {
    left: `${left}%`,
    top: `${top}%`,
    width: `${width}%`,
    height: `${height}%`,
  });
}

let shownRegions = null;

function showRegions() {
  if (mode !== "region" || drawing) return;
  const texts = regions();
  // Existing elements are kept, and with them the focus.
  const all = `${session.status?.size} ${texts.join(";")}`;
  if (all === shownRegions) return;
  shownRegions = all;
  const shown = texts.flatMap((text, index) => {
    const box = placed(text);
    if (!box) return [];
    const remove = make("button", { type: "button", "aria-label": `Remove region ${index + 1}` }, "✕");
    remove.onpointerdown = (event) => event.stopPropagation();
    remove.onclick = () =>
      change({ keep_region: texts.filter((_, other) => other !== index).join("; ") || null });
    const element = make("div", { className: "rectangle" }, remove);
    boxed(element, box);
    return [element];
  });
  $("regions").replaceChildren(...shown);
}

// Rounded to a tenth of a percent, and clamped to the picture.
function inTenths([left, top, width, height]) {
  const [x, y] = [left, top].map((value) => Math.round(10 * value));
  const [wide, tall] = [Math.min(Math.round(10 * width), 1000 - x), Math.min(Math.round(10 * height), 1000 - y)];
  return [x, y, wide, tall].map((value) => `${value / 10}%`).join(",");
}

let drawing = null;

function pointed(event) {
  const area = $("regions").getBoundingClientRect();
  const inside = (share) => Math.min(100, Math.max(0, 100 * share));
  return [
    inside((event.clientX - area.left) / area.width),
    inside((event.clientY - area.top) / area.height),
  ];
}

function between([x, y], [otherX, otherY]) {
  const [left, top] = [Math.min(x, otherX), Math.min(y, otherY)];
  return [left, top, Math.abs(x - otherX), Math.abs(y - otherY)];
}

$("regions").addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !pictures.before) return;
  event.preventDefault();
  drawing = { from: pointed(event), element: make("div", { className: "rectangle" }) };
  shownRegions = null;
  $("regions").setPointerCapture(event.pointerId);
  $("regions").append(drawing.element);
});
$("regions").addEventListener("pointermove", (event) => {
  if (drawing) boxed(drawing.element, between(drawing.from, pointed(event)));
});
for (const kind of ["pointerup", "pointercancel"]) {
  $("regions").addEventListener(kind, (event) => {
    if (!drawing) return;
    const [left, top, width, height] = between(drawing.from, pointed(event));
    drawing = null;
    if (kind === "pointerup" && width >= 1 && height >= 1) {
      const region = inTenths([100 - left - width, top, width, height]);
      change({ keep_region: [...regions(), region].join("; ") });
    } else showRegions();
  });
}

async function snapshot() {
  try {
    const address = URL.createObjectURL(await download("/api/snapshot.png"));
    const now = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
    make("a", { href: address, download: `greenroom ${now}.png` }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser may first ask where to save it
  } catch (error) {
    tell("refused", { error, names: [] });
  }
}

export function startPreview() {
  $("compare").onclick = () => show("compare");
  $("matte").onclick = () => show("matte");
  $("region").onclick = () => show("region");
  $("divider").oninput = draw;
  $("snapshot").onclick = snapshot;
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  on("connected", (connected) => {
    isConnected = connected;
    if (connected) open();
  });
  on("settings", showRegions);
  on("status", showNote);
}
