// Status: speed over the last minute, camera, outputs, and the doctor's findings.

import { $, make, say, warn } from "./dom.js";
import { ask, on, session } from "./session.js";

const SAMPLES = 120;
const COLOURS = ["#4c9f82", "#5b8fd6", "#d69a3a", "#b573c9", "#d2665e", "#7d8f3c", "#4fb0b8", "#8c8478"];
const GOOD = ["running", "ok", "open"];
const BAD = ["failed", "lost", "problem"];
const history = [];
const colours = new Map();

const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
// Parts of the segmentation, whose time includes them.
const PARTS = ["prepare", "invoke"];
const LABELS = {
  segment: "whole segmentation",
  prepare: "preparing",
  invoke: "model",
  matte: "fine matte",
  foreground: "own colours",
  "low light": "brightening",
  edges: "clean edges",
  composite: "putting together",
  views: "preview",
};
const whole = (stages) => Object.entries(stages).filter(([name]) => !PARTS.includes(name));
const total = (stages) => whole(stages).reduce((sum, [, value]) => sum + value, 0);

function colourOf(stage) {
  if (!colours.has(stage)) colours.set(stage, COLOURS[colours.size % COLOURS.length]);
  return colours.get(stage);
}

function badge(state) {
  const kind = GOOD.includes(state) ? "good" : BAD.includes(state) ? "bad" : "warn";
  return make("span", { className: "state", "data-is": kind }, state);
}

function show() {
  const status = session.status;
  say($("summary"), summary(status));
  if ($("status").hidden) return;
  drawChart();
  $("stages").replaceChildren(...whole(status.stages_ms).map(([name]) => stage(name, status.stages_ms)));
  $("figures").replaceChildren(
    ...figures(status).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  showCamera(status);
  $("outlets").replaceChildren(...status.outlets.map(outlet));
}

function stage(name, stages) {
  const swatch = make("span", { className: "swatch" });
  swatch.style.background = colourOf(name);
  const timed = (one) => make("span", { title: one }, `${LABELS[one] ?? one} ${ms(stages[one])}`);
  const parts = name === "segment" ? PARTS.filter((part) => part in stages).reverse() : [];
  const within = parts.flatMap((part, index) => [index ? ", " : " (", timed(part)]);
  return make("li", {}, swatch, timed(name), ...within, within.length ? ")" : "");
}

function summary(status) {
  if (status.asleep) return "The camera is closed while nobody is watching.";
  const size = status.size ? `${status.size.join("×")}, ` : "";
  const rate = `${status.rate_out.toFixed(0)} frames/s`;
  return `${size}${rate} · ${ms(total(status.stages_ms))} a frame · ${status.cpu_percent.toFixed(0)} % of a core · ${status.device}`;
}

function figures(status) {
  const drops = Object.entries(status.drops).map(([reason, count]) => `${count} ${reason}`);
  const { p50, p99 } = status.latency_ms;
  return [
    ["Frames", `${status.rate_in.toFixed(1)} in, ${status.rate_out.toFixed(1)} out a second`],
    ["Left out", drops.join(", ") || "none"],
    ["Latency", p50 === undefined ? "not known yet" : `${ms(p50)} usually, ${ms(p99)} at most (99 of 100)`],
    ["CPU", `${status.cpu_percent.toFixed(1)} % of one core`],
    ["Ran on", status.device],
    ["Plan", [status.plan, status.plan_reason].filter(Boolean).join(" ") || "As the settings say."],
    ["Settings file", status.config || "none"],
  ];
}

function showCamera({ capture }) {
  const text = [capture.name, capture.negotiated].filter(Boolean).join(", ");
  $("camera").replaceChildren(badge(capture.state), ` ${text} `, capture.error);
}

// These outputs take frames without any viewer.
const isAlwaysOn = ({ name }) => name === "null" || name.startsWith("file:");

function outlet(one) {
  const unknown = isAlwaysOn(one) ? "always on" : "readers not known";
  const readers = one.readers === null ? unknown : `${one.readers} looking`;
  const details = [readers, `${one.frames} frames`, `${one.repeated} repeated`, `${one.dropped} left out`];
  const what = one.device ? `${one.name}: ${one.device}` : one.name;
  const counts = one.frames ? details : details.slice(0, 1);
  const error = one.error ? [make("p", { className: "bad" }, one.error)] : [];
  return make("li", {}, badge(one.state), ` ${what} `, make("span", { className: "quiet" }, counts.join(" · ")), ...error);
}

// Stacked stages, one bar for each half second.
function drawChart() {
  const canvas = $("chart");
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const most = Math.max(1, ...history.map(total)) * 1.15;
  const left = width * (1 - history.length / SAMPLES);
  history.forEach((stages, index) => {
    let bottom = height;
    for (const [name, value] of whole(stages)) {
      const tall = (value / most) * height;
      context.fillStyle = colourOf(name);
      context.fillRect(left + (index * width) / SAMPLES, bottom - tall, width / SAMPLES + 0.5, tall);
      bottom -= tall;
    }
  });
  context.fillStyle = getComputedStyle(canvas).color;
  context.font = "12px system-ui, sans-serif";
  context.fillText(ms(most), 6, 15);
  context.fillText("60 s ago", 6, height - 6);
}

async function examine() {
  const button = $("doctor");
  button.disabled = true;
  say(button, "Looking…");
  $("examining").hidden = false;
  try {
    const findings = await ask("GET", "/api/doctor");
    $("findings").replaceChildren(...findings.map(finding));
  } catch (error) {
    warn(error.message);
  }
  $("examining").hidden = true;
  button.disabled = false;
  say(button, "Run the doctor again");
}

function finding(one) {
  const entry = make("li", {}, badge(one.status), ` ${one.section ? `${one.section}, ` : ""}${one.name}: ${one.message}`);
  if (one.fix) {
    const copy = make("button", { type: "button" }, "Copy");
    copy.onclick = async () => {
      await navigator.clipboard.writeText(one.fix);
      say(copy, "Copied");
    };
    entry.append(make("div", { className: "fix" }, make("code", {}, one.fix), copy));
  }
  return entry;
}

export function startStatus() {
  $("doctor").onclick = examine;
  on("status", () => {
    history.push(session.status.stages_ms);
    if (history.length > SAMPLES) history.shift();
    show();
  });
  on("tab", () => session.status && show());
}
