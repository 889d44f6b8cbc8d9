// The page: the camera, what comes back from the server, the headline and the keys.

import { describedBackground, enterGallery, forget, loadGallery, showChoice, startGallery } from "./backgrounds.js";
import { $, dismissAlert, make, press, say, warn } from "./dom.js";
import { createGreenroom } from "./greenroom.js";

const TOKEN = "greenroom-token";
const GAP_MS = 80; // changes made meanwhile are merged, so that dragging a slider does not queue them
const DEFAULTS = { background: "blur", mirror: false };
const folder = new URL(".", location.href);

let token = sessionStorage.getItem(TOKEN);
let camera = null; // its stream
let greenroom = null;
let state = { connection: "off" };
let settings = DEFAULTS;
let accepted = DEFAULTS;
let unsent = {};
let waiting = null;
let roundTripMs = null;
let isHidden = false;
let isComparing = false;
let hasGallery = false;

// The camera.

async function openCamera() {
  const [width, height] = $("size").value.split("x").map(Number);
  const device = $("camera").disabled ? {} : { deviceId: { exact: $("camera").value } };
  const video = { ...device, width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: 30, max: 30 } };
  const opened = await take({ video, audio: false });
  const [track] = opened.getVideoTracks();
  track.onended = () => {
    stop();
    warn("The camera went away. Plug it in, and turn it on again.");
  };
  closeCamera();
  camera = opened;
  $("before").srcObject = opened;
  await listCameras(track.getSettings().deviceId);
  return track;
}

async function take(asked) {
  try {
    return await navigator.mediaDevices.getUserMedia(asked);
  } catch (error) {
    if (!camera || error.name !== "NotReadableError") throw error;
    closeCamera(); // phones open one camera at a time
    return navigator.mediaDevices.getUserMedia(asked);
  }
}

function closeCamera() {
  for (const track of camera?.getTracks() ?? []) {
    track.onended = null;
    track.stop();
  }
  camera = null;
  $("before").srcObject = null;
}

async function listCameras(current) {
  const found = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  $("camera").replaceChildren(...found.map(({ deviceId, label }, index) => make("option", { value: deviceId }, label || `Camera ${index + 1}`)));
  $("camera").value = current;
  $("camera").disabled = false;
}

const WHY = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it, at the left of the address, and try again.",
  NotFoundError: "No camera was found. Plug one in, and try again.",
  NotReadableError: "The camera is used by another program. Close that one, and try again.",
};

async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    warn(WHY[error.name] ?? `The camera cannot be opened: ${error.message}`);
    return null;
  }
}

async function start() {
  if (!navigator.mediaDevices) return warn("Browsers give cameras to secure pages only: open this one with https.");
  if ($("token").value) sessionStorage.setItem(TOKEN, (token = $("token").value.trim()));
  $("start-camera").disabled = true;
  const track = await attempt(openCamera);
  $("start-camera").disabled = false;
  if (!track) return;
  greenroom = createGreenroom({ server: folder.href, token, settings });
  greenroom.onstate = follow;
  greenroom.cover(isHidden);
  const stream = new MediaStream([greenroom.process(track)]);
  $("after").srcObject = stream;
  window.greenroomStream = stream;
  document.body.classList.remove("off");
  $("hide").focus();
}

async function changeCamera() {
  if (!greenroom) return;
  const track = await attempt(openCamera);
  if (track) greenroom?.process(track);
  else if (!camera) stop();
}

function stop() {
  greenroom?.close();
  greenroom = null;
  closeCamera();
  $("after").srcObject = null;
  delete window.greenroomStream;
  follow({ connection: "off" });
  document.body.classList.add("off");
}

// Settings.

function change(values) {
  settings = { ...settings, ...values };
  unsent = { ...unsent, ...values };
  waiting ??= setTimeout(() => {
    greenroom?.set(unsent);
    [waiting, unsent] = [null, {}];
  }, GAP_MS);
  show();
}

// What was refused is as it was before, or as it is by default.
function undo({ name, message }) {
  const before = accepted[name] === settings[name] ? DEFAULTS[name] : accepted[name];
  forget(settings[name]);
  warn(message);
  change({ [name]: before });
  showChoice(settings.background);
}

// The server.

async function get(path) {
  const response = await fetch(new URL(path.replace(/^\//, ""), folder), { headers: token ? { Authorization: `Bearer ${token}` } : {} });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response;
}

function follow(now) {
  const before = state;
  state = now;
  const { connection, error } = now;
  if (error && error !== before.error && error.name in DEFAULTS) undo(error);
  else if (now.settings && now.settings !== before.settings) accepted = settings;
  if (connection === "refused" && [401, 403].includes(error.status)) askToken(error.message);
  else if (connection === "connected" && !hasGallery) showGallery();
  show();
}

function askToken(message) {
  const isFirst = $("token-row").hidden;
  stop();
  $("token-row").hidden = false;
  $("token").value = "";
  $("token").focus();
  if (isFirst && !token) say($("token-why"), "This server asks for a token. Whoever runs it gives it to you; it stays in this tab.");
  else warn(message);
}

async function showGallery() {
  hasGallery = true;
  await loadGallery(get).catch(() => (hasGallery = false)); // it is asked for again with the next connection
}

// The time of a picture's way: to the server, in it, and back. The sum of what the browser and the server
// measure; a picture itself is not marked.
const SPENT = {
  "outbound-rtp": ["totalEncodeTime", "framesEncoded"],
  "inbound-rtp": ["totalProcessingDelay", "framesDecoded"],
};
let counted = new Map();

async function measure() {
  const stats = state.connection === "connected" && (await greenroom.stats().catch(() => null));
  let sumMs = state.status?.latency_ms.p50 ?? 0;
  for (const now of stats ? stats.values() : []) {
    if (now.type === "candidate-pair" && now.nominated) sumMs += 1000 * (now.currentRoundTripTime ?? 0);
    const [[time, count], before] = [SPENT[now.type] ?? [], counted.get(now.id)];
    if (now[count] > before?.[count]) sumMs += (1000 * (now[time] - before[time])) / (now[count] - before[count]);
  }
  roundTripMs = stats && counted.size ? sumMs : null;
  counted = stats || new Map();
  show();
}

// What is shown.

function headline() {
  const { connection, status } = state;
  if (connection === "off") return ["Your camera is off", "wait"];
  if (isHidden) return ["You are hidden", "cover"];
  if (connection === "connecting") return [`Connecting to ${folder.host}…`, "wait"];
  if (connection !== "connected") return ["Not connected: nothing of you is shown", "wait"];
  if (!status) return ["Connected: you may be seen already", "wait"];
  if (status.showing === "cover") return [status.message || "You are hidden", "cover"];
  return [describedBackground(settings.background), "person"];
}

// The server's messages may be put into others.
const asSentence = (text) => `${text[0].toUpperCase()}${text.slice(1).replace(/\.?$/, ".")}`;
const ms = (value) => (value ? `${Math.round(value)} ms` : "–");

function show() {
  const { connection, status, error } = state;
  const [sentence, kind] = headline();
  say($("headline"), sentence);
  $("headline").dataset.state = kind;
  document.title = `${sentence} – greenroom`;
  const isLost = connection === "lost" || connection === "refused";
  $("problem").hidden = !isLost;
  const why = error?.status ? asSentence(error.message) : "The connection to the server is lost.";
  if (isLost) say($("problem"), connection === "lost" ? `${why} Trying again; it continues by itself.` : why);
  const notices = (connection === "connected" && status?.notices) || [];
  $("notices").hidden = notices.length === 0;
  say($("notices"), notices.join(" "));
  press($("hide"), isHidden);
  say($("hide-text"), isHidden ? "Show me" : "Hide me");
  press($("mirror"), settings.mirror);
  $("after").classList.toggle("mirrored", settings.mirror);
  $("stop").disabled = $("own-window").disabled = !greenroom;
  showComparison();
  const figures = connection === "connected" && status?.size ? status : null;
  say($("round-trip"), ms(figures && roundTripMs));
  say($("on-server"), ms(figures?.latency_ms.p50));
  say($("frames"), figures ? `${figures.size.join(" × ")}, ${Math.round(figures.rate_out)} a second` : "–");
  const figure = figures && roundTripMs ? `Round trip ${ms(roundTripMs)}. ` : "";
  say($("summary"), `${figure}Processed on ${folder.host}, kept nowhere.`);
}

function showComparison() {
  const isBoth = isComparing && !isHidden;
  press($("compare"), isComparing);
  for (const id of ["before", "divider", "tag-before", "tag-after"]) $(id).hidden = !isBoth;
  $("screen").classList.toggle("divided", isBoth);
  $("screen-note").hidden = !(isComparing && isHidden);
  say($("screen-note"), "While you are hidden there is no camera picture to compare with.");
}

function snippet() {
  const script = new URL("static/greenroom.js", folder);
  return `import { createGreenroom } from "${script}";

const camera = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
const greenroom = createGreenroom({ server: "${folder}", token: "YOUR TOKEN", settings: { background: "blur" } });
greenroom.onstate = ({ connection, error }) => console.log(connection, error?.message);
const processed = greenroom.process(camera.getVideoTracks()[0]);
const stream = new MediaStream([processed, ...camera.getAudioTracks()]);
// In place of the camera’s stream, such as: stream.getTracks().forEach((track) => peer.addTrack(track, stream));
// Later: greenroom.set({ background: "color:#204060" }), greenroom.cover(true), greenroom.close()`;
}

async function openWindow() {
  $("call-dialog").close();
  $("after").disablePictureInPicture = false;
  await $("after").requestPictureInPicture().catch((error) => warn(`No window could be opened: ${error.message}`));
}

const toggle = {
  hide() {
    isHidden = !isHidden;
    greenroom?.cover(isHidden);
    show();
  },
  compare() {
    isComparing = !isComparing;
    showComparison();
  },
  mirror: () => change({ mirror: !settings.mirror }),
};

// Space hides, unless the focused element uses it.
const HAS_SPACE = "input:not([type=range]), select, button:not(#hide), a, summary";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") dismissAlert();
  else if (event.key === " " && greenroom && !event.target.matches(HAS_SPACE)) {
    event.preventDefault();
    if (!event.repeat) toggle.hide();
  } else if (event.target.matches("input[type=password], select")) return;
  else if (event.key === "b" && greenroom) toggle.compare();
  else if (event.key === "m" && greenroom) toggle.mirror();
  else if (event.key === "?") $("help-dialog").showModal();
  else if (["ArrowLeft", "ArrowRight"].includes(event.key) && event.target.matches("body, h2")) {
    event.preventDefault();
    enterGallery();
  }
});
// The button's own space key would hide and show again.
$("hide").addEventListener("keyup", (event) => event.key === " " && event.preventDefault());

// A control clicked with the mouse loses the focus, so that space hides again.
document.addEventListener("click", (event) => {
  if (event.detail && document.activeElement?.matches("button, a")) document.activeElement.blur();
});

for (const [id, act] of Object.entries(toggle)) $(id).onclick = act;
$("start").onsubmit = (event) => {
  event.preventDefault();
  start();
};
$("stop").onclick = stop;
$("camera").onchange = changeCamera;
$("size").onchange = changeCamera;
$("divider").oninput = () => $("screen").style.setProperty("--divide", `${$("divider").value}%`);
$("after").onresize = () => {
  const { videoWidth, videoHeight } = $("after");
  if (!videoWidth) return;
  $("screen").style.aspectRatio = `${videoWidth} / ${videoHeight}`;
  $("screen").style.setProperty("--ratio", videoWidth / videoHeight);
};
$("help").onclick = () => $("help-dialog").showModal();
$("call").onclick = () => $("call-dialog").showModal();
$("own-window").onclick = openWindow;
$("own-window").hidden = !document.pictureInPictureEnabled;
$("copy").onclick = async () => {
  await navigator.clipboard.writeText(snippet());
  warn("The code is copied.", true);
};
navigator.mediaDevices?.addEventListener("devicechange", () => camera && listCameras($("camera").value));
addEventListener("pagehide", stop);
setInterval(measure, 1000);

// The headline stays at the top, whatever is above it in a narrow window; style.css uses these heights.
const header = document.querySelector(".top");
new ResizeObserver(() => {
  const above = Math.max(0, $("headline").offsetTop - 10);
  document.documentElement.style.setProperty("--above", `${above}px`);
  document.documentElement.style.setProperty("--shown", `${header.offsetHeight - above}px`);
}).observe(header);
new ResizeObserver(() => document.documentElement.style.setProperty("--stage", `${$("stage").offsetHeight}px`)).observe($("stage"));

// The token may come in the address, from which it is removed.
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  sessionStorage.setItem(TOKEN, (token = given));
  history.replaceState(null, "", location.pathname);
}
for (const place of document.querySelectorAll(".host")) say(place, folder.host);
say($("snippet"), snippet());
startGallery(settings.background, (background) => change({ background }));
document.body.classList.add("off");
showGallery();
show();
