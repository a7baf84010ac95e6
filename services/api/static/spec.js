// The form's values as a spec: `preset: teacher_or_critic` with the models that were chosen.
const ROLES = ["weak", "strong", "critic", "judge", "reference"];
const QUALITY = { weak: "accuracy", strong: "accuracy", reference: "accuracy", critic: "error_rate", judge: "error_rate" };
const number = text => text === "" || text == null ? undefined : Number(text);

function model(given, role) {
  const of = name => given[`${role}.${name}`] || undefined;
  if (of("provider") === "openai") return { provider: "openai", model: of("model") ?? "", base_url: of("base_url"), api_key: of("api_key") };
  if (of("provider") === "recorded") return { provider: "recorded", [QUALITY[role] === "accuracy" ? "completions" : "preferences"]: of("dataset") ?? "" };
  // Another seed than the teachers' and the critic's, so that their mistakes are not the same.
  const seed = ["judge", "reference"].includes(role) ? 1 : undefined;
  return { provider: "simulated", [QUALITY[role]]: number(of("quality")), seed };
}

/** A spec as plain data; what is undefined is left out. */
export function specOf(given) {
  const toy = given.base === "";
  const temperatures = given.temperature.split(",").map(part => part.trim()).filter(Boolean).map(Number);
  const first = Number.isInteger(temperatures[0]) ? temperatures[0].toFixed(1) : String(temperatures[0]);
  return {
    name: given.name,
    seeds: [...Array(Number(given.seeds)).keys()],
    prompts: {
      source: given.source === "world" ? { world: { seed: 0 } } : given.source,
      train: number(given.train), dev: number(given.dev), eval: number(given.eval),
    },
    policies: {
      base: toy ? { base: { pretrain: {} }, max_tokens: 16 } : { model: given.base === "hub" ? given.hub : given.base, chat_template: given.chat_template || undefined },
    },
    models: Object.fromEntries(ROLES.map(role => [role, model(given, role)])),
    preset: "teacher_or_critic",
    weak: "weak", strong: "strong", critic: "critic",
    fraction: number(given.fraction),
    rl: { beta: number(given.beta) },
    defaults: toy ? {
      sft: { learning_rate: 0.001, num_train_epochs: 2, per_device_train_batch_size: 32 },
      rl: { learning_rate: 0.0003, num_train_epochs: 3, per_device_train_batch_size: 32 },
    } : undefined,
    evaluations: { "win-rate": { protocol: "pairwise", judge: "judge", reference: "reference", temperature: temperatures } },
    primary: { contrast: "headline", evaluation: `win-rate@${first}` },
    worth: { points: number(given.points) },
    budget_usd: number(given.budget),
  };
}
