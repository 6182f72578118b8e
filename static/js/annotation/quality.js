// The quality page: while numbers are being counted, it looks again until they are there.

import { $, announce } from "lib/dom";
import { api } from "lib/api";

const PAUSES = [1500, 2000, 3000, 5000, 8000, 15_000];
const node = $("#state");
const bar = $("#progress");

async function lookAgain(attempt) {
  try {
    const { state, progress } = await api.get(node.dataset.address);
    bar.value = progress;
    bar.hidden = !progress;
    if (state === "fresh") {
      announce(node.textContent);
      location.reload();
      return;
    }
  } catch (error) {
    if (!error.isTransient) return;
  }
  plan(attempt + 1);
}

function plan(attempt) {
  if (attempt > 40) return;
  setTimeout(() => {
    if (document.querySelector("details[open]")) plan(attempt + 1); // someone is writing
    else lookAgain(attempt);
  }, PAUSES[Math.min(attempt, PAUSES.length - 1)]);
}

if (node.dataset.state !== "fresh") plan(0);
