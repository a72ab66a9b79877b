// The page's live part polls for updates (its hx-trigger), but not while the page is hidden.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  if (document.hidden) event.preventDefault();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) htmx.trigger("[hx-trigger$='seen-again']", "seen-again");
});

// Without updates, show that the data may be out of date.
document.addEventListener("htmx:afterRequest", (event) => {
  document.getElementById("stale").hidden = event.detail.successful;
});
