// An experiment's page: asks before it cancels, and follows one that runs.
import { follow } from "./live.js";

document.addEventListener("submit", event => {
  const question = event.target.querySelector("[data-confirm]")?.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

const root = document.getElementById("experiment");
if (["running", "paused"].includes(root.dataset.state)) follow(root.dataset.id);
