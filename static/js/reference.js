// The API reference: open the call an address names, and send the forms that try one.

const frame = document.querySelector(".reference");

function openNamed() {
  const call = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (call?.matches("details")) call.open = true;
}

function addressOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  for (const input of form.querySelectorAll("input[data-place]")) {
    if (input.dataset.place === "path") path = path.replace(`{${input.name}}`, encodeURIComponent(input.value));
    else if (input.value) query.set(input.name, input.value);
  }
  return query.size ? `${path}?${query}` : path;
}

async function send(form) {
  const headers = { "X-CSRFToken": frame.dataset.csrf };
  const body = form.elements.body?.value;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(addressOf(form), { method: form.dataset.method, headers, body });
  const text = await response.text();
  const shown = text ? JSON.stringify(JSON.parse(text), null, 2) : "";
  return `HTTP ${response.status}\n${shown}`;
}

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-try]");
  if (!form) return;
  event.preventDefault();
  const answer = form.querySelector("[data-answer]");
  const code = answer.querySelector("code");
  answer.hidden = false;
  code.textContent = "…";
  try {
    code.textContent = await send(form);
  } catch {
    code.textContent = "The call did not reach the server, or its answer was no JSON. Try again.";
  }
});

window.addEventListener("hashchange", openNamed);
openNamed();
