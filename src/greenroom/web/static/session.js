// State of the session and requests that change it. All other modules subscribe to it.

import { comeBack, credentials, protocols } from "./access.js";
import { confirmed } from "./dom.js";
import { KINDS } from "./kinds.js";

export const session = new EventTarget();
session.settings = null;
session.saved = true;
session.status = null;
session.backgrounds = [];

export function on(kind, listener) {
  session.addEventListener(kind, (event) => listener(event.detail));
}

export function tell(kind, detail) {
  session.dispatchEvent(new CustomEvent(kind, { detail }));
}

export class Refused extends Error {
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

// Nothing is sent without a connection: another program might receive it.
let isAway = false;

export function checkThere() {
  if (isAway) throw new Refused(null, "greenroom does not answer. Is it still running?");
}

async function request(path, options) {
  checkThere();
  let response;
  try {
    response = await fetch(path, { ...options, headers: { ...options.headers, ...credentials() } });
  } catch {
    throw new Refused(null, "greenroom does not answer. Is it still running?");
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  throw new Refused(answer.name, answer.message ?? response.statusText);
}

export async function ask(method, path, body) {
  const isEmpty = body === undefined;
  const response = await request(path, {
    method,
    headers: isEmpty ? {} : { "Content-Type": "application/json" },
    body: isEmpty ? undefined : JSON.stringify(body),
  });
  return response.json().catch(() => ({}));
}

// Pictures need the token too, which an <img> cannot send.
export async function download(path) {
  return (await request(path, {})).blob();
}

// Changes are sent one after the other, and those made meanwhile are merged, so that dragging a slider
// does not queue requests.
const GAP_MS = 60;
let waiting = {};
let underway = {};
let isSending = false;

// The question to ask before a change that shows the room; none if it is already shown.
function questionBefore(values) {
  const wanted = values.background?.trim();
  const word = wanted?.split(":")[0];
  const kind = Object.hasOwn(KINDS, word) ? KINDS[word] : undefined;
  if (!kind?.room_warning) return undefined;
  const shown = isPending("background") ? undefined : session.settings?.background;
  if (shown === wanted || shown === "none") return undefined;
  return kind.room_question || `${kind.room_warning} Show it?`;
}

export const isPending = (name) => name in waiting || name in underway;

// All changes by the page go through here, so that showing the room is always confirmed first.
export async function change(values) {
  const question = questionBefore(values);
  if (question && !(await confirmed(question, "Show my room"))) {
    tell("settings");
    return;
  }
  Object.assign(waiting, values);
  tell("changing");
  if (!isSending) send();
}

async function send() {
  isSending = true;
  while (Object.keys(waiting).length) {
    await new Promise((resolve) => setTimeout(resolve, GAP_MS));
    [underway, waiting] = [waiting, {}];
    tell("busy", true);
    try {
      const answer = await ask("PATCH", "/api/settings", underway);
      const done = Object.keys(underway);
      underway = {};
      take("settings", answer);
      tell("accepted", done);
    } catch (error) {
      const names = Object.keys(underway);
      underway = {};
      tell("refused", { error, names });
      tell("settings");
    }
  }
  tell("busy", false);
  isSending = false;
}

export async function setCover(covered) {
  try {
    await ask("POST", "/api/cover", { on: covered });
  } catch (error) {
    tell("refused", { error, names: [] });
  }
}

export async function loadBackgrounds() {
  try {
    session.backgrounds = await ask("GET", "/api/backgrounds");
    tell("backgrounds");
  } catch (error) {
    tell("refused", { error, names: [] });
  }
}

function take(kind, value) {
  if (kind === "settings") {
    session.settings = value.settings;
    session.saved = value.saved;
    tell("settings");
  } else if (kind === "status") {
    session.status = value;
    tell("status");
  } else if (kind === "backgrounds") {
    loadBackgrounds();
  }
}

// The connection for notifications. It is reopened when it breaks, unless this page is logged out.
const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 5000;

export function connect() {
  const socket = new WebSocket(`ws://${location.host}/ws`, protocols());
  socket.onopen = () => tell("connected", true);
  socket.onmessage = (event) => {
    const news = JSON.parse(event.data);
    take(news.type, news.value);
  };
  socket.onclose = () => {
    isAway = true;
    tell("connected", false);
    connectAgain();
  };
}

async function connectAgain() {
  let state = "away";
  for (let wait = FIRST_WAIT_MS; state === "away"; wait = Math.min(1.5 * wait, LONGEST_WAIT_MS)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
    state = await comeBack();
  }
  if (state !== "in") return;
  isAway = false;
  connect();
}
