// The dashboard asks for news every five seconds, but not while nobody sees it.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) htmx.trigger("#live", "seen-again");
});

// Without an answer the numbers would grow old looking new.
document.addEventListener("htmx:afterRequest", (event) => {
  document.getElementById("stale").hidden = event.detail.successful;
});

document.addEventListener("htmx:afterSettle", () => Charts.update());

Charts.update();
