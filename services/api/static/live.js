// What runs, as it runs: the server's events change single rows; whatever needs more is drawn anew by the server.
import { Curves } from "./curves.js";
import { graph } from "./graph.js";
import { calmly, make, refresh } from "./parts.js";
import { Rates } from "./rates.js";

const at = name => document.getElementById(name);
const LEAVING = 10_000;
const OPEN = ["running", "waiting", "ready"];

/** Follow an experiment until it ends. */
export function follow(id) {
  const stages = new Map(), rates = new Rates(), curves = new Curves(at("curves"), rowOf);
  const redraw = calmly(1500, async () => {
    await refresh();
    for (const stage of stages.values()) row(stage);
    graph(stages);
  });
  const draw = calmly(200, () => { now(stages, rates); graph(stages); });
  let state = null;

  function update(data, whole) {
    let missing = false, judged = false;
    for (const stage of data.stages) {
      const before = stages.get(stage.key);
      judged ||= !whole && stage.state === "committed" && before?.state !== "committed" && ["judge", "report"].includes(stage.kind);
      judged ||= !whole && Boolean(stage.error || stage.reason) !== Boolean(before?.error || before?.reason);
      stages.set(stage.key, stage);
      rates.note(stage);
      missing = !row(stage) || missing;
    }
    head(data, stages);
    draw();
    if (missing || judged || (state && state !== data.state)) redraw();
    state = data.state;
  }

  const source = new EventSource(`/v1/experiments/${id}/events`);
  source.addEventListener("open", () => { at("link").hidden = true; });
  source.addEventListener("error", () => { at("link").hidden = false; });
  source.addEventListener("snapshot", event => update(JSON.parse(event.data), true));
  source.addEventListener("update", event => update(JSON.parse(event.data), false));
  source.addEventListener("metrics", event => { const said = JSON.parse(event.data); curves.add(said.key, said.row); });
  // Buttons, verdict and order of the page differ from now on.
  source.addEventListener("end", () => { source.close(); setTimeout(reload, 700); });
  document.addEventListener("click", event => { if (event.target.closest("a[href]")) clicked = performance.now(); });

  fetch(`/v1/experiments/${id}/curves`).then(answer => answer.json()).then(found => curves.load(found.stages)).catch(() => {});
  activity();
  setInterval(activity, 5000);
  setInterval(draw, 2000);
}

let clicked = -Infinity;

/** Load the page again, but not while a link's page is on its way: that would take the click back. */
function reload() {
  const wait = clicked + LEAVING - performance.now();
  if (wait > 0) setTimeout(reload, wait);
  else location.reload();
}

function rowOf(key) {
  return document.querySelector(`.stage[data-key="${key}"]`);
}

/** Bring one stage's row up to date; false where the page has no such row yet. */
function row(stage) {
  const node = rowOf(stage.key);
  if (!node) return false;
  const field = name => node.querySelector(`[data-field="${name}"]`);
  const { done, total } = stage.progress;
  node.dataset.state = stage.state;
  field("state").textContent = stage.reused ? "reused" : stage.state;
  field("state").className = `pill ${stage.state}`;
  field("amount").textContent = total > 1 ? `${Math.round(done).toLocaleString("en")} of ${Math.round(total).toLocaleString("en")}` : "";
  field("where").textContent = (stage.workers || []).join(", ");
  field("note").textContent = stage.error || stage.reason || "";
  node.querySelector("progress").value = stage.state === "committed" ? 1 : total ? Math.min(1, done / total) : 0;
  const group = node.closest(".group");
  group.querySelector("[data-done]").textContent = group.querySelectorAll('.stage[data-state="committed"]').length;
  return true;
}

function head(data, stages) {
  at("state").textContent = data.state;
  at("state").className = `pill ${data.state}`;
  at("counts").textContent = `${data.counts.committed || 0} of ${stages.size}, ${data.counts.reused || 0} reused`;
  at("running").textContent = data.counts.running || 0;
  const dollars = usd => `$${usd.toFixed(usd && usd < 0.1 ? 4 : 2)}`;
  const budget = data.budget?.usd != null ? data.budget : null;
  at("cost").textContent = budget ? `${dollars(budget.spent_usd)} of ${dollars(budget.usd)}` : dollars(data.cost_usd || 0);
  if (budget && at("spent")) at("spent").value = budget.spent_usd;
}

/** What runs now, with its rate and the time it still takes. */
function now(stages, rates) {
  const open = [...stages.values()].filter(stage => OPEN.includes(stage.state));
  at("busy").replaceChildren(...open.filter(stage => stage.state === "running").slice(0, 12).map(stage => {
    const name = rowOf(stage.key)?.dataset.name || stage.kind, { done, total } = stage.progress;
    const bar = make("progress", { max: 1, value: total ? Math.min(1, done / total) : 0, "aria-label": name });
    const who = (stage.workers || []).join(", ");
    return make("li", {}, make("strong", {}, name), bar, make("small", {}, [rates.words(stage), who && `on ${who}`].filter(Boolean).join(" · ")));
  }));
  at("eta").textContent = rates.left(stages.values());
}

let again;

async function activity() {
  if (document.hidden) return;
  const answer = await fetch("/v1/activity").catch(() => null);
  if (!answer?.ok) return;
  const { queues } = await answer.json();
  for (const queue of queues) {
    const node = document.querySelector(`[data-queue="${queue.queue}"]`);
    if (!node) continue;
    node.querySelector('[data-field="workers"]').textContent = queue.workers ?? "…";
    node.querySelector('[data-field="waiting"]').textContent = queue.waiting;
    node.classList.toggle("short", queue.workers === 0 && queue.waiting > 0);
  }
  // The first to ask hears what is known; the workers' answers are there a second later.
  clearTimeout(again);
  if (queues.some(queue => queue.workers === null)) again = setTimeout(activity, 1000);
}
