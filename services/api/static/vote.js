// The page to vote on: one pair at a time. Every vote is kept by the server at once, so a reload goes on where one was.
const at = id => document.getElementById(id);
const root = at("vote");
const place = `/v1/experiments/${root.dataset.id}/human`;
const NAME = "touchstone-rater";
const KEYS = { 1: "left", 2: "right", 0: "tie" };
const WORDS = { left: "left is better", right: "right is better", tie: "a tie" };

let pairs = [], votes = new Map(), skipped = new Set(), now = -1, rater = "", busy = false;

function trouble(text) {
  at("trouble").textContent = text;
  at("trouble").hidden = !text;
}

/** What the server says is wrong, or that it does not answer. */
async function ask(path, options = {}) {
  const answer = await fetch(place + path, options).catch(() => null);
  if (!answer) throw new Error("The server does not answer. Nothing is lost: try again.");
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.errors?.map(one => `${one.problem}. ${one.fix}`).join(" ") || body.detail);
  return body;
}

async function begin(event) {
  event?.preventDefault();
  rater = at("rater").value.trim();
  if (!rater) return;
  localStorage.setItem(NAME, rater);
  trouble("");
  try {
    const [sheet, mine] = await Promise.all([
      ask(`/sheet?${root.dataset.query}`, { headers: { Accept: "application/json" } }),
      ask(`/votes?rater=${encodeURIComponent(rater)}`),
    ]);
    pairs = sheet.items;
    votes = new Map(mine.items.map(one => [one.row, one.vote]));
    skipped = new Set();
    at("name").textContent = rater;
    // What is known by now leaves its place to the answers.
    introduce(false);
    onward(-1);
  } catch (error) { trouble(error.message); }
}

/** Show the words at the beginning and the form for a name, or who votes. */
function introduce(first) {
  at("how").hidden = at("who").hidden = !first;
  at("as").hidden = first;
}

const open = index => !votes.has(pairs[index].row) && !skipped.has(pairs[index].row);

/** The next pair that waits for a vote after `from`, then from the beginning. */
function onward(from) {
  const order = [...pairs.keys()];
  const next = [...order.slice(from + 1), ...order.slice(0, from + 1)].find(open);
  if (next === undefined) finish(); else show(next);
}

function show(index) {
  now = index;
  const pair = pairs[index], count = pairs.filter(one => votes.has(one.row)).length;
  at("ballot").hidden = false;
  at("thanks").hidden = true;
  at("place").textContent = `Pair ${index + 1} of ${pairs.length}`;
  at("done").max = pairs.length;
  at("done").value = count;
  at("prompt").textContent = pair.prompt;
  for (const side of ["left", "right"]) at(side).textContent = pair[side] || "(an empty answer)";
  const given = votes.get(pair.row);
  for (const button of document.querySelectorAll("[data-vote]")) button.setAttribute("aria-pressed", String(button.dataset.vote === given));
  at("said").textContent = `${count} voted${skipped.size ? `, ${skipped.size} skipped` : ""}${given ? `; your vote on this one: ${WORDS[given]}` : ""}`;
  document.querySelector("[data-move=back]").disabled = index === 0;
  for (const part of ["prompt", "left", "right"]) at(part).scrollTop = 0;
  at("place").focus({ preventScroll: true });
  at("ballot").scrollIntoView({ block: "start" });
}

function finish() {
  const count = pairs.filter(one => votes.has(one.row)).length;
  at("ballot").hidden = true;
  at("thanks").hidden = false;
  at("left-out").textContent = `${count} of ${pairs.length} pairs voted on${skipped.size ? `, ${skipped.size} skipped` : ""}.`;
  at("again").hidden = !skipped.size;
  at("thanks-title").focus();
}

async function vote(choice) {
  if (busy || at("ballot").hidden) return;
  busy = true;
  const pair = pairs[now], headers = { "Content-Type": "application/json", "X-Touchstone-Form": at("form-token").value };
  try {
    await ask("/votes", { method: "POST", headers, body: JSON.stringify({ rater, votes: [{ row: pair.row, vote: choice }] }) });
    votes.set(pair.row, choice);
    skipped.delete(pair.row);
    trouble("");
    onward(now);
  } catch (error) { trouble(error.message); } finally { busy = false; }
}

function move(where) {
  if (busy || at("ballot").hidden) return;
  if (where === "back") { if (now > 0) show(now - 1); return; }
  if (!votes.has(pairs[now].row)) skipped.add(pairs[now].row);
  onward(now);
}

at("who").addEventListener("submit", begin);
at("other").addEventListener("click", () => { introduce(true); at("ballot").hidden = at("thanks").hidden = true; at("rater").focus(); });
at("again").addEventListener("click", () => { skipped = new Set(); onward(-1); });
for (const button of document.querySelectorAll("[data-vote]")) button.addEventListener("click", () => vote(button.dataset.vote));
for (const button of document.querySelectorAll("[data-move]")) button.addEventListener("click", () => move(button.dataset.move));
document.addEventListener("keydown", event => {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (KEYS[event.key]) vote(KEYS[event.key]);
  else if (event.key === "s") move("skip");
  else if (event.key === "b") move("back");
});
at("rater").value = localStorage.getItem(NAME) ?? "";
if (at("rater").value) begin();
