// The request log does not jump: a pill says how many requests are new, and loads them when clicked.

const pill = document.getElementById("new-requests");
const MOST = 999;
let count = 0;

document.body.addEventListener("usage", (event) => {
  count += event.detail.length;
  if (!pill || count === 0) return;
  pill.textContent = count > MOST ? `${MOST}+ new requests` : `${count} new request${count === 1 ? "" : "s"}`;
  pill.hidden = false;
});
