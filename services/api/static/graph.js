// The graph of stages, as their states change. The order of states is that of pages/graph.py.
const TELLING = ["failed", "waiting", "running", "ready", "cancelled", "pending", "committed"];

/** Bring every node up to date; `stages` has the stages by their keys. */
export function graph(stages) {
  const states = new Map([...stages.values()].map(stage => [stage.key.slice(0, 12), stage.state]));
  for (const node of document.querySelectorAll(".graph .node")) {
    const keys = node.dataset.keys.split(" "), found = keys.map(key => states.get(key)).filter(Boolean);
    if (!found.length) continue;
    const state = TELLING.find(one => found.includes(one)), done = found.filter(one => one === "committed").length;
    const label = `${node.dataset.title}: ${state}${keys.length > 1 ? `, ${done} of ${keys.length} done` : ""}`;
    if (node.getAttribute("aria-label") === label) continue;
    node.dataset.state = state;
    node.setAttribute("aria-label", label);
    node.querySelector("title").textContent = label;
    const count = node.querySelector(".count");
    if (count) count.textContent = `${done}/${keys.length}`;
  }
}
