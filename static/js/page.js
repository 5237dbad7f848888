// Small behaviours of every page: theme switch, copy buttons, tabs, menus that close.

const announce = (text) => {
  const live = document.getElementById("announcements");
  if (live) live.textContent = text;
};

// Theme: light and dark; the choice is remembered on this device.
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-theme-switch]");
  if (!button) return;
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("theme", root.dataset.theme);
  } catch {
    // Not remembered where storage is switched off.
  }
  announce(`${root.dataset.theme} theme`);
  document.dispatchEvent(new CustomEvent("themechange"));
});

// Copy buttons: the text is the attribute, or the content of the element it names.
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy], [data-copy-from]");
  if (!button) return;
  const source = button.dataset.copyFrom && document.getElementById(button.dataset.copyFrom);
  const text = source ? source.textContent : button.dataset.copy;
  const label = button.querySelector("[data-label]");
  const before = label.textContent;
  try {
    await navigator.clipboard.writeText(text);
    label.textContent = "Copied";
    announce("Copied");
  } catch {
    label.textContent = "Select and copy by hand";
  }
  setTimeout(() => { label.textContent = before; }, 2000);
});

// Tabs: panels become one after another under a list of tabs.
for (const tabs of document.querySelectorAll("[data-tabs]")) {
  const buttons = [...tabs.querySelectorAll("[role=tab]")];
  const select = (chosen) => {
    for (const button of buttons) {
      const isChosen = button === chosen;
      button.setAttribute("aria-selected", isChosen);
      button.tabIndex = isChosen ? 0 : -1;
      document.getElementById(button.getAttribute("aria-controls")).hidden = !isChosen;
    }
  };
  tabs.addEventListener("click", (event) => {
    const button = event.target.closest("[role=tab]");
    if (button) select(button);
  });
  tabs.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const position = buttons.indexOf(event.target);
    if (!step || position < 0) return;
    const next = buttons[(position + step + buttons.length) % buttons.length];
    select(next);
    next.focus();
  });
  if (buttons.length) select(buttons[0]);
}

// Menus close when another thing is clicked or Escape is pressed.
const closeMenus = (except) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu !== except) menu.open = false;
  }
};
document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  const open = document.querySelector("details.menu[open]");
  if (!open) return;
  open.open = false;
  open.querySelector("summary").focus();
});
