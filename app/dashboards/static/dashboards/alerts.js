// The list asks for news every ten seconds, but not while nobody sees it.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) htmx.trigger("#alerts", "seen-again");
});

// Without an answer the list would grow old looking new.
document.addEventListener("htmx:afterRequest", (event) => {
  document.getElementById("alerts-stale").hidden = event.detail.successful;
});
