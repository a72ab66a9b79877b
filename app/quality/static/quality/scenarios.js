// The report on paper.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("print-report");
  button.hidden = false;
  button.addEventListener("click", () => window.print());
});

// On paper nothing can be opened.
window.addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("#scenarios details")) part.open = true;
});
