// Printing.
"use strict";

document.addEventListener("DOMContentLoaded", () => {
  const button = document.getElementById("print-report");
  button.hidden = false;
  button.addEventListener("click", () => window.print());
});

// Print all details: nothing can be expanded on paper.
window.addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("#scenarios details")) details.open = true;
});
