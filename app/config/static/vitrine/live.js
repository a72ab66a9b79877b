// The page's live part asks for news by itself (its hx-trigger), but not while nobody sees it.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) htmx.trigger("[hx-trigger$='seen-again']", "seen-again");
});

// Without an answer it would grow old looking new.
document.addEventListener("htmx:afterRequest", (event) => {
  document.getElementById("stale").hidden = event.detail.successful;
});
