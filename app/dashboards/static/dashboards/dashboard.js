// Draws the charts, and again with each news.
"use strict";

document.addEventListener("htmx:afterSettle", () => Charts.update());

Charts.update();
