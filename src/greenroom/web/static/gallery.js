// The gallery: choosing, adding, arranging and removing backgrounds.

import { credentials } from "./access.js";
import { KINDS } from "./kinds.js";
import { $, confirmed, make, press, say, warn } from "./dom.js";
import { ask, change, checkThere, download, isPending, loadBackgrounds, on, Refused, session } from "./session.js";

const MOST_BYTES = 50 * 2 ** 20;
const buttons = Object.entries(KINDS).filter(([, kind]) => kind.label);
const isStrength = (kind) => KINDS[kind]?.is_strength ?? false;
const strengths = Object.fromEntries(buttons.filter(([word]) => isStrength(word)).map(([word]) => [word, 0.5]));
let isArranging = false;
let focused = null;

const kindOf = (spec) => (spec.split(":")[0] in KINDS ? spec.split(":")[0] : "file");
const fileName = (spec) => spec.split(/[\\/]/).pop();

export function nameOf(spec) {
  return session.backgrounds.find((item) => item.path === spec)?.name ?? fileName(spec);
}

export function described(spec) {
  const headline = KINDS[kindOf(spec)]?.headline;
  return headline?.replace("{value}", spec.split(":")[1]) ?? `You are shown in front of ${nameOf(spec)}`;
}

// A colour in hexadecimal, for the picker; a canvas resolves CSS names.
function hexOf(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = $("colour").value;
  context.fillStyle = colour;
  return context.fillStyle;
}

function choose(kind) {
  if (kind === "color") change({ background: `color:${$("colour").value}` });
  else change({ background: isStrength(kind) ? `${kind}:${strengths[kind]}` : kind });
}

function showChoice() {
  if (!session.settings) return;
  const spec = session.settings.background;
  const kind = kindOf(spec);
  for (const chip of $("effects").children) press(chip, chip.dataset.kind === kind);
  for (const tile of document.querySelectorAll(".tile")) press(tile, tile.dataset.path === spec);
  $("strength-row").hidden = !isStrength(kind);
  $("colour-row").hidden = kind !== "color";
  $("room-warning").hidden = !KINDS[kind]?.room_warning;
  say($("room-warning"), KINDS[kind]?.room_warning ?? "");
  if (isPending("background")) return;
  if (isStrength(kind)) {
    strengths[kind] = Number(spec.split(":")[1] ?? 0.5);
    $("strength").value = strengths[kind];
    say($("strength-value"), `${Math.round(100 * strengths[kind])} %`);
  }
  if (kind === "color") $("colour").value = hexOf(spec.slice(6));
}

function showTiles() {
  forgetPictures();
  const hadFocus = document.activeElement?.classList.contains("tile");
  $("backgrounds").replaceChildren(...session.backgrounds.map(tile));
  showChoice();
  const tiles = [...document.querySelectorAll(".tile")];
  const current = tiles.find((other) => other.dataset.id === focused) ?? tiles[0];
  for (const other of tiles) other.tabIndex = other === current ? 0 : -1;
  if (hadFocus) current?.focus();
}

// Thumbnails by id, as object URLs. They are loaded one after the other, so that requests by clicks do
// not have to wait.
const pictures = new Map();
let loading = Promise.resolve();

function showPicture(image, item) {
  const show = () => (image.src = pictures.get(item.id));
  if (pictures.has(item.id)) return show();
  const load = async () => {
    if (!pictures.has(item.id)) pictures.set(item.id, URL.createObjectURL(await download(item.thumbnail)));
    show();
  };
  loading = loading.then(load).catch(() => {}); // it is requested again when the tiles are redrawn
}

function forgetPictures() {
  const there = new Set(session.backgrounds.map((item) => item.id));
  for (const [id, address] of pictures) {
    if (there.has(id)) continue;
    URL.revokeObjectURL(address);
    pictures.delete(id);
  }
}

function tile(item, index) {
  const picture = make("img", { alt: "", draggable: false });
  showPicture(picture, item);
  const button = make(
    "button",
    { type: "button", className: "tile", title: item.name },
    picture,
    make("span", {}, item.name),
  );
  Object.assign(button.dataset, { id: item.id, path: item.path, kind: item.kind });
  button.onclick = () => {
    focus(button);
    change({ background: item.path });
  };
  button.onfocus = () => focus(button);
  button.onkeydown = (event) => steer(event, item, index);
  const entry = make("li", { draggable: true }, button);
  if (isArranging) entry.append(tools(item, index));
  entry.ondragstart = (event) => {
    event.dataTransfer.setData("text/x-background", item.id);
    event.dataTransfer.effectAllowed = "move";
  };
  entry.ondragover = (event) => {
    if (!event.dataTransfer.types.includes("text/x-background")) return;
    event.preventDefault();
    entry.classList.add("target");
  };
  entry.ondragleave = () => entry.classList.remove("target");
  entry.ondrop = (event) => {
    entry.classList.remove("target");
    const id = event.dataTransfer.getData("text/x-background");
    if (id) {
      event.preventDefault();
      move(id, index);
    }
  };
  return entry;
}

function tools(item, index) {
  const tool = (text, label, act, disabled = false) => {
    const button = make("button", { type: "button", "aria-label": `${label} ${item.name}`, disabled }, text);
    button.onclick = act;
    return button;
  };
  const last = session.backgrounds.length - 1;
  return make(
    "div",
    { className: "tile-tools" },
    tool("←", "Move back", () => move(item.id, index - 1), index === 0),
    tool("→", "Move on", () => move(item.id, index + 1), index === last),
    ...(item.is_own ? [tool("✕", "Remove", () => remove(item))] : []),
  );
}

function focus(button) {
  focused = button.dataset.id;
  for (const other of document.querySelectorAll(".tile")) other.tabIndex = other === button ? 0 : -1;
}

// The first arrow key selects the background in use, or the tile that had the focus last.
export function enterGallery() {
  document.querySelector(".tile[aria-pressed=true], .tile[tabindex='0']")?.focus();
}

function steer(event, item, index) {
  const tiles = [...document.querySelectorAll(".tile")];
  const columns = Math.max(1, tiles.filter((other) => other.offsetTop === tiles[0].offsetTop && other.parentElement.offsetTop === tiles[0].parentElement.offsetTop).length);
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (event.key in steps) {
    event.preventDefault();
    const place = Math.min(tiles.length - 1, Math.max(0, index + steps[event.key]));
    if (event.altKey) move(item.id, place);
    else tiles[place].focus();
  } else if (event.key === "Home") tiles[0].focus();
  else if (event.key === "End") tiles.at(-1).focus();
  else if (event.key === "Delete") remove(item);
}

async function move(id, place) {
  const moved = session.backgrounds.find((item) => item.id === id);
  if (!moved) return;
  const others = session.backgrounds.filter((item) => item.id !== id);
  session.backgrounds = others.toSpliced(place, 0, moved);
  showTiles();
  await attempt(() => ask("PUT", "/api/backgrounds/order", session.backgrounds.map((item) => item.id)));
}

async function remove(item) {
  if (!item.is_own) return warn(`“${item.name}” belongs to greenroom and cannot be removed.`);
  if (await confirmed(`Remove “${item.name}” for good?`, "Remove"))
    await attempt(() => ask("DELETE", `/api/backgrounds/${item.id}`));
}

async function attempt(act) {
  try {
    await act();
  } catch (error) {
    warn(error.message);
  }
  loadBackgrounds();
}

async function add(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) {
    warn(`“${file.name}” is too large: at most 50 MiB are taken.`);
    return;
  }
  const progress = $("upload-progress");
  progress.hidden = false;
  try {
    const item = await upload(file, (share) => (progress.value = share));
    await loadBackgrounds();
    focused = item.id;
    change({ background: item.path });
  } catch (error) {
    warn(error.message);
  }
  progress.hidden = true;
  $("file").value = "";
}

// fetch does not report the progress of an upload.
function upload(file, onProgress) {
  checkThere();
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", `/api/backgrounds?name=${encodeURIComponent(file.name)}`);
    for (const [name, value] of Object.entries(credentials())) request.setRequestHeader(name, value);
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded / event.total);
    request.onload = () =>
      request.status === 201
        ? resolve(request.response)
        : reject(new Refused(null, request.response?.message ?? "The upload failed."));
    request.onerror = () => reject(new Refused(null, "The connection was lost during the upload."));
    request.send(file);
  });
}

export function startGallery() {
  for (const [kind, { label }] of buttons) {
    const chip = make("button", { type: "button" }, label);
    chip.dataset.kind = kind;
    chip.onclick = () => choose(kind);
    $("effects").append(chip);
  }
  $("strength").oninput = () => {
    const kind = kindOf(session.settings.background);
    strengths[kind] = Number($("strength").value);
    say($("strength-value"), `${Math.round(100 * strengths[kind])} %`);
    change({ background: `${kind}:${strengths[kind]}` });
  };
  $("colour").oninput = () => change({ background: `color:${$("colour").value}` });
  $("file").onchange = () => add($("file").files[0]);
  $("arrange").onclick = () => {
    isArranging = !isArranging;
    press($("arrange"), isArranging);
    showTiles();
  };
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!hasFile(event)) return;
    event.preventDefault();
    add(event.dataTransfer.files[0]);
  });
  on("settings", showChoice);
  on("backgrounds", showTiles);
}
