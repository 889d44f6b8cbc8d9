// Getting in: the token of this run, and how a tab that was open gets the one of the next run.

const KEPT = "greenroom-token";
const WORDS = {
  missing: [
    "This is not the whole address",
    "greenroom’s page needs a token, which is at the end of its address.",
  ],
  used: [
    "This address was used, or is too old",
    "It works once, for a minute, and for the user who runs greenroom.",
  ],
  refused: [
    "This page is not let in any more",
    "greenroom was started anew, or a new token was made, since the page was opened. Or it is another program that answers at this address.",
  ],
};

let token = null;
// Proves who this tab is after a restart. It is in no storage: another program that answered at
// this address in the meantime could read that, if the tab were reloaded.
let key = null;
let isOut = false;

export const credentials = () => ({ Authorization: `Bearer ${token}` });
// The only header of a WebSocket that a page may choose.
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

// What was in the address leaves it before anything else happens.
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

// greenroom shows first that it has the key: another program at this address is told nothing.
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
    return error instanceof Away ? "away" : "refused"; // what makes no sense is not greenroom's
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

// Tells whether the page may go on.
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

// Another address in the same tab differs after the # alone, which does not load the page again.
addEventListener("hashchange", () => {
  if (/^#(code|token)=/.test(location.hash)) location.reload();
});
