// The gallery: the server's backgrounds and one's own, blur, colours.

import { $, make, press, say, warn } from "./dom.js";
import { KINDS } from "./kinds.js";

const MOST_BYTES = 50 * 2 ** 20;
// Backgrounds that show the room are not the server's to make.
const buttons = Object.entries(KINDS).filter(([, kind]) => kind.label && !kind.room_warning);
const strengths = Object.fromEntries(buttons.filter(([, kind]) => kind.is_strength).map(([word]) => [word, 0.5]));
const items = []; // { name, kind, background, thumbnail }: the background is a word, or a file of one's own
let chosen = "blur";
let choose = () => {};

const kindOf = (background) => (typeof background === "string" && background.split(":")[0] in KINDS ? background.split(":")[0] : "file");

export function describedBackground(background) {
  const headline = KINDS[kindOf(background)]?.headline;
  const name = items.find((item) => item.background === background)?.name;
  return headline?.replace("{value}", background.split(":")[1]) ?? `You are shown in front of ${name ?? "your background"}`;
}

// Shows which background is in use.
export function showChoice(background) {
  chosen = background;
  const kind = kindOf(chosen);
  for (const chip of $("effects").children) press(chip, chip.dataset.kind === kind);
  items.forEach((item, index) => press($("backgrounds").children[index].firstChild, item.background === chosen));
  $("strength-row").hidden = !(kind in strengths);
  $("colour-row").hidden = kind !== "color";
  if (kind in strengths) {
    strengths[kind] = Number(chosen.split(":")[1] ?? 0.5);
    $("strength").value = strengths[kind];
    say($("strength-value"), `${Math.round(100 * strengths[kind])} %`);
  }
  if (kind === "color") $("colour").value = hexOf(chosen.slice(6));
}

// A colour in hexadecimal, for the picker; a canvas resolves CSS names.
function hexOf(colour) {
  const context = document.createElement("canvas").getContext("2d");
  context.fillStyle = colour;
  return context.fillStyle;
}

function pick(background) {
  showChoice(background);
  choose(background);
}

function tile(item) {
  const isOwnVideo = item.kind === "video" && item.background instanceof File;
  const picture = isOwnVideo
    ? make("video", { muted: true, preload: "metadata", tabIndex: -1 })
    : make("img", { alt: "", draggable: false });
  if (item.thumbnail.startsWith("blob:")) picture.src = item.thumbnail;
  const button = make("button", { type: "button", className: "tile", title: item.name, tabIndex: -1 }, picture, make("span", {}, item.name));
  button.dataset.kind = item.kind;
  button.onclick = () => pick(item.background);
  button.onfocus = () => reach(button);
  button.onkeydown = steer;
  return make("li", {}, button);
}

const tiles = () => [...document.querySelectorAll(".tile")];

// One tile is reached with Tab, the others from there with the arrow keys.
function reach(button) {
  for (const other of tiles()) other.tabIndex = other === button ? 0 : -1;
}

export function enterGallery() {
  document.querySelector(".tile[aria-pressed=true], .tile[tabindex='0']")?.focus();
}

function steer(event) {
  const all = tiles();
  const index = all.indexOf(event.currentTarget);
  const top = (button) => button.getBoundingClientRect().top;
  const columns = all.filter((other) => top(other) === top(all[0])).length;
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -index, End: all.length };
  if (!(event.key in steps)) return;
  event.preventDefault();
  all[Math.min(all.length - 1, Math.max(0, index + steps[event.key]))].focus();
}

function add(file) {
  if (!file) return;
  if (file.size > MOST_BYTES) return warn(`“${file.name}” is too large: at most 50 MiB are taken.`);
  const kind = file.type.startsWith("video/") ? "video" : "picture";
  items.unshift({ name: file.name.replace(/\.[^.]*$/, ""), kind, background: file, thumbnail: URL.createObjectURL(file) });
  $("backgrounds").prepend(tile(items[0]));
  $("file").value = "";
  pick(file);
}

// Takes a file that the server refused out of the gallery.
export function forget(file) {
  const index = items.findIndex((item) => item.background === file);
  if (!(file instanceof File) || index < 0) return;
  URL.revokeObjectURL(items[index].thumbnail);
  items.splice(index, 1);
  $("backgrounds").children[index].remove();
}

export function startGallery(first, onChoice) {
  choose = onChoice;
  for (const [word, { label }] of buttons) {
    const chip = make("button", { type: "button" }, label);
    chip.dataset.kind = word;
    chip.onclick = () => pick(word === "color" ? `color:${$("colour").value}` : word in strengths ? `${word}:${strengths[word]}` : word);
    $("effects").append(chip);
  }
  $("strength").oninput = () => pick(`${kindOf(chosen)}:${$("strength").value}`);
  $("colour").oninput = () => pick(`color:${$("colour").value}`);
  $("file").onchange = () => add($("file").files[0]);
  const hasFile = (event) => event.dataTransfer?.types.includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!hasFile(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget || document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!hasFile(event)) return;
    event.preventDefault();
    add(event.dataTransfer.files[0]);
  });
  showChoice(first);
}

// Loads the server's backgrounds; `get` requests something of the server.
export async function loadGallery(get) {
  const own = items.filter((item) => item.background instanceof File);
  const found = await get("backgrounds").then((response) => response.json());
  items.splice(0, items.length, ...own, ...found);
  $("backgrounds").replaceChildren(...items.map(tile));
  reach(tiles()[0]);
  showChoice(chosen);
  // One after the other, so that requests by clicks do not have to wait.
  for (const item of found) {
    const picture = await get(item.thumbnail).then((response) => response.blob());
    item.thumbnail = URL.createObjectURL(picture);
    $("backgrounds").children[items.indexOf(item)].querySelector("img").src = item.thumbnail;
  }
}
