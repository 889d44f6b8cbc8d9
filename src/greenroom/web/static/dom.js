// Creating and finding elements. Text is always set as text, never as HTML.

export const $ = (id) => document.getElementById(id);

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.includes("-")) element[name] = value;
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// Change only what differs, so that screen readers and selections are not disturbed.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

export function warn(message, isGood = false) {
  const dismiss = make("button", { type: "button", title: "Dismiss (Escape)", "aria-label": "Dismiss" }, "✕");
  const shown = make("div", { className: isGood ? "alert good" : "alert" }, make("p", {}, message), dismiss);
  dismiss.onclick = () => shown.remove();
  $("alerts").append(shown);
  while ($("alerts").children.length > 3) $("alerts").firstChild.remove();
  setTimeout(() => shown.remove(), isGood ? 4000 : 12000);
}

// Dismisses the newest message; returns whether there was one.
export function dismissAlert() {
  const newest = $("alerts").lastElementChild;
  newest?.remove();
  return Boolean(newest);
}

export function confirmed(text, yes) {
  const dialog = $("confirm-dialog");
  say($("confirm-text"), text);
  say($("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
