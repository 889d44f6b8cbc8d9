// Authentication: the token of this run, and how an open tab gets the token of the next run.

const KEPT = "greenroom-token";
const WORDS = {
  missing: [
    "This address is incomplete",
    "greenroom’s page needs a token, which is at the end of its address.",
  ],
  used: [
    "This address has expired",
    "It works once, for a minute, and for the user who runs greenroom.",
  ],
  refused: [
    "This page is logged out",
    "greenroom was restarted, or a new token was made, since the page was opened. Or another program answers at this address.",
  ],
};

let token = null;
// Authenticates this tab after a restart. It is kept in memory only: another program that answers at
// this address meanwhile could read any storage, if the tab were reloaded.
let key = null;
let isOut = false;

export const credentials = () => ({ Authorization: `Bearer ${token}` });
// The subprotocol is the only header of a WebSocket that a page can set.
export const protocols = () => ["greenroom", `token.${token}`];

function keep(found) {
  token = found;
  sessionStorage.setItem(KEPT, found);
}

function tellOutside(kind) {
  isOut = true;
  sessionStorage.removeItem(KEPT);
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  const [title, why] = WORDS[kind];
  document.getElementById("outside-title").textContent = title;
  document.getElementById("outside-why").textContent = why;
  document.title = `${title} – greenroom`;
  document.body.classList.add("outside");
}

const encoded = (bytes) => btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
const decoded = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));

class Away extends Error {}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch {
    throw new Away();
  }
}

const post = (path, body) =>
  reach(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

// The secret is removed from the address before anything else happens.
function readAddress() {
  const found = new URLSearchParams(location.hash.slice(1));
  if (location.hash || location.search) history.replaceState(null, "", "/");
  return { code: found.get("code"), given: found.get("token") };
}

async function takeKey() {
  const response = await reach("/api/key", { headers: credentials() });
  if (!response.ok) return false;
  const raw = decoded((await response.json()).key);
  key = await crypto.subtle.importKey("raw", raw, { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]);
  return true;
}

// greenroom proves first that it has the key, so another program at this address learns nothing.
async function prove() {
  const nonce = encoded(crypto.getRandomValues(new Uint8Array(32))).replaceAll("=", "");
  const hello = await post("/api/hello", { nonce });
  if (!hello.ok) return false;
  const theirs = await hello.json();
  const text = (who) => new TextEncoder().encode(`${who} ${nonce} ${theirs.nonce}`);
  if (!(await crypto.subtle.verify("HMAC", key, decoded(theirs.proof), text("server")))) return false;
  const proof = encoded(new Uint8Array(await crypto.subtle.sign("HMAC", key, text("page"))));
  const entered = await post("/api/enter", { nonce, proof });
  if (!entered.ok) return false;
  keep((await entered.json()).token);
  return true;
}

async function outcome(work) {
  try {
    return (await work()) ? "in" : "refused";
  } catch (error) {
    return error instanceof Away ? "away" : "refused"; // an invalid answer is not from greenroom
  }
}

// After the connection broke: "in" again, "refused" for good, or greenroom is "away".
export async function comeBack() {
  const state = await outcome(key ? prove : takeKey);
  if (state === "refused") tellOutside("refused");
  return state;
}

async function redeem(code) {
  const entered = await post("/api/enter", { code });
  if (entered.ok) keep((await entered.json()).token);
  return entered.ok;
}

// Returns whether the page is authenticated.
export async function enter() {
  const { code, given } = readAddress();
  token = given ?? sessionStorage.getItem(KEPT);
  if (code && (await outcome(() => redeem(code))) !== "in") tellOutside("used");
  else if (!token) tellOutside("missing");
  else {
    keep(token);
    await comeBack();
  }
  return !isOut;
}

// A new address in the same tab differs only after the #, which does not reload the page.
addEventListener("hashchange", () => {
  if (/^#(code|token)=/.test(location.hash)) location.reload();
});
