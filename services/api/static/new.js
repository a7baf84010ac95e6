// The form writes the spec as YAML; the server plans it while it is written, and says what it would cost.
import { calmly } from "./parts.js";
import { specOf } from "./spec.js";
import { yaml } from "./yaml.js";

const at = name => document.getElementById(name);
const fields = at("fields"), spec = at("spec"), said = at("plan");
const PLAN_MS = 500;

function values() {
  return Object.fromEntries(new FormData(fields).entries());
}

/** Show the fields that belong to what is chosen. */
function arrange() {
  const given = values();
  const holds = rule => { const [name, value] = rule.split("="); return (given[name] ?? "") === value; };
  for (const node of fields.querySelectorAll("[data-when]")) node.hidden = !holds(node.dataset.when);
  for (const node of fields.querySelectorAll("[data-unless]")) node.hidden = holds(node.dataset.unless);
}

function curl() {
  const { url, token } = at("curl").dataset;
  const bearer = token ? ` -H "Authorization: Bearer $TOUCHSTONE_TOKEN"` : "";
  at("curl").textContent = `curl -X POST ${url}/v1/experiments -H 'Content-Type: application/yaml'${bearer} --data-binary @- <<'SPEC'\n${spec.value.trimEnd()}\nSPEC`;
}

const money = usd => usd == null ? "unknown" : `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: usd && usd < 0.1 ? 4 : 2 })}`;

function price(plan) {
  const todo = plan.counts.stages - plan.counts.reused;
  const words = [`${money(plan.cost_usd)} for ${plan.requests.toLocaleString("en")} requests`];
  if (plan.cost_range && plan.cost_range[0] !== plan.cost_range[1]) words.push(`Between ${money(plan.cost_range[0])} and ${money(plan.cost_range[1])}`);
  words.push(`${todo} ${todo === 1 ? "stage" : "stages"} to do, ${plan.counts.reused} done before`);
  if (plan.device_hours) words.push(`About ${plan.device_hours.toPrecision(2)} device-hours`);
  if (plan.unknown_prices?.length) words.push(`Not counted, for want of a price: ${plan.unknown_prices.join(", ")}`);
  if (plan.over_budget) words.push("This may pass the budget: it would pause there");
  if (plan.provisional) words.push("Something in it is only declared: it can be planned, not started");
  return [words.join(". ") + ".", ...(plan.warnings ?? [])].join(" ");
}

/** What the primary difference will be able to see, in words; empty where nothing is known. */
function power(plan) {
  const found = plan.power;
  if (!found) return [];
  const points = number => number.toFixed(1), range = ends => `${points(ends[0])} to ${points(ends[1])}`;
  const from = found.experiment ? `as in experiment ${found.experiment}` : "as the paper's own errors let expect";
  const lines = [
    `With ${found.prompts.toLocaleString("en")} prompts and ${found.seeds} ${found.seeds === 1 ? "run" : "runs"} of each arm, ${from}: an interval of about ±${points(found.half_width)} points (${range(found.half_width_range)}). ` +
    `The smallest gain that ${Math.round(100 * found.share)}% of such experiments would see is ${points(found.smallest_gain)} points (${range(found.smallest_gain_range)}).`,
  ];
  if (found.delta_in_reach === false) {
    const cure = found.prompts_needed ? `about ${found.prompts_needed.toLocaleString("en")} prompts to judge on would do` : "more prompts alone will not do; more runs might";
    lines.push(`A difference of ${found.delta} points is out of reach: expect “inconclusive”, unless the arms differ by much more. ${cure[0].toUpperCase()}${cure.slice(1)}.`);
  } else if (found.delta_in_reach) lines.push(`A difference of ${found.delta} points is in reach.`);
  return lines;
}

function show(lines, warn) {
  at("power").replaceChildren(...lines.map((line, place) => {
    const node = document.createElement("p");
    node.textContent = line;
    if (place) node.className = warn ? "warn" : "good";
    return node;
  }));
  at("power").hidden = !lines.length;
}

function errors(problem) {
  const list = document.createElement("ul");
  list.className = "errors";
  for (const { field, problem: what, fix } of problem.errors?.length ? problem.errors : [{ field: "", problem: problem.detail, fix: "" }]) {
    const item = document.createElement("li"), code = document.createElement("code");
    code.textContent = field;
    item.append(code, ` ${what}. ${fix}`);
    list.append(item);
  }
  return list;
}

let latest = 0;
const plan = calmly(PLAN_MS, async () => {
  const mine = ++latest;
  const headers = { "Content-Type": "application/yaml", "X-Touchstone-Form": at("form-token").value };
  const answer = await fetch("/v1/experiments/plan", { method: "POST", body: spec.value, headers }).catch(() => null);
  // A later version of the spec was sent meanwhile.
  if (mine !== latest) return;
  for (const old of document.querySelectorAll("#price .errors")) old.remove();
  if (!answer) { said.textContent = "The server does not answer."; show([]); return; }
  const body = await answer.json();
  show(answer.ok ? power(body) : [], body.power?.delta_in_reach === false);
  said.className = answer.ok ? "price" : "soft";
  said.textContent = answer.ok ? price(body) : "It cannot be started like this:";
  if (!answer.ok) said.after(errors(body));
});

function written() {
  curl();
  plan();
}

fields.addEventListener("input", () => { arrange(); spec.value = yaml(specOf(values())); written(); });
fields.addEventListener("submit", event => event.preventDefault());
spec.addEventListener("input", written);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const from = document.querySelector(button.dataset.copy);
    await navigator.clipboard.writeText(from.value ?? from.textContent);
    button.textContent = "Copied";
  });
}
arrange();
written();
