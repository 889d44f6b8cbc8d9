// The page: assembly of its parts, the headline, and the keys.

import { enter } from "./access.js";
import { $, dismissAlert, press, say, warn } from "./dom.js";
import { startControls } from "./controls.js";
import { described, enterGallery, startGallery } from "./gallery.js";
import { leaveRegions, show, startPreview } from "./preview.js";
import { ask, connect, on, session, setCover, tell } from "./session.js";
import { startStatus } from "./status.js";

function showHeadline() {
  const { status, settings } = session;
  // Late settings or backgrounds do not show what is sent after the connection was lost.
  if (!status || !settings || document.body.classList.contains("offline")) return;
  const text = { person: described(settings.background), camera: "Your room is visible: the camera’s picture is sent as it is" };
  const sentence = status.showing === "cover" ? status.message || "Covered" : text[status.showing];
  say($("headline"), sentence);
  $("headline").dataset.state = status.showing;
  document.title = `${sentence} – greenroom`;
  press($("cover"), status.covered);
  say($("cover-text"), status.covered ? "Show me" : "Cover me");
  $("config-error").hidden = !status.config_error;
  say($("config-error"), status.config_error);
  $("notices").hidden = status.notices.length === 0;
  say($("notices"), status.notices.join(" "));
}

function showSaved() {
  say($("saved"), session.saved ? "" : "Not saved");
  $("save").classList.toggle("primary", !session.saved);
}

async function save() {
  try {
    const { path } = await ask("POST", "/api/save");
    warn(`Saved to ${path}`, true);
  } catch (error) {
    warn(error.message);
  }
}

const toggleCover = () => setCover(!session.status?.covered);

function startTabs() {
  const tabs = ["settings", "status"];
  const choose = (name) => {
    for (const other of tabs) {
      const isChosen = other === name;
      $(`tab-${other}`).setAttribute("aria-selected", String(isChosen));
      $(`tab-${other}`).tabIndex = isChosen ? 0 : -1;
      $(other).hidden = !isChosen;
    }
    tell("tab");
  };
  tabs.forEach((name, index) => {
    $(`tab-${name}`).onclick = () => choose(name);
    $(`tab-${name}`).onkeydown = (event) => {
      if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
      choose(tabs[1 - index]);
      $(`tab-${tabs[1 - index]}`).focus();
    };
  });
}

// Space covers, unless the focused element uses it.
const HAS_SPACE = "input:not([type=range]), textarea, select, button, a, summary, [role=radiogroup] *";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const isTyping = event.target.matches("input:not([type=range], [type=checkbox], [type=radio]), select, textarea");
  if (event.key === " " && !event.target.matches(HAS_SPACE)) {
    event.preventDefault();
    if (!event.repeat) toggleCover();
  } else if (event.key === "Escape") dismissAlert() || leaveRegions();
  else if (isTyping) return;
  else if (event.key === "b") show("compare");
  else if (event.key === "m") show("matte");
  else if (event.key === "?") $("help-dialog").showModal();
  else if (["ArrowLeft", "ArrowRight"].includes(event.key) && event.target.matches("body, #panel")) {
    event.preventDefault();
    enterGallery();
  }
});

// A control clicked with the mouse loses the focus, so that space covers again.
document.addEventListener("click", (event) => {
  const clicked = event.detail && event.target.closest("button, summary, a, label, [type=checkbox], [type=radio]");
  if (clicked && document.activeElement?.matches("button, summary, a, [type=checkbox], [type=radio]"))
    document.activeElement.blur();
});

$("cover").onclick = toggleCover;
$("save").onclick = save;
$("help").onclick = () => $("help-dialog").showModal();

on("status", showHeadline);
on("settings", showHeadline);
on("settings", showSaved);
on("backgrounds", showHeadline);
on("busy", (busy) => say($("busy"), busy ? "Applying…" : ""));
on("connected", (connected) => {
  $("offline").hidden = connected;
  document.body.classList.toggle("offline", !connected);
  if (connected) return;
  say($("offline"), "The connection to greenroom is lost: this page does not know what is being sent. Trying again; it continues when greenroom runs again.");
  say($("headline"), "Not connected");
  $("headline").dataset.state = "wait";
});

// The headline stays at the top, whatever is above it in a narrow window.
const header = document.querySelector(".top");
new ResizeObserver(() => {
  const above = Math.max(0, $("headline").offsetTop - 10);
  document.documentElement.style.setProperty("--above", `${above}px`);
  document.documentElement.style.setProperty("--shown", `${header.offsetHeight - above}px`);
}).observe(header);
new ResizeObserver(() => {
  document.documentElement.style.setProperty("--stage", `${$("stage").offsetHeight}px`);
}).observe($("stage"));

if (await enter()) {
  startTabs();
  startPreview();
  startGallery();
  startStatus();
  connect();
  startControls().catch((error) => warn(error.message));
}
