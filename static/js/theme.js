// Runs before the first paint: applies the remembered theme and tells the server the time zone.
(() => {
  const root = document.documentElement;
  root.classList.add("scripted");

  let theme = null;
  try {
    theme = localStorage.getItem("theme");
  } catch {
    // Storage may be switched off; the system's theme is used then.
  }
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const secure = location.protocol === "https:" ? "; secure" : "";
  if (zone) document.cookie = `time_zone=${encodeURIComponent(zone)}; path=/; max-age=31536000; samesite=lax${secure}`;
})();
