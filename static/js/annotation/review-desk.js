// A verdict from the annotators' own desk: its steps go to the reviewer's door, and what belongs to
// a lease (drafts, heartbeats) goes nowhere, since nobody holds one.

import { $ } from "lib/dom";

const { step } = $("#verdict").dataset;
const real = window.fetch.bind(window);

window.fetch = async (address, options = {}) => {
  const path = new URL(address, location.href).pathname;
  if (path.startsWith("/api/assignments/")) {
    return new Response("{}", { status: 200, headers: { "Content-Type": "application/json" } });
  }
  if (path !== new URL($("#work").dataset.step, location.href).pathname) return real(address, options);
  const answer = await real(step, options);
  if (!answer.ok) return answer;
  location.assign((await answer.json()).next);
  return new Promise(() => {}); // the page is left
};
