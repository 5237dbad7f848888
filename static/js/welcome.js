// The dot that waits for the first request of the key on this page, and turns when it has arrived.

const box = document.getElementById("first-request");
const text = document.getElementById("first-request-text");
const link = document.getElementById("first-request-link");
const GOOD_ENDINGS = new Set(["completed", "client_left"]);

document.body.addEventListener("usage", ({ detail: events }) => {
  const ours = events.filter((event) => event.key_id.replaceAll("-", "") === box.dataset.key);
  if (ours.length === 0 || box.classList.contains("arrived")) return;
  const good = ours.find((event) => GOOD_ENDINGS.has(event.ending));
  const shown = good ?? ours.at(-1);
  text.textContent = good
    ? `First request received: ${good.summary}`
    : `A request arrived and failed with ${shown.status}. Waiting for one that succeeds`;
  link.href = `${box.dataset.requests}${shown.id}/`;
  link.textContent = good ? "Look at it" : "See why";
  link.hidden = false;
  box.classList.toggle("arrived", Boolean(good));
});
