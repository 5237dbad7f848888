// What is live: listens to the organization's WebSocket and tells the page what was recorded.
//
// <body data-live="/ws/o/<slug>/live"> opens it. Each message becomes a `usage` event on the body, whose
// detail is the list of recorded requests, and soon after a `recorded` event for those who read the page
// again. After a gap in the connection both are sent too.

const path = document.body.dataset.live;
const LONGEST_WAIT_MS = 15000;
const REFRESH_EVERY_MS = 2000;
const NOT_A_MEMBER = 4404;

// Whoever reads afresh does so at most every two seconds, and always once more after the last event.
let isWaiting = false;
let isLate = false;
const refresh = () => {
  if (isWaiting) {
    isLate = true;
    return;
  }
  isWaiting = true;
  document.body.dispatchEvent(new CustomEvent("recorded"));
  setTimeout(() => {
    isWaiting = false;
    if (isLate) {
      isLate = false;
      refresh();
    }
  }, REFRESH_EVERY_MS);
};

const tell = (events) => {
  document.body.dispatchEvent(new CustomEvent("usage", { detail: events }));
  refresh();
};
const mark = (isLive) => {
  for (const dot of document.querySelectorAll("[data-live-dot]")) dot.hidden = !isLive;
};

function connect(waitMs) {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(`${scheme}//${location.host}${path}`);
  let wasOpen = false;

  socket.addEventListener("open", () => {
    wasOpen = true;
    mark(true);
    if (waitMs > 0) tell([]);
  });
  socket.addEventListener("message", (message) => tell(JSON.parse(message.data).events));
  socket.addEventListener("close", (closing) => {
    mark(false);
    if (closing.code === NOT_A_MEMBER) return;
    const nextMs = wasOpen ? 500 : Math.min(LONGEST_WAIT_MS, Math.max(500, waitMs * 2));
    setTimeout(() => connect(nextMs), nextMs);
  });
}

if (path) connect(0);
