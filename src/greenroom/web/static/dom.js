// Making and finding elements. Text is always set as text, never as HTML.

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

// Change the page only where something is new: screen readers and selections stay undisturbed.
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function press(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

export function warn(message, isGood = false) {
  const shown = make("p", { className: isGood ? "good" : "" }, message);
  $("alerts").append(shown);
  while ($("alerts").children.length > 3) $("alerts").firstChild.remove();
  setTimeout(() => shown.remove(), isGood ? 4000 : 12000);
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
