// The list: follows what changes, and compares exactly two.
import { refresh } from "./parts.js";

const EVERY_MS = 5000;

function offer() {
  const button = document.getElementById("compare-button");
  if (!button) return;
  const boxes = [...document.querySelectorAll("#compare input[type=checkbox]")];
  const chosen = boxes.filter(box => box.checked);
  button.disabled = chosen.length !== 2;
  button.textContent = chosen.length === 2 ? "Compare the two chosen" : `Choose two to compare (${chosen.length} of 2)`;
  for (const box of boxes) box.disabled = chosen.length >= 2 && !box.checked;
}

async function follow() {
  if (document.hidden) return;
  const chosen = new Set([...document.querySelectorAll("#compare input:checked")].map(box => box.value));
  // A choice that somebody is making must not be taken from under the pointer.
  if (chosen.size || !document.getElementById("compare")) return;
  await refresh(["list"]).catch(() => {});
  offer();
}

document.addEventListener("change", event => { if (event.target.matches("#compare input")) offer(); });
document.querySelector("#filters select")?.addEventListener("change", event => event.target.form.requestSubmit());
offer();
setInterval(follow, EVERY_MS);
