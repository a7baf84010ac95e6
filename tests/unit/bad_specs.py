"""Wrong specs: a change of the small one, the field that is named for it, and words of the problem or the fix."""

from __future__ import annotations

from typing import Any

NAN, INFINITE = "nan", "inf"
"""As JSON and YAML can hold them."""
GPT: dict[str, Any] = {
    "provider": "openai",
    "model": "m",
    "base_url": "http://127.0.0.1:1/v1",
    "price": {"input": 1, "output": 2},
}
ASK = "models.critic.ask"
LIMITS = "models.critic.limits"
ENSEMBLE = {"provider": "ensemble", "members": ["one", "two"]}
TWO = {"models__one": GPT, "models__two": {**GPT, "model": "n"}}
RECORDED = {"provider": "recorded", "preferences": "dataset:labels"}

UPLOADED = {
    "pair": "{prompt} {answer_a} {answer_b}",
    "single": "{prompt} {answer}",
    "told": "{prompt} {answer} {reference}",
    "brackets": "{prompt} {answer_a} {answer_b} Answer [[A]] or [[B]].",
}
"""Templates that they name."""

Row = tuple[dict[str, Any], str, str]


def critic(**fields: Any) -> dict[str, Any]:
    return {"models__critic": {**GPT, **fields}}


def asked(**ask: Any) -> dict[str, Any]:
    return critic(ask=ask)


def rubric(*weights: Any, kind: str = "rubric") -> dict[str, Any]:
    criteria = [{"name": f"c{place}", "text": "t", "weight": weight} for place, weight in enumerate(weights)]
    return asked(kind=kind, criteria=criteria)


def limited(**limits: Any) -> dict[str, Any]:
    return critic(limits=limits)


def together(*members: Any, **more: Any) -> dict[str, Any]:
    return {"models__critic": {"provider": "ensemble", "members": list(members)}, **TWO, **more}


TEMPLATES: list[Row] = [
    (asked(kind="pairwise", template="template:none"), f"{ASK}.template", "touchstone template add none"),
    (asked(kind="pairwise", template="Which? {a}"), f"{ASK}.template", "write template:NAME"),
    (asked(kind="pairwise", template="template:../x"), f"{ASK}.template", "no safe name"),
    (asked(kind="pairwise", template="template:single"), f"{ASK}.template", "shows one answer"),
    (asked(kind="score", template="template:pair"), f"{ASK}.template", "shows two answers"),
    (asked(kind="score", template="template:told"), f"{ASK}.reference", "Name the model"),
    (asked(kind="score", template="template:single", reference="strong"), f"{ASK}.reference", "{reference}"),
    (asked(kind="rubric", criteria=[{"name": "a", "text": "t"}], template="template:single"), f"{ASK}.template",
     "{criteria}"),
    (asked(kind="pairwise", template="template:brackets", verdict="logprobs"), f"{ASK}.verdict", "verdict: label"),
    (asked(kind="pairwise", pinned="0" * 64), f"{ASK}.pinned", "Remove it"),
]  # fmt: skip

WEIGHTS: list[Row] = [
    (rubric(0, 0), f"{ASK}.criteria", "all weights are zero"),
    (rubric(-0.0), f"{ASK}.criteria", "all weights are zero"),
    (rubric(1e-320), f"{ASK}.criteria", "all weights are zero"),
    (rubric(0, kind="checklist"), f"{ASK}.criteria", "a weight above 0"),
    (rubric(-1, 2), f"{ASK}.criteria.0.weight", "0.0 or more"),
    (rubric(1, NAN), f"{ASK}.criteria.1.weight", "finite"),
    (rubric(INFINITE), f"{ASK}.criteria.0.weight", "finite"),
    (rubric(1e308, 1e308), f"{ASK}.criteria.0.weight", "1000000.0 or less"),
    (rubric(True), f"{ASK}.criteria.0.weight", "Write the number"),
    (rubric("heavy"), f"{ASK}.criteria.0.weight", "Write a number"),
    (rubric(), f"{ASK}.criteria", "at least 1"),
    (asked(kind="rubric"), f"{ASK}.criteria", "Add criteria"),
    (asked(kind="rubric", criteria=[{"name": "a", "text": "  "}]), f"{ASK}.criteria.0.text", "says nothing"),
    (asked(kind="rubric", criteria=[{"name": "a", "text": "t"}] * 2), f"{ASK}.criteria", "a name of its own"),
    (asked(kind="score", scale=[10, 1]), f"{ASK}.scale", "[lowest, highest]"),
    (asked(kind="score", scale=[0.5, 1]), f"{ASK}.scale.0", "whole number"),
]

MONEY: list[Row] = [
    ({**critic(price=None), "budget_usd": 5}, "models.critic.price", "Write `price: {input"),
    ({**critic(price="unknown"), "budget_usd": 5}, "models.critic.price", "the budget cannot be kept"),
    ({**critic(price="unknown"), "stage_budgets_usd": {"label": 5}}, "models.critic.price", "leave the budget out"),
    ({"models__critic": {"provider": "tgi", "base_url": "http://127.0.0.1:1"}, "budget_usd": 5},
     "models.critic.price", "no list price"),
    (critic(price=None), "models.critic.price", "`price: unknown`"),
    (critic(model="gpt-4-0613", price=None), "models.critic.price", "'gpt-4-0613' at 127.0.0.1"),
    (critic(model="gpt-4-0613", price=None, base_url="http://api.openai.com.example.org/v1"), "models.critic.price",
     "no list price"),
    (critic(model="gpt-99", base_url="https://api.openai.com/v1", price=None), "models.critic.price", "gpt-99"),
    (critic(price={"input": -1, "output": 2}), "models.critic.price.input", "0.0 or more"),
    (critic(price={"input": NAN, "output": 2}), "models.critic.price.input", "finite"),
    (critic(price={"input": 1}), "models.critic.price.output", "Add output"),
    (critic(price={"inputs": 1, "input": 1, "output": 1}), "models.critic.price.inputs", "Did you mean input"),
    (critic(price="free"), "models.critic.price", "`price: unknown`"),
    (critic(price=5), "models.critic.price", "US dollars per million tokens"),
    (critic(price=[1, 2]), "models.critic.price", "Write a mapping"),
    ({"budget_usd": -1}, "budget_usd", "0.0 or more"),
    ({"budget_usd": NAN}, "budget_usd", "finite"),
    ({"budget_usd": INFINITE}, "budget_usd", "finite"),
    ({"budget_usd": "$50"}, "budget_usd", "Write a number"),
    ({"budget_usd": True}, "budget_usd", "Write the number"),
    ({"budget_usd": [5]}, "budget_usd", "Write a number"),
    ({"budget": 5}, "budget", "Did you mean budget_usd"),
    ({"stage_budgets_usd": {"sample": 5}}, "stage_budgets_usd.sample", "'teach', 'label' or 'judge'"),
    ({"stage_budgets_usd": {"teach": -5}}, "stage_budgets_usd.teach", "0.0 or more"),
    ({"stage_budgets_usd": {"teach": NAN}}, "stage_budgets_usd.teach", "finite"),
]  # fmt: skip

AT_MOST: list[Row] = [
    (limited(requests_per_minute=0), f"{LIMITS}.requests_per_minute", "more than 0"),
    (limited(requests_per_minute=-1), f"{LIMITS}.requests_per_minute", "more than 0"),
    (limited(requests_per_minute=NAN), f"{LIMITS}.requests_per_minute", "finite"),
    (limited(requests_per_minute=INFINITE), f"{LIMITS}.requests_per_minute", "finite"),
    (limited(requests_per_minute="500/min"), f"{LIMITS}.requests_per_minute", "Write a number"),
    (limited(requests_per_minute=True), f"{LIMITS}.requests_per_minute", "Write the number"),
    (limited(tokens_per_minute=0), f"{LIMITS}.tokens_per_minute", "more than 0"),
    (limited(tokens_per_minute=1023), f"{LIMITS}.tokens_per_minute", "lower max_tokens"),
    (limited(concurrency=0), f"{LIMITS}.concurrency", "more than 0"),
    (limited(concurrency=-1), f"{LIMITS}.concurrency", "more than 0"),
    (limited(concurrency=1.5), f"{LIMITS}.concurrency", "whole number"),
    (limited(concurrency=10**12), f"{LIMITS}.concurrency", "100000 or less"),
    (limited(rpm=500), f"{LIMITS}.rpm", "requests_per_minute"),
    (critic(limits=500), LIMITS, "Write names and values"),
    (critic(limits=[500]), LIMITS, "Write names and values"),
    (critic(max_tokens=0), "models.critic.max_tokens", "more than 0"),
    (critic(reask={"truncated": -1}), "models.critic.reask.truncated", "0 or more"),
    (critic(reask={"truncate": 1}), "models.critic.reask.truncate", "Did you mean truncated"),
]

ORDERS: list[Row] = [
    *[(asked(kind=kind, order=order, **extra), ASK, "there is no order")
      for kind, extra in (("score", {}), ("rubric", {"criteria": [{"name": "a", "text": "t"}]}),
                          ("checklist", {"criteria": [{"name": "a", "text": "t"}]}))
      for order in ("both", "random", "fixed")],
    (asked(kind="score", flip="tie"), ASK, "no flip"),
    (asked(kind="score", verdict="logprobs"), ASK, "no verdict"),
    (asked(kind="pairwise", order="random", flip="tie"), ASK, "write `order: both`"),
    (asked(kind="pairwise", order="sometimes"), f"{ASK}.order", "'both', 'random', 'fixed' or 'reversed'"),
    (asked(kind="pairwise", order=True), f"{ASK}.order", "'both', 'random', 'fixed' or 'reversed'"),
    (asked(order="both"), f"{ASK}.kind", "Use one of: pairwise"),
    ({"models__critic": {"provider": "similarity", "towards": "strong", "ask": {"kind": "pairwise", "order": "both"}}},
     ASK, "Remove it"),
    ({"models__critic": {"provider": "reward_model", "model": "model:x", "ask": {"kind": "pairwise"}}}, ASK, "Remove"),
    ({"models__critic": {"provider": "verifiable", "check": "world", "ask": {"kind": "pairwise"}}}, ASK, "Remove it"),
    ({"models__critic": {**ENSEMBLE, "ask": {"kind": "pairwise"}}, **TWO}, ASK, "Remove it"),
    ({"models__critic": {"provider": "anthropic", "model": "claude-2",
                         "ask": {"kind": "pairwise", "verdict": "logprobs"}}}, f"{ASK}.verdict", "verdict: label"),
]  # fmt: skip

CRITICS: list[Row] = [
    (together("one", "critic"), "models.critic.members.1", "is an ensemble itself"),
    (together("one", "other", models__other={**ENSEMBLE, "members": ["critic", "one"]}), "models.critic.members.1",
     "is an ensemble itself"),
    (together("one", "nobody"), "models.critic.members.1", "is not under models"),
    (together("one", "ones"), "models.critic.members.1", "Did you mean one"),
    (together("one", "weak"), "models.critic.members.1", "cannot compare"),
    (together("one"), "models.critic.members", "at least 2"),
    (together("one", "one"), "models.critic", "twice"),
    (together("one", "copy", models__copy=GPT), "models.critic.members.1", "copy is one by another name"),
    (together("one", "labels", models__labels=RECORDED), "models.critic.members.1", "only has recorded pairs"),
    ({"models__critic": {**ENSEMBLE, "vote": "median"}, **TWO}, "models.critic.vote", "'majority' or 'mean'"),
    ({"models__critic": {"provider": "recorded"}}, "models.critic", "either completions or preferences"),
    ({"models__critic": {"provider": "recorded", "completions": "dataset:x"}}, "arms.rlaif-weak.rl.critic",
     "cannot compare"),
    ({"models__critic": RECORDED, "models__judge": GPT, "evaluations__win-rate__judge": "judge"},
     "arms.rlaif-weak.rl.pairs", "Write recorded"),
    ({"models__labels": RECORDED, "evaluations__win-rate__judge": "labels"}, "evaluations.win-rate.judge",
     "only has recorded pairs"),
    ({"arms__rlaif-weak__rl__pairs": "recorded"}, "arms.rlaif-weak.rl.pairs", "Write on_policy"),
    ({"arms__rlaif-weak__rl__per_prompt": 3}, "arms.rlaif-weak.rl.per_prompt", "pairs: recorded"),
    ({"arms__rlaif-weak__rl__samples": 10**6}, "arms.rlaif-weak.rl.samples", "256 or less"),
    ({"models__critic": {"provider": "similarity", "towards": "critic"}}, "models.critic.towards", "cannot write"),
    ({"models__critic": {"provider": "similarity", "towards": "nobody"}}, "models.critic.towards", "is not under"),
    (asked(kind="score", reference="nobody"), f"{ASK}.reference", "is not under models"),
    ({"models__critic": {"provider": "verifiable", "check": "regex", "pattern": ""}}, "models.critic.pattern", "1"),
    ({"models__critic": {"provider": "verifiable", "check": "regex", "pattern": "("}}, "models.critic", "correct it"),
    ({"critic_check": {"labels": "critic"}}, "critic_check.labels", "provider: recorded"),
]  # fmt: skip

CELLS: list[Row] = [
    ({"matrix": {}}, "matrix", "one cell"),
    ({"matrix": {"critics": []}}, "matrix.critics", "at least 1"),
    ({"matrix": {"critics": None}}, "matrix", "one cell"),
    ({"matrix": {"critics": "critic"}}, "matrix.critics", "Write a list"),
    ({"matrix": {"critics": ["critic", 7]}}, "matrix.critics.1", "Write a text"),
    ({"matrix": {"critics": ["critic", "crtic"]}}, "matrix.critics", "Did you mean critic"),
    ({"matrix": {"critics": ["critic", "critic"]}}, "matrix.critics", "twice"),
    ({"matrix": {"judges": ["critic", "weak"]}}, "matrix.judges", "cannot compare"),
    ({"matrix": {"policies": ["toy", "tuy"]}}, "matrix.policies", "Did you mean toy"),
    ({"matrix": {"fractions": [0.1, NAN]}}, "matrix.fractions.1", "finite"),
    ({"matrix": {"fractions": [0, 0.1]}}, "matrix.fractions.0", "more than 0"),
    ({"matrix": {"fractions": [0.1, True]}}, "matrix.fractions", "Write the number"),
    ({"matrix": {"fractions": [0.1, 0.101]}}, "matrix.fractions", "make the same cell"),
    ({"matrix": {"seeds": [1, 2]}}, "matrix.seeds", "critics, fractions, judges, policies"),
    ({"matrix": {"fractions": [n / 1000 for n in range(1, 900)]}}, "matrix", "899 cells"),
    ({"seeds": list(range(200)), "matrix": {"fractions": [n / 100 for n in range(1, 31)]}}, "seeds", "10,000"),
    ({"seeds": [0, True]}, "seeds", "Write the number"),
]

RL = "arms__rlaif-weak__rl"


def trained(**rl: Any) -> dict[str, Any]:
    return {f"{RL}__{name}": value for name, value in rl.items()}


def control(**fields: Any) -> dict[str, Any]:
    return {"arms__c": {"control": {"of": "rlaif-weak", **fields}}}


METHODS: list[Row] = [
    (trained(method="ppo"), "arms.rlaif-weak.rl.method", "grpo, kto, online_dpo, orpo, rloo, simpo"),
    (trained(loss="sigmoyd"), "arms.rlaif-weak.rl.loss", "Did you mean sigmoid"),
    (trained(loss="xyz"), "arms.rlaif-weak.rl.loss", "sppo_hard"),
    (trained(loss=["ipo", 7]), "arms.rlaif-weak.rl.loss.1", "Write a text"),
    (trained(loss=[]), "arms.rlaif-weak.rl.loss", "at least 1"),
    (trained(loss={"a": 1}), "arms.rlaif-weak.rl.loss", "Write a list or a single value"),
    (trained(args={"loss_type": ["ipo", "ipoo"]}), "arms.rlaif-weak.rl.args.loss_type", "Did you mean ipo"),
    (trained(args={"loss_type": ["ipo"]}, loss="ipo"), "arms.rlaif-weak.rl.loss", "Say it once"),
    (trained(loss="exo_pair"), "arms.rlaif-weak.rl.args.label_smoothing", "Write 0.001"),
    ({**trained(loss="exo_pair"), "defaults": {"rl": {"label_smoothing": 0}}},
     "arms.rlaif-weak.rl.args.label_smoothing", "Write 0.001"),
    (trained(loss="robust", args={"label_smoothing": 0.5}), "arms.rlaif-weak.rl.args.label_smoothing", "below 0.5"),
    (trained(loss="exo_pair", args={"label_smoothing": 1.5}), "arms.rlaif-weak.rl.args.label_smoothing", "below 0.5"),
    (trained(loss="aot", args={"label_smoothing": -0.1}), "arms.rlaif-weak.rl.args.label_smoothing", "from 0"),
    (trained(args={"label_smoothing": 0.1}), "arms.rlaif-weak.rl.args.label_smoothing", "nothing for the loss sigmoid"),
    (trained(loss="discopop", args={"discopop_tau": 0}), "arms.rlaif-weak.rl.args.discopop_tau", "above 0"),
    (trained(args={"ld_alpha": 1.5}), "arms.rlaif-weak.rl.args.ld_alpha", "from 0 to 1"),
    (trained(loss=["ipo", "sft"], args={"loss_weights": [1.0, "0.1"]}), "arms.rlaif-weak.rl.args.loss_weights.1",
     "no number"),
    (trained(loss="aot", args={"use_weighting": True}), "arms.rlaif-weak.rl.args.use_weighting", "sorts the batch"),
    (trained(loss="nca_pair", args={"f_divergence_type": "forward_kl"}), "arms.rlaif-weak.rl.args.f_divergence_type",
     "another loss"),
    (trained(args={"f_divergence_type": "backward_kl"}), "arms.rlaif-weak.rl.args.f_divergence_type", "forward_kl"),
    (trained(loss=["ipo", "sft"], args={"loss_weights": [1.0]}), "arms.rlaif-weak.rl.args.loss_weights", "each loss"),
    (trained(method="orpo", loss="sigmoid"), "arms.rlaif-weak.rl.loss", "has one loss"),
    (trained(method="simpo", loss="simpo"), "arms.rlaif-weak.rl.loss", "has one loss"),
    (trained(method="simpo", args={"loss_type": "ipo"}), "arms.rlaif-weak.rl.args.loss_type", "set by Touchstone"),
    (trained(method="kto", loss=["kto"]), "arms.rlaif-weak.rl.loss", "one name"),
    (trained(method="kto", loss="ipo"), "arms.rlaif-weak.rl.loss", "apo_zero_unpaired, kto"),
    (trained(method="kto", args={"per_device_train_batch_size": 1}),
     "arms.rlaif-weak.rl.args.per_device_train_batch_size", "2 or more"),
    (trained(method="kto", args={"train_sampling_strategy": "random"}),
     "arms.rlaif-weak.rl.args.train_sampling_strategy", "Remove it"),
    ({**trained(method="kto"), "defaults": {"rl": {"discopop_tau": 0.1}}}, "defaults.rl.discopop_tau", "KTOConfig"),
    ({**trained(method="kto"), "defaults": {"rl": {"learning_rate": "fast"}}}, "defaults.rl.learning_rate",
     "type float"),
    (trained(method="orpo", args={"precompute_ref_log_probs": True}),
     "arms.rlaif-weak.rl.args.precompute_ref_log_probs", "ORPOConfig has no such argument"),
    (trained(args={"precompute_ref_log_probs": "yes"}), "arms.rlaif-weak.rl.args.precompute_ref_log_probs",
     "type bool"),
    ({**trained(method="kto"), "defaults": {"rl": {"precompute_ref_log_probs": True}}},
     "arms.rlaif-weak.rl.args.precompute_ref_log_probs", "use the loss apo_zero_unpaired"),
    (trained(rounds=0), "arms.rlaif-weak.rl.rounds", "1 or more"),
    (trained(rounds=11), "arms.rlaif-weak.rl.rounds", "10 or less"),
    ({"models__critic": RECORDED, "models__judge": GPT, "evaluations__win-rate__judge": "judge",
      "arms__rlaif-strong": None, **trained(pairs="recorded", rounds=2)}, "arms.rlaif-weak.rl.rounds", "on_policy"),
]  # fmt: skip

CONTROLS: list[Row] = [
    (control(), "arms.c.control.kind", "is missing. Use one of: sft_on_chosen, best_of_n, swap"),
    (control(kind="swop"), "arms.c.control.kind", "is unknown. Use one of: sft_on_chosen"),
    (control(kind="swap"), "arms.c.control.teacher", "Add teacher"),
    (control(kind="swap", teacher="stron"), "arms.c.control.teacher", "Did you mean strong"),
    (control(kind="swap", teacher="critic"), "arms.c.control.teacher", "cannot write"),
    (control(kind="swap", teacher="strong", n=4), "arms.c.control.n", "may stand here is args"),
    (control(kind="best_of_n", n=1), "arms.c.control.n", "2 or more"),
    (control(kind="best_of_n", n=True), "arms.c.control.n", "Write the number"),
    (control(kind="best_of_n", by="judge"), "arms.c.control.by", "critic"),
    (control(kind="best_of_n", at="sampling"), "arms.c.control.by", "Write `by: reward`"),
    (control(kind="best_of_n", by="reward", at="sampling", args={"max_steps": 1}),
     "arms.c.control.args", "at sampling"),
    ({"models__check": {"provider": "verifiable", "check": "world"},
      "arms__g": {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": {"method": "grpo", "critic": "check"}},
      **control(kind="best_of_n", of="g", by="reward")}, "arms.c.control.by", "neither labelled pairs"),
    (control(kind="length_matched", within=0), "arms.c.control.within", "more than 0"),
    (control(kind="length_matched", within=1.5), "arms.c.control.within", "1.0 or less"),
    (control(kind="length_matched", args={}), "arms.c.control.args", "is not a field"),
    (control(kind="sft_on_chosen", args={"learning_rat": 1}), "arms.c.control.args.learning_rat", "learning_rate"),
    (control(kind="random_labels", of="rlaif-week"), "arms.c.control.of", "Did you mean rlaif-weak"),
    (control(kind="random_labels", of="sft-weak"), "arms.c.control.of", "rlaif-strong, rlaif-weak"),
    (control(kind="random_labels", of="c"), "arms.c.control.of", "no RL step of its own"),
    (control(kind="random_labels", of=["rlaif-weak"]), "arms.c.control.of", "is not under arms"),
    ({"arms__c": {"control": {"kind": "random_labels"}}}, "arms.c.control.of", "Name the RL arm"),
    ({"arms__c": {"control": "swap"}}, "arms.c.control", "{kind: …, of: …}"),
    ({"arms__c": {"control": {"kind": "random_labels", "of": "rlaif-weak"}, "sft": {"teacher": "weak"}}},
     "arms.c.sft", "Remove it: a control has"),
    ({**control(kind="sft_on_chosen"), **trained(rounds=2)}, "arms.c.control.of", "one round"),
    ({"models__critic": RECORDED, "models__judge": GPT, "evaluations__win-rate__judge": "judge",
      "arms__rlaif-strong": None, **trained(pairs="recorded"), **control(kind="best_of_n")}, "arms.c.control.of",
     "cannot rank new samples"),
    ({"arms": None, "preset": "teacher_or_critic", "weak": "weak", "strong": "strong", "critic": "critic",
      "controls": ["swop"]}, "controls.0", "'swap'"),
    ({"arms": None, "preset": "teacher_or_critic", "weak": "weak", "strong": "strong", "critic": "critic",
      "controls": 3}, "controls", "true or false"),
    ({"controls": True}, "controls", "preset: teacher_or_critic"),
]  # fmt: skip

CHECKER = {"provider": "verifiable", "check": "world"}


def guided(**rl: Any) -> dict[str, Any]:
    return {"arms__g": {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": rl}, "models__check": CHECKER}


GUIDED: list[Row] = [
    (guided(method="grpo"), "arms.g.rl.critic", "is missing"),
    (guided(), "arms.g.rl.critic", "is missing"),
    (guided(method="grpo", critic="critic"), "arms.g.rl.critic", "Write `reward: {}`"),
    (guided(method="grpo", critic="critic"), "arms.g.rl.critic", "reward_model: check"),
    (guided(method="dpo", critic="critic", reward={}), "arms.g.rl.reward", "means nothing for dpo"),
    (guided(method="dpo", critic="critic", teacher={"arm": "sft-weak"}), "arms.g.rl.teacher", "means nothing for dpo"),
    (guided(method="rloo", critic="check", teacher={"arm": "sft-weak"}), "arms.g.rl.teacher", "means nothing for rloo"),
    (guided(method="rloo", critic="check", samples=4), "arms.g.rl.samples", "args.num_generations"),
    (guided(method="online_dpo", critic="check", samples=4), "arms.g.rl.samples", "always gets two"),
    (guided(method="online_dpo", critic="critic"), "arms.g.rl.critic", "Write `reward: {}`"),
    (guided(method="online_dpo", critic="check", loss="hinge"), "arms.g.rl.loss", "Use one of: ipo, sigmoid"),
    (guided(method="online_dpo", critic="check", loss=["ipo", "sigmoid"]), "arms.g.rl.loss", "one name"),
    (guided(method="online_dpo", critic="check", beta=0), "arms.g.rl.beta", "above 0"),
    (guided(method="online_dpo", critic="check", args={"num_generations": 4}),
     "arms.g.rl.args.num_generations", "no such"),
    (guided(method="online_dpo", critic="check", args={"missing_eos_penalty": -1.0}),
     "arms.g.rl.args.missing_eos_penalty", "above 0"),
    (guided(method="rloo", critic="check", rounds=2), "arms.g.rl.rounds", "newest policy"),
    (guided(method="rloo", critic="check", loss="grpo"), "arms.g.rl.loss", "one loss"),
    (guided(method="grpo", critic="check", loss="xyz"), "arms.g.rl.loss", "dr_grpo"),
    (guided(method="grpo", critic="check", args={"num_generations": 1}), "arms.g.rl.args.num_generations", "2 or more"),
    (guided(method="grpo", critic="check", loss="luspo"), "arms.g.rl.args.importance_sampling_level", "Write sequence"),
    (guided(method="grpo", critic="check", args={"num_generations": 3}), "arms.g.rl.args.num_generations", "divide"),
    (guided(method="grpo", critic="check", args={"use_vllm": True}), "arms.g.rl.args.use_vllm", "by Touchstone"),
    (guided(method="grpo", critic="check", args={"num_iterations": 2}), "arms.g.rl.args.num_iterations", "Touchstone"),
    (guided(method="grpo", critic="critic", reward={"holdout": 1}), "arms.g.rl.reward.holdout", "less than 1"),
    (guided(method="grpo", critic="critic", reward={"args": {"lr": 1}}), "arms.g.rl.reward.args.lr", "RewardConfig"),
    (guided(method="grpo", critic="critic", reward={}, samples=1), "arms.g.rl.samples", "a pair needs two"),
    (guided(method="distill"), "arms.g.rl.teacher", "is missing"),
    (guided(method="distill", teacher={}), "arms.g.rl.teacher", "exactly one"),
    (guided(method="distill", teacher={"arm": "sft-week"}), "arms.g.rl.teacher.arm", "Did you mean sft-weak"),
    (guided(method="distill", teacher={"arm": "g"}), "arms.g.rl.teacher.arm", "distilled itself"),
    (guided(method="distill", teacher={"policy": "toi"}), "arms.g.rl.teacher.policy", "Did you mean toy"),
    (guided(method="distill", teacher={"policy": "toy"}), "arms.g.rl.teacher.policy", "very model"),
    (guided(method="distill", teacher={"arm": "sft-weak"}, critic="critic"), "arms.g.rl.critic", "means nothing"),
    (guided(method="distill", teacher={"arm": "sft-weak"}, samples=2), "arms.g.rl.samples", "means nothing"),
    (guided(method="distill", teacher={"arm": "sft-weak"}, beta=2), "arms.g.rl.beta", "from 0 to 1"),
    (guided(method="dpo", critic="critic", beta=0), "arms.g.rl.beta", "above 0"),
    ({**guided(method="grpo", critic="check"), "policies__toy__stop": ["x"]}, "policies.toy.stop", "end tokens"),
    ({**guided(method="grpo", critic="check"), "policies__toy__max_length": 16}, "policies.toy.max_tokens",
     "no room"),
    ({**guided(method="grpo", critic="check"), "arms__c": {"control": {"kind": "random_labels", "of": "g"}}},
     "arms.c.control.of", "no labelled pairs"),
    ({**guided(method="grpo", critic="critic", reward={"args": {"per_device_train_batch_size": 5}}),
      "policies__toy__hardware": {"gpus": 2}}, "policies.toy.hardware.gpus", "divides neither"),
    ({"defaults": {"reward": {"learning_rat": 1}}}, "defaults.reward.learning_rat", "learning_rate"),
]  # fmt: skip

MT_BENCH = {"protocol": "mt_bench", "judge": "critic"}


def more(**fields: Any) -> dict[str, Any]:
    return {"evaluations__more": fields}


def checked(**fields: Any) -> dict[str, Any]:
    return more(protocol="verifiable", **fields)


def by_more(evaluation: dict[str, Any], **worth: Any) -> dict[str, Any]:
    """It is the primary's, and this is what a difference is worth."""
    given = {"evaluations__more": evaluation, "primary__evaluation": "more@0.7", "models__rm": REWARDS}
    return {**given, "worth": worth} if worth else given


REWARDS = {"provider": "reward_model", "model": "model:x"}
RATED = {"protocol": "reward_model", "model": "rm"}

SINGLE: list[Row] = [
    (checked(check="exactly"), "evaluations.more", "use one of: exact, numeric, regex, world"),
    (checked(), "evaluations.more.check", "Add check"),
    (checked(check="regex"), "evaluations.more", "write one that regex looks for"),
    (checked(check="exact", pattern="x"), "evaluations.more", "remove `pattern`"),
    (checked(check="regex", pattern="("), "evaluations.more", "correct it"),
    (checked(check="world", answers="dataset:gold"), "evaluations.more", "remove `answers`"),
    (checked(check="exact"), "evaluations.more.answers", "`answers: dataset:NAME`"),
    (checked(check="exact", answers="gold"), "evaluations.more.answers", "write dataset:NAME"),
    (checked(check="exact", answers="dataset:gold"), "evaluations.more.answers", "touchstone dataset add"),
    (checked(check="world", temperature=-1), "evaluations.more.temperature", "0.0 or more"),
    (checked(check="world", temperature=[0.7, 0.7]), "evaluations.more.temperature", "give each once"),
    (checked(check="exact", answers="dataset:gold", pinned="0" * 64), "evaluations.more.pinned", "Remove it"),
    (checked(check="world", judge="critic"), "evaluations.more.judge", "Remove it"),
    (more(protocol="reward_model"), "evaluations.more.model", "Add model"),
    (more(protocol="reward_model", model="rm"), "evaluations.more.model", "is not under models"),
    (more(protocol="reward_model", model="critic"), "evaluations.more.model", "provider: reward_model"),
    (more(protocol="reward_model", model="weak"), "evaluations.more.model", "gives no rewards"),
    (more(protocol="mt_bench"), "evaluations.more.judge", "Add judge"),
    (more(protocol="mt_bench", judge="nobody"), "evaluations.more.judge", "is not under models"),
    ({**more(protocol="mt_bench", judge="check"), "models__check": CHECKER}, "evaluations.more.judge",
     "rates no conversations"),
    ({**more(protocol="mt_bench", judge="panel"), "models__panel": ENSEMBLE, **TWO}, "evaluations.more.judge",
     "rates no conversations"),
    (more(**MT_BENCH), "evaluations.more.questions", "touchstone dataset add mt-bench.jsonl"),
    (more(**MT_BENCH, questions="dataset:mt"), "evaluations.more.questions", "touchstone dataset add"),
    (more(**MT_BENCH, questions="dataset:mt", best_on_dev=True, temperature=[0.7, 0.0]), "evaluations.more",
     "remove `best_on_dev`"),
    (more(**MT_BENCH, turns=2), "evaluations.more.turns", "Remove it"),
    (asked(kind="mt_bench"), f"{ASK}.kind", "Use one of: pairwise"),
    (by_more(RATED), "worth.points", "`worth: {score: …}`"),
    (by_more(RATED, points=2), "worth.points", "units of reward"),
    (by_more(RATED, usd_per_point=50), "worth.usd_per_point", "units of reward"),
    (by_more(MT_BENCH, points=2), "worth.points", "points of 10"),
    (by_more(RATED, score=NAN), "worth.score", "finite"),
    (by_more(RATED, score=True), "worth.score", "Write the number"),
    ({"worth": {"score": 2}}, "worth.score", "Write `worth: {points: 2}`"),
    ({"worth": {"scores": 2}}, "worth.scores", "Did you mean score"),
]  # fmt: skip

TRUTH = {"provider": "verifiable", "check": "world", "gold": True}
GOLD = "evaluations.win-rate.gold"


def golden(gold: Any, **more: Any) -> dict[str, Any]:
    return {"models__truth": TRUTH, "evaluations__win-rate__gold": gold, **more}


GOLDEN: list[Row] = [
    (golden({"labels": "nobody"}), f"{GOLD}.labels", "is not under models"),
    (golden({"labels": "truht", "n": 20}), f"{GOLD}.labels", "Did you mean truth"),
    (golden({"labels": "weak", "n": 20}), f"{GOLD}.labels", "cannot compare"),
    (golden({"labels": "critic", "n": 20}), f"{GOLD}.labels", "is the judge"),
    (golden({"labels": "other", "n": 20}, models__other=GPT), f"{GOLD}.labels", "gold: true"),
    (golden({"labels": "people", "n": 20}, models__people={**RECORDED, "gold": True}), f"{GOLD}.labels",
     "missing: drop"),
    (golden({"labels": "truth"}), f"{GOLD}.n", "Write 38 or less"),
    (golden({"labels": "truth", "n": 9}), f"{GOLD}.n", "10 or more"),
    (golden({"labels": "truth", "n": "all"}), f"{GOLD}.n", "whole number"),
    (golden({"labels": "truth", "n": True}), f"{GOLD}.n", "Write the number"),
    (golden({"labels": "truth", "n": 20}, prompts__eval=11), f"{GOLD}.n", "Raise prompts.eval"),
    (golden({"check": "world"}), f"{GOLD}.check", "labels, n"),
    (golden({"n": 20}), f"{GOLD}.labels", "Add labels"),
    (golden("truth"), GOLD, "Write names and values"),
    ({"models__truth": TRUTH, "evaluations__other": {"protocol": "pairwise", "judge": "critic", "reference": "strong",
                                                     "gold": {"labels": "truth", "n": 20}}},
     "evaluations.other.gold", "Move it to evaluations.win-rate"),
    ({"evaluations__nll": {"protocol": "nll", "completions": "strong", "gold": {"labels": "truth"}}},
     "evaluations.nll.gold", "completions"),
    ({"models__truth": TRUTH, "primary__evaluation": "duel@0.7",
      "evaluations__duel": {"protocol": "pairwise", "judge": "critic", "between": ["rlaif-weak", "sft-strong"],
                            "gold": {"labels": "truth", "n": 20}}}, "evaluations.duel.gold", "Remove it"),
]  # fmt: skip

DUEL = {"protocol": "pairwise", "judge": "critic", "between": ["rlaif-weak", "sft-strong"]}
ARENA = {"protocol": "arena", "judge": "critic"}
EVALUATED = "evaluations.x"


def evaluated(given: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"evaluations__x": {**given, **more}}


def decided_by(given: dict[str, Any], contrast: str = "headline") -> dict[str, Any]:
    return {**evaluated(given), "primary": {"contrast": contrast, "evaluation": "x@0.7"}}


BATTLES: list[Row] = [
    (evaluated(DUEL, between=["rlaif-weak", "sft-string"]), f"{EVALUATED}.between", "Did you mean sft-strong"),
    (evaluated(DUEL, between=["rlaif-weak", "rlaif-weak"]), f"{EVALUATED}.between", "Name two arms"),
    (evaluated(DUEL, between=["rlaif-weak"]), f"{EVALUATED}.between", "Give 2"),
    (evaluated(DUEL, between=["rlaif-weak", "sft-weak", "sft-strong"]), f"{EVALUATED}.between", "2"),
    (evaluated(DUEL, between="rlaif-weak"), f"{EVALUATED}.between", "Write a list"),
    (evaluated(DUEL, between=["rlaif-weak", 7]), f"{EVALUATED}.between.1", "Write a text"),
    (evaluated(DUEL, between=None), f"{EVALUATED}.reference", "Add reference"),
    (evaluated(DUEL, reference="weak"), f"{EVALUATED}.between", "Remove one of the two"),
    (evaluated(DUEL, judge="weak"), f"{EVALUATED}.judge", "cannot compare"),
    (decided_by(DUEL, "added"), "primary.evaluation", "between: [rlaif-strong, sft-strong]"),
    (evaluated(ARENA, judge="nobody"), f"{EVALUATED}.judge", "is not under models"),
    (evaluated(ARENA, arms=["sft-weak"]), f"{EVALUATED}.arms", "at least 2"),
    (evaluated(ARENA, arms=["sft-weak", "sft-weak"]), f"{EVALUATED}.arms", "twice"),
    (evaluated(ARENA, arms=["sft-weak", "start-wek"]), f"{EVALUATED}.arms", "Did you mean start-weak"),
    (evaluated(ARENA, arms="all"), f"{EVALUATED}.arms", "Write a list"),
    (evaluated(ARENA, pairs_per_prompt=0), f"{EVALUATED}.pairs_per_prompt", "1 or more"),
    (evaluated(ARENA, pairs_per_prompt=16), f"{EVALUATED}.pairs_per_prompt", "6 arms make 15 pairs"),
    (evaluated(ARENA, pairs_per_prompt=1.5), f"{EVALUATED}.pairs_per_prompt", "whole number"),
    (evaluated(ARENA, pairs_per_prompt=True), f"{EVALUATED}.pairs_per_prompt", "Write the number"),
    (evaluated(ARENA, reference="weak"), f"{EVALUATED}.reference", "is not a field"),
    (evaluated(ARENA, temperature=-1), f"{EVALUATED}.temperature", "0.0 or more"),
    (decided_by(ARENA), "primary.evaluation", "between: [ARM A, ARM B]"),
    (evaluated(DUEL, between=["rlaif-weak", "base"]), f"{EVALUATED}.between", "Add base to also_judge"),
    (evaluated(ARENA, arms=["sft-weak", "teacher:weak"]), f"{EVALUATED}.arms", "Add teachers to also_judge"),
    ({**evaluated(ARENA, arms=["sft-weak", "bass"]), "also_judge": ["base"]}, f"{EVALUATED}.arms", "Did you mean base"),
    ({**evaluated(ARENA, temperature=[1.0, 0.0], best_on_dev=True)}, f"{EVALUATED}.best_on_dev", "Remove it"),
    ({**evaluated(ARENA), "seeds": list(range(500))}, "seeds", "10,000"),
    ({**evaluated(ARENA), "arms": {"sft-weak": {"sft": {"teacher": "weak"}}}, "contrasts": {}}, EVALUATED, "two arms"),
]  # fmt: skip
PRICED = {"provider": "recorded", "completions": "dataset:none"}


def recorded(**fields: Any) -> dict[str, Any]:
    return {"models__old": {**PRICED, **fields}}


DECLARED: list[Row] = [
    (recorded(price={}), "models.old.price", "usd_per_row"),
    (recorded(price={"input": 1}), "models.old.price", "usd_per_row"),
    (recorded(price={"input": 1, "output": 2, "usd_per_row": 1}), "models.old.price", "usd_per_row"),
    (recorded(price={"usd_per_row": -1}), "models.old.price.usd_per_row", "0.0 or more"),
    (recorded(price={"usd_per_row": True}), "models.old.price.usd_per_row", "Write the number"),
    (recorded(price={"usd_per_rows": 1}), "models.old.price.usd_per_rows", "Did you mean usd_per_row"),
    (recorded(price="unknown"), "models.old.price", "Write names and values"),
    ({"models__old": {**RECORDED, "price": {"input": 1, "output": 2}}}, "models.old", "usd_per_row"),
]

JUDGED = {"judge": "critic", "reference": "weak", "temperature": [0.7, 0.0]}
ALPACA = {"protocol": "alpaca_eval", **JUDGED}
CONTROLLED = {"protocol": "length_controlled", **JUDGED}


def judging(**more: Any) -> dict[str, Any]:
    return {f"evaluations__{name}": entry for name, entry in more.items()}


LENGTHS: list[Row] = [
    ({**judging(lc=CONTROLLED), "primary__evaluation": "lc@0.7"}, "primary.evaluation", "Write 'win-rate@0.7'"),
    ({**judging(lc=CONTROLLED), "primary__evaluation": "lc@0.0"}, "primary.evaluation", "no means of scores"),
    ({**judging(lc={**CONTROLLED, "order": "random"}), "primary__evaluation": "lc@0.7"}, "primary.evaluation",
     "`protocol: alpaca_eval` with the same judge"),
    ({**judging(lc={**CONTROLLED, "order": "random"}, alpaca=ALPACA), "primary__evaluation": "lc@0.0"},
     "primary.evaluation", "Write 'alpaca@0.0'"),
    (judging(lc={**CONTROLLED, "length_controlled": "glm"}), "evaluations.lc.length_controlled",
     "'joint' or 'alpaca_eval_minimal'"),
    (judging(lc={**CONTROLLED, "length_controlled": True}), "evaluations.lc.length_controlled", "'joint'"),
    (judging(lc={**CONTROLLED, "length_control": "joint"}), "evaluations.lc.length_control", "length_controlled"),
    (judging(lc={**CONTROLLED, "judge": "nobody"}), "evaluations.lc.judge", "is not under models"),
    (judging(lc={**CONTROLLED, "reference": "critic"}), "evaluations.lc.reference", "cannot write"),
    (judging(lc={**CONTROLLED, "temperature": [0.7, 0.7]}), "evaluations.lc.temperature", "twice"),
    (judging(lc={**CONTROLLED, "temperature": NAN}), "evaluations.lc.temperature", "finite"),
    (judging(alpaca={**ALPACA, "order": "reversed"}), "evaluations.alpaca.order", "'random', 'fixed' or 'both'"),
    (judging(alpaca={"protocol": "alpaca_eval", "judge": "critic"}), "evaluations.alpaca.reference", "Add reference"),
    ({**asked(kind="pairwise", flip="tie"), **judging(alpaca=ALPACA)}, "evaluations.alpaca.order", "`order: both`"),
    ({**asked(kind="score"), **judging(alpaca={**ALPACA, "order": "both"})}, "evaluations.alpaca.order", "Remove it"),
    ({"models__two": {"provider": "similarity", "towards": "strong"},
      **judging(lc={**CONTROLLED, "judge": "two", "order": "random"})}, "evaluations.lc.order", "Remove it"),
]  # fmt: skip

BEST = "evaluations.win-rate.best_on_dev"
BY_BEST = {"evaluations__win-rate__best_on_dev": True}
BESIDE: list[Row] = [
    ({"arms__base": {"sft": {"teacher": "weak"}}}, "arms.base", "Give it another name"),
    ({"also_judge": ["base", "judges"]}, "also_judge.1", "'base' or 'teachers'"),
    ({"also_judge": "base"}, "also_judge", "Write a list"),
    ({"null_completions": "some"}, "null_completions", "true or false"),
    ({"contrasts": {"x": ["sft-weak", "base"]}, "primary__contrast": "x"}, "contrasts.x", "Add base to also_judge"),
    ({"contrasts": {"headline": ["sft-weak", "teacher:strong"]}}, "contrasts.headline", "Add teachers to also_judge"),
    (
        {"also_judge": ["base"], "contrasts": {"headline": ["sft-weak", "bass"]}},
        "contrasts.headline", "Did you mean base",
    ),
    (
        {"also_judge": ["teachers"], "contrasts": {"headline": ["sft-weak", "teacher:weak"]}},
        "contrasts.headline", "another reference",
    ),
    ({**BY_BEST, "evaluations__win-rate__temperature": 0.7}, BEST, "two temperatures or more"),
    ({**BY_BEST, "prompts__dev": 0}, BEST, "Raise prompts.dev"),
    ({"primary__evaluation": "win-rate@best_on_dev"}, "primary.evaluation", "is not under evaluations"),
]  # fmt: skip


def served(engine: str, **arguments: Any) -> dict[str, Any]:
    """A policy on an engine, in a precision that it has."""
    toy = {"policies__toy__engine": engine, "policies__toy__precision": "bfloat16"}
    return {**toy, "policies__toy__engine_args": arguments} if arguments else toy


TOY = "policies.toy"
ENGINES: list[Row] = [
    ({"policies__toy__engine": "vllm:8000"}, f"{TOY}.engine", "embedded, tgi, vllm"),
    ({"policies__toy__engine": "tgi"}, f"{TOY}.precision", "Write `precision: bfloat16`"),
    ({"policies__toy__engine_args": {"max_model_len": 8}}, f"{TOY}.engine_args", "engine: vllm"),
    (served("tgi:http://gpu:80", quantize="fp8"), f"{TOY}.engine_args", "engine: tgi"),
    (served("vllm", max_model_length=8), f"{TOY}.engine_args.max_model_length", "TOUCHSTONE_VLLM_ARGS"),
    (served("vllm", served_model_name="x"), f"{TOY}.engine_args.served_model_name", "Use one of: block_size"),
    (served("tgi", max_model_len=8), f"{TOY}.engine_args.max_model_len", "Use one of: cuda_graphs"),
    (served("vllm", max_model_len="8k"), f"{TOY}.engine_args.max_model_len", "Write a whole number"),
    (served("vllm", max_model_len=True), f"{TOY}.engine_args.max_model_len", "Write a whole number"),
    (served("vllm", enforce_eager=1), f"{TOY}.engine_args.enforce_eager", "Write true or false"),
    (served("vllm", quantization="../x"), f"{TOY}.engine_args.quantization", "Write a text"),
    (served("tgi", quantize="--api-key"), f"{TOY}.engine_args.quantize", "Write a text"),
    ({"policies__toy__hardware": {"gpus": 0}}, f"{TOY}.hardware.gpus", "1 or more"),
    ({"policies__toy__hardware": {"gpus": 3}}, f"{TOY}.hardware.gpus", "a multiple of 3"),
    (
        {"policies__toy__hardware": {"gpus": 2}, "defaults": {"rl": {"per_device_train_batch_size": 5}}},
        f"{TOY}.hardware.gpus", "of rlaif-weak",
    ),
    ({"policies__toy__hardware": {"gpus": 2, "strategy": "zero"}}, f"{TOY}.hardware.strategy", "'fsdp'"),
    ({"policies__toy__hardware": {"strategy": "fsdp"}}, f"{TOY}.hardware.strategy", "gpus: 2"),
    (
        {
            "policies__toy__hardware": {"gpus": 2, "strategy": "fsdp"},
            "defaults__rl": {"per_device_train_batch_size": 8, "precompute_ref_log_probs": True},
        },
        f"{TOY}.hardware.strategy", "leave precompute_ref_log_probs out",
    ),
    (
        {"policies__toy__hardware": {"gpus": 2, "strategy": "fsdp", "zero_stage": 3}},
        f"{TOY}.hardware.zero_stage", "strategy: deepspeed",
    ),
    (
        {"policies__toy__hardware": {"gpus": 2, "strategy": "deepspeed", "zero_stage": 4}},
        f"{TOY}.hardware.zero_stage", "2 or 3",
    ),
    (
        {"policies__toy__hardware": {"gpus": 2, "strategy": "fsdp"}, "policies__toy__lora": {"quantize": "nf4"}},
        f"{TOY}.hardware.strategy", "lora.quantize",
    ),
    *(
        (
            {**guided(method=method, critic="check"), "policies__toy__hardware": {"gpus": 2, "strategy": strategy}},
            f"{TOY}.hardware.strategy", f"g's rl.method {method}",
        )
        for method, strategy in (("grpo", "fsdp"), ("rloo", "deepspeed"))
    ),
    (served("tgi", disable_custom_kernels=False), f"{TOY}.engine_args.disable_custom_kernels", "Leave it out"),
]  # fmt: skip

BAD: list[Row] = [
    *METHODS, *CONTROLS, *GUIDED, *ENGINES,
    *GOLDEN, *DECLARED, *TEMPLATES, *WEIGHTS, *MONEY, *AT_MOST, *ORDERS, *CRITICS, *CELLS, *BATTLES, *BESIDE, *LENGTHS,
    *SINGLE,
]  # fmt: skip
