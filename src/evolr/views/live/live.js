"use strict";
// A page is whole without this: it keeps it up to date, by the parts that the server sends whenever they are others.
const connection = document.getElementById("connection");
let version = document.body.dataset.version;
let source = null;

/** Makes `old` what `fresh` is, and keeps every element that is still there: focus, selection and scrolling stay. */
function update(old, fresh) {
  if (old.nodeName !== fresh.nodeName) { old.replaceWith(fresh); return; }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  }
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  after.forEach((child, place) => {
    if (place < before.length) update(before[place], child);
    else old.append(child);
  });
  before.slice(after.length).forEach((child) => child.remove());
}

function receive(event) {
  version = event.lastEventId;
  for (const [name, html] of Object.entries(JSON.parse(event.data))) {
    const part = document.getElementById(name);
    if (part === null) { location.reload(); return; } // a page that had an error has sections now
    const fresh = part.cloneNode(false);
    fresh.innerHTML = html;
    update(part, fresh);
  }
}

function connect() {
  source = new EventSource(`${document.body.dataset.stream}?since=${encodeURIComponent(version)}`);
  source.addEventListener("parts", receive);
  source.addEventListener("open", () => { connection.textContent = ""; });
  source.addEventListener("error", () => {
    const again = source.readyState === EventSource.CLOSED ? "Load the page again to go on." : "Trying again.";
    connection.textContent = `No connection to evolr serve: this is how it was. ${again}`;
  });
}

function follow() {
  if (source !== null) source.close();
  source = null;
  if (!document.hidden) connect(); // a page that nobody sees costs nothing
}

document.addEventListener("visibilitychange", follow);
window.addEventListener("pagehide", () => { if (source !== null) source.close(); });
window.addEventListener("pageshow", follow);
