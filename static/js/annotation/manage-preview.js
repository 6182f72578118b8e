// The preview of the desk. It runs the desk's own module, with the doors it knocks at replaced: a
// step goes to the preview's, which only checks the answer, and drafts and heartbeats go nowhere.

import { $ } from "lib/dom";

const { step } = $("#trial").dataset;
const real = window.fetch.bind(window);

window.fetch = async (address, options = {}) => {
  const path = new URL(address, location.href).pathname;
  if (path.startsWith("/api/assignments/")) {
    return new Response("{}", { status: 200, headers: { "Content-Type": "application/json" } });
  }
  if (path !== new URL($("#work").dataset.step, location.href).pathname) return real(address, options);
  const answer = await real(step, options);
  if (answer.ok) show(await answer.clone().json());
  return answer;
};

function show({ stored }) {
  if (!stored) return;
  $("#stored-body").textContent = JSON.stringify(stored, null, 2);
  $("#stored").showModal();
}
