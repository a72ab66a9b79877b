// Forms that have the browser make a passkey, or use one (data-passkey: create or get).
//
// When the form is sent, the shop is asked for a question, and the browser's answer goes with the
// form.
"use strict";

const MAKES = {
  create: (options) => navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options),
  }),
  get: (options) => navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options),
  }),
};
const UNSUPPORTED = "This browser can't use passkeys. Update it, or use another one.";
const UNREACHABLE = "The shop did not answer as expected. Reload the page and try again.";

class Refusal extends Error {}

// Returns the shop's question.
async function question(form) {
  const response = await fetch(form.dataset.question, {
    method: "POST",
    body: new URLSearchParams(new FormData(form)),
  });
  if (response.status === 429) {
    const seconds = response.headers.get("Retry-After");
    throw new Refusal(`Too many attempts. Try again in ${seconds} seconds.`);
  }
  if (!response.headers.get("Content-Type").startsWith("application/json")) {
    throw new Refusal(UNREACHABLE);
  }
  const content = await response.json();
  if (!response.ok) throw new Refusal(content.error);
  return content;
}

// Returns what to do about an error of the browser, which does not tell a refusal from a time-out.
function advice(error, options, started) {
  if (error instanceof Refusal) return error.message;
  if (options === null) return UNREACHABLE;
  if (error.name === "InvalidStateError") return "This device has a passkey for you already.";
  if (error.name !== "NotAllowedError") {
    return "Your browser could not use a passkey. Try again, or use another browser.";
  }
  return performance.now() - started >= options.timeout
    ? "This took too long. Press the button to try again."
    : "No passkey was chosen. Press the button to try again.";
}

async function answer(form, failed) {
  let options = null;
  const started = performance.now();
  try {
    options = await question(form);
    const passkey = await MAKES[form.dataset.passkey](options);
    form.elements.answer.value = JSON.stringify(passkey.toJSON());
    form.submit();
    return true;
  } catch (error) {
    failed.textContent = advice(error, options, started);
    failed.hidden = false;
    return false;
  }
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  const failed = form.querySelector("[data-failed]");
  const button = form.querySelector("button");
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) {
    failed.textContent = UNSUPPORTED;
    failed.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    continue;
  }
  button.hidden = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    failed.hidden = true;
    button.disabled = true;
    button.disabled = await answer(form, failed);
  });
}
