// The scenarios ask for news every ten seconds, but not while nobody sees them.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) htmx.trigger("#scenarios", "seen-again");
});

// Without an answer the verdicts would grow old looking new.
document.addEventListener("htmx:afterRequest", (event) => {
  document.getElementById("scenarios-stale").hidden = event.detail.successful;
});

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("print-report");
  button.hidden = false;
  button.addEventListener("click", () => window.print());
});

// On paper nothing can be opened.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("#scenarios details")) part.open = true;
});
