// The settings: one control for each, made from its schema.

import { $, make, say, warn } from "./dom.js";
import { ask, change, isPending, on, session } from "./session.js";

const CLOSED = ["Camera", "Live"];
const rows = new Map();

export async function startControls() {
  on("refused", refused);
  const [schema, models] = await Promise.all([ask("GET", "/api/schema"), ask("GET", "/api/models")]);
  $("settings").replaceChildren(
    ...schema.groups.map((group) =>
      make(
        "details",
        { open: !CLOSED.includes(group.name) },
        make("summary", {}, group.name),
        ...group.settings.map((setting) => row(setting, models)),
      ),
    ),
  );
  on("settings", showAll);
  on("accepted", (names) => {
    names.forEach((name) => showError(name, ""));
    showAll();
  });
  showAll();
}

function row(setting, models) {
  const id = `setting-${setting.name}`;
  const control = controlOf(setting, models, id);
  const label = control.isGroup
    ? make("span", { className: "label", id: `${id}-label` }, setting.label)
    : make("label", { htmlFor: id }, setting.label);
  const reset = make("button", { type: "button", className: "reset", "aria-label": `Reset ${setting.label}`, hidden: true }, "Reset");
  reset.onclick = () => change({ [setting.name]: setting.default });
  const help = make("p", { className: "quiet", id: `${id}-help` }, `${setting.help}.`);
  const error = make("p", { className: "error", id: `${id}-error`, role: "alert", hidden: true });
  control.main.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  const isShort = setting.type === "boolean";
  const before = isShort ? make("span", { className: "control" }, ...control.elements, label) : label;
  const element = make(
    "div",
    { className: "setting" },
    make("div", { className: "name" }, before, reset),
    ...(isShort ? [] : [make("div", { className: "control" }, ...control.elements)]),
    error,
    help,
  );
  rows.set(setting.name, { setting, control, reset, error, element });
  return element;
}

function controlOf(setting, models, id) {
  const send = (value) => change({ [setting.name]: value });
  if (setting.name === "model") return picker(id, modelOptions(models), send);
  if (setting.type === "boolean") return checkbox(id, send);
  if (setting.type === "choice" && setting.choices.length <= 3) return options(setting, id, send);
  if (setting.type === "choice") return picker(id, setting.choices.map((name) => [name, name]), send);
  if (setting.type === "string") return text(setting, id, send);
  const { minimum, maximum, step } = setting;
  const isShort = minimum !== undefined && maximum !== undefined && (maximum - minimum) / step <= 200;
  return number(setting, id, send, isShort && !setting.optional);
}

function modelOptions(models) {
  return models.map((model) => {
    const place = model.is_here ? "" : `, to be downloaded${model.size ? ` (${model.size})` : ""}`;
    const speed = model.ms === null ? "" : `, ${model.ms.toPrecision(2)} ms`;
    return [model.name, `${model.name}: ${model.license}${speed}${place}`];
  });
}

function checkbox(id, send) {
  const box = make("input", { type: "checkbox", id });
  box.onchange = () => send(box.checked);
  return { main: box, elements: [box], show: (value) => (box.checked = value) };
}

function picker(id, choices, send) {
  const select = make("select", { id }, ...choices.map(([value, label]) => make("option", { value }, label)));
  select.onchange = () => send(select.value);
  const show = (value) => {
    if (![...select.options].some((option) => option.value === value))
      select.append(make("option", { value }, value));
    select.value = value;
  };
  return { main: select, elements: [select], show };
}

function options(setting, id, send) {
  const radios = setting.choices.map((value) => {
    const radio = make("input", { type: "radio", name: id, value, className: "unseen" });
    radio.onchange = () => send(value);
    return radio;
  });
  const group = make(
    "div",
    { className: "options", role: "radiogroup", "aria-labelledby": `${id}-label` },
    ...radios.map((radio) => make("label", {}, radio, radio.value)),
  );
  const show = (value) => radios.forEach((radio) => (radio.checked = radio.value === value));
  return { main: group, elements: [group], show, isGroup: true };
}

function text(setting, id, send) {
  const input = make("input", { type: "text", id, spellcheck: false, autocomplete: "off" });
  if (setting.optional) input.placeholder = "not set";
  input.onchange = () => send(input.value.trim() || (setting.optional ? null : input.value));
  return { main: input, elements: [input], show: (value) => typed(input, value ?? "") };
}

function number(setting, id, send, hasSlider) {
  const limits = { min: setting.minimum ?? "", max: setting.maximum ?? "" };
  const box = make("input", { type: "number", id, step: "any", ...limits });
  if (setting.optional) box.placeholder = "not set";
  const ready = () => send(box.value === "" ? (setting.optional ? null : setting.default) : Number(box.value));
  box.onchange = ready;
  const unit = setting.unit ? [make("span", { className: "quiet" }, setting.unit)] : [];
  if (!hasSlider) return { main: box, elements: [box, ...unit], show: (value) => typed(box, value ?? "") };
  const slider = make("input", { type: "range", id, step: setting.step, ...limits });
  box.removeAttribute("id");
  box.setAttribute("aria-label", `${setting.label}, as a number`);
  slider.oninput = () => {
    box.value = slider.value;
    send(Number(slider.value));
  };
  const show = (value) => {
    slider.value = value;
    typed(box, value);
  };
  return { main: slider, elements: [slider, box, ...unit], show };
}

// A field that is being edited is not changed.
function typed(input, value) {
  if (document.activeElement !== input || !input.dataset.typing) input.value = value;
}
document.addEventListener("input", (event) => (event.target.dataset.typing = "yes"));
document.addEventListener("change", (event) => delete event.target.dataset.typing);

function showAll() {
  if (!session.settings) return;
  for (const [name, row] of rows) {
    const value = session.settings[name];
    // A refused value stays in its field, to be corrected, until the setting changes.
    const isWrong = row.kept === value;
    row.reset.hidden = value === row.setting.default && !isWrong;
    if (isWrong || isPending(name)) continue;
    if (row.kept !== undefined) showError(name, "");
    row.control.show(value);
  }
}

// An error of a changed setting is shown at its control, if that is in use; all other errors are
// shown as messages.
function refused({ error, names }) {
  names.forEach((name) => showError(name, name === error.name ? error.message : "", true));
  const row = names.includes(error.name) && rows.get(error.name);
  if (row && row.element.contains(document.activeElement)) row.error.scrollIntoView({ block: "nearest" });
  else warn(error.message);
}

function showError(name, message, isWrong = false) {
  const row = rows.get(name);
  if (!row) return;
  const isTyped = row.control.elements.some((part) => part.matches("[type=text], [type=number]"));
  const isKept = isWrong && isTyped;
  row.kept = isKept ? session.settings[name] : undefined;
  row.error.hidden = !message;
  say(row.error, message);
  if (message || isKept) row.control.main.setAttribute("aria-invalid", "true");
  else row.control.main.removeAttribute("aria-invalid");
}
