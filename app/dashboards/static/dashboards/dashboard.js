// Draws the charts on load and after each update.
"use strict";

document.addEventListener("htmx:afterSettle", () => Charts.update());

Charts.update();
