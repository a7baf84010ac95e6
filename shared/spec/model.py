"""The experiment spec: what a person writes, as typed data. `shared/spec/parse.py` reads it and names its mistakes."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
)

from shared.budget import Budget, PaidKind
from shared.controls import CONTROLS
from shared.engines import ENGINES, check_engine
from shared.kinds import MOST_GPUS
from shared.llm.providers import PROVIDERS
from shared.methods import PREFERENCES
from shared.protocols import PROTOCOLS
from shared.spec.base import (
    BY_DECLARATION,
    BY_SHAPE,
    DECLARED,
    LIST,
    MAPPING,
    PLAIN,
    DatasetName,
    DeclaredDataset,
    SpecModel,
)
from shared.spec.declared import DeclaredModel
from shared.spec.swept import Swept, Tuning
from shared.world.pretrain import PretrainSettings

NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._ +-]{0,62}[A-Za-z0-9])?$"
Name = Annotated[str, Field(pattern=NAME_PATTERN)]

if TYPE_CHECKING:
    from shared.controls import Control
    from shared.llm.providers import ModelSpec as Model
    from shared.protocols import Evaluation
else:
    # Unions of whatever is registered, told apart by one field each.
    Model = Annotated[reduce(or_, PROVIDERS.values()), Field(discriminator="provider")]
    Evaluation = Annotated[reduce(or_, PROTOCOLS.values()), Field(discriminator="protocol")]
    Control = Annotated[reduce(or_, CONTROLS.values()), Field(discriminator="kind")]


MAX_LOSS = "a mean loss beyond which the training is given up as diverged; None: 50 times the first, and 50 at least"


class WorldSource(SpecModel):
    """Prompts of the simulated world: a pool of `count` distinct prompts made from `seed`."""

    seed: int = Field(0, ge=0)
    count: int = Field(6000, ge=1, le=20_000)


class SimulatedPrompts(SpecModel):
    world: WorldSource


class Prompts(SpecModel):
    """Where prompts come from and how many go to each split."""

    source: Annotated[
        Annotated[DatasetName, Tag(PLAIN)]
        | Annotated[SimulatedPrompts, Tag(MAPPING)]
        | Annotated[DeclaredDataset, Tag(DECLARED)],
        BY_DECLARATION,
    ]
    train: int = Field(ge=1)
    dev: int = Field(0, ge=0)
    eval: int = Field(ge=2)


class Pretrain(SpecModel):
    """A base model made on the spot, in the simulated world."""

    pretrain: PretrainSettings


class Lora(SpecModel):
    """Low-rank adapters (Hu et al. 2021), merged into the weights before the commit, and kept beside them."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: Annotated[
        Annotated[list[str], Tag(LIST)] | Annotated[Literal["all-linear"], Tag(PLAIN)], BY_SHAPE
    ] = "all-linear"
    quantize: Literal["nf4", "fp4"] | None = Field(
        None, description="QLoRA: the weights under the adapters in 4 bits while training; needs a GPU and bitsandbytes"
    )


class Hardware(SpecModel):
    """What one training of a policy runs on. It is no part of what a stage is: the batch stays the same."""

    gpus: int = Field(1, ge=1, le=MOST_GPUS, description="how many; the batch is divided among them")
    strategy: Literal["ddp", "fsdp", "deepspeed"] = Field(
        "ddp",
        description="what each of several GPUs holds: the whole model (ddp), or a share of it, of its gradients and of "
        "its optimizer (fsdp; deepspeed, which the trainers must have installed)",
    )
    zero_stage: Literal[2, 3] | None = Field(
        None, description="of deepspeed: 2 shares optimizer and gradients, 3 the weights too; None: 2"
    )
    share: bool = Field(
        False, description="trainings and engines of a host take its GPU in turn, by a lock (TOUCHSTONE_GPU_LOCK)"
    )

    def options(self) -> dict[str, Any]:
        """What a stage that trains says of it; nothing of a single GPU that it has to itself."""
        shared = {"share": True} if self.share else {}
        if self.gpus == 1:
            return shared
        told: dict[str, Any] = {"gpus": self.gpus, **shared}
        if self.strategy != "ddp":
            told["strategy"] = self.strategy
        return told if self.zero_stage is None else {**told, "zero_stage": self.zero_stage}


class Policy(SpecModel):
    """A base model to be trained: a hub's or uploaded model, or one pretrained on the spot."""

    model: str | None = Field(None, description="hub name, or `model:NAME` for one added by `touchstone model add`")
    base: Pretrain | None = None
    declared: DeclaredModel | None = Field(None, description="a hub's model that is not there: to plan, not to run")
    chat_template: str | None = Field(None, description="a named template; None: the model's own")
    precision: Literal["float32", "bfloat16"] = "float32"
    lora: Lora | None = None
    attention: Literal["eager", "sdpa", "flash_attention_2", "flash_attention_3", "flex_attention"] | None = Field(
        None, description="how training computes attention, by transformers' name; None: the model's own"
    )
    max_tokens: int = Field(512, ge=1, description="most tokens of a sampled completion")
    max_length: int | None = Field(
        None, ge=8, description="most tokens of prompt and completion in training and scoring"
    )
    top_p: float = Field(1.0, gt=0, le=1)
    stop: list[Annotated[str, Field(min_length=1)]] = []
    hardware: Hardware = Hardware()
    engine: Annotated[str, AfterValidator(check_engine)] = Field("embedded", description=ENGINES)
    engine_args: dict[str, Any] = Field(
        {}, description="of tgi or vllm where the inference service starts it: shared/engines.py has what may be set"
    )


class Sft(Swept):
    """Supervised fine-tuning on a teacher's demonstrations of the first `fraction` of the train prompts."""

    teacher: str
    fraction: float = Field(1.0, gt=0, le=1)
    max_loss: float | None = Field(None, gt=0, description=MAX_LOSS)


class DistilledFrom(SpecModel):
    """Whose probabilities of the next token an arm is to learn: exactly one of the two."""

    arm: str | None = Field(None, description="another arm: its model of the same seed")
    policy: str | None = Field(None, description="a name under `policies`: that model as it is before any training")


class RewardTraining(SpecModel):
    """A reward model, trained from the arm's start on its critic's labelled pairs."""

    holdout: float = Field(
        0.1, gt=0, lt=1, description="the share of the prompts whose pairs only measure how often it agrees"
    )
    args: dict[str, Any] = {}


class Rl(Swept):
    """The step after SFT, on the train prompts that the arm's SFT did not use."""

    method: str = Field(
        "dpo", description="one of shared/methods: dpo, kto, orpo, cpo, simpo, grpo, rloo, online_dpo or distill"
    )
    loss: (
        Annotated[Annotated[str, Tag(PLAIN)] | Annotated[list[str], Field(min_length=1), Tag(LIST)], BY_SHAPE] | None
    ) = Field(None, description="one of TRL's losses of this method, or several for dpo; None: TRL's own")
    critic: str | None = Field(
        None,
        description="who labels the pairs; of grpo, rloo, online_dpo a check or reward model that rewards completions",
    )
    teacher: DistilledFrom | None = Field(None, description="distill: a checkpoint of the same tokenizer")
    reward: RewardTraining | None = Field(
        None, description="grpo, rloo, online_dpo: by a model trained on the critic's labelled pairs; {} will do"
    )
    pairs: Literal["on_policy", "policy_vs_teacher", "recorded"] = Field(
        "on_policy", description="two samples of the start; one of them and a teacher's completion; recorded pairs"
    )
    samples: int | None = Field(
        None, ge=1, le=256, description="completions sampled for each prompt; None: 2, and 1 against a teacher"
    )
    choose: Literal["first_two", "random_two", "all", "best_worst"] = Field(
        "first_two", description="which pairs of a prompt's samples; best_worst compares all and keeps one"
    )
    opponent: str | None = Field(
        None, description="policy_vs_teacher: a name under `models`; None: the teacher of the arm's SFT"
    )
    temperature: float = Field(1.0, gt=0)
    per_prompt: int = Field(1, ge=1, description="recorded pairs taken for each prompt")
    beta: float | None = Field(
        None, ge=0, description="None: the method's usual one, 0.1; simpo 2, rloo 0.05, grpo 0, distill 1"
    )
    rounds: int = Field(
        1, ge=1, le=10, description="how often to sample, label and train, each time from the policy before"
    )
    max_loss: float | None = Field(None, gt=0, description=MAX_LOSS)

    @property
    def sampled(self) -> int:
        """Completions sampled for each prompt."""
        return self.samples or (1 if self.pairs == "policy_vs_teacher" else 2)

    @property
    def on_pairs(self) -> bool:
        """Whether anything in it is trained on a critic's labelled pairs."""
        return self.method not in PREFERENCES or PREFERENCES[self.method].guide == "pairs" or self.reward is not None


class Arm(SpecModel):
    """One training recipe under comparison."""

    policy: str | None = None
    sft: Sft
    rl: Rl | None = None
    control: SerializeAsAny[Control] | None = Field(
        None, description="in place of the others: what this arm does otherwise than the RL arm that it is a control of"
    )

    @model_serializer(mode="wrap")
    def _as_written(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # A control's policy, SFT and RL settings are those of its arm: read with it again (`expand_controls`).
        data: dict[str, Any] = handler(self)
        return data if self.control is None else {"control": data["control"]}


class Defaults(SpecModel):
    """TRL arguments that every arm's step takes, unless the arm says otherwise."""

    sft: dict[str, Any] = {}
    rl: dict[str, Any] = {}
    reward: dict[str, Any] = {}


class Primary(SpecModel):
    """The one contrast, under one evaluation, that the verdict is made from."""

    contrast: str = "headline"
    evaluation: str


class WorthPoints(SpecModel):
    points: float


class WorthPrice(SpecModel):
    usd_per_point: float = Field(gt=0)


class WorthScore(SpecModel):
    """For a primary whose scores are not percent: a difference in its own unit."""

    score: float


def _worth(value: Any) -> str:
    for shape, field, tag in ((WorthPrice, "usd_per_point", "<price>"), (WorthScore, "score", "<score>")):
        if isinstance(value, shape) or (isinstance(value, dict) and field in value):
            return tag
    return "<points>"


Worth = Annotated[
    Annotated[WorthPoints, Tag("<points>")]
    | Annotated[WorthPrice, Tag("<price>")]
    | Annotated[WorthScore, Tag("<score>")],
    Discriminator(_worth),
]


class Matrix(SpecModel):
    """Axes that multiply the arms into cells; K cells are K primary contrasts, and each is decided at 1 - .05/K."""

    policies: list[str] | None = Field(None, min_length=1, description="replaces the policy of every arm")
    critics: list[str] | None = Field(None, min_length=1, description="replaces rl.critic of every arm that has one")
    judges: list[str] | None = Field(None, min_length=1, description="replaces the judge of every evaluation with one")
    fractions: list[Annotated[float, Field(gt=0, le=1)]] | None = Field(
        None,
        min_length=1,
        description="replaces sft.fraction of every arm with rl; arms of SFT alone keep theirs. 1.0 stands for those, "
        "makes no cell, and would leave an RL step no prompts",
    )


ControlKind = Literal["sft_on_chosen", "best_of_n", "swap", "random_labels", "length_matched"]


class Preset(SpecModel):
    """`preset: teacher_or_critic`: the four arms of Sharma et al. 2024, section 4, and controls of one of them."""

    weak: str
    strong: str
    critic: str
    fraction: float = Field(0.1, gt=0, lt=1)
    rl: dict[str, Any] = {}
    controls: Annotated[Annotated[bool, Tag(PLAIN)] | Annotated[list[ControlKind], Tag(LIST)], BY_SHAPE] = Field(
        False, description="controls of rlaif-weak: all of them, or those of some kinds"
    )


class CriticCheck(SpecModel):
    """Recorded pairs that every critic and judge is asked about too, so that its card can say how far it agrees with
    their labels; with `gold: true` under the labels' model, also how often it errs."""

    labels: str = Field(description="a name under `models`: recorded preferences")
    split: Literal["eval", "dev", "train"] = Field("eval", description="of whose prompts; a recorded pair each")


class Spec(SpecModel):
    """One experiment."""

    name: Name
    # Above 32 bits NumPy takes no seed.
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field([0], min_length=1)
    prompts: Prompts
    policies: dict[Name, Policy] = Field(min_length=1)
    models: dict[Name, SerializeAsAny[Model]] = Field(min_length=1)
    arms: dict[Name, Arm] = Field(min_length=1)
    matrix: Matrix | None = None
    defaults: Defaults = Defaults()
    evaluations: dict[Name, SerializeAsAny[Evaluation]] = Field(min_length=1)
    primary: Primary
    contrasts: dict[Name, tuple[str, str]] = {}
    worth: Worth = WorthPoints(points=2.0)
    looks: int = Field(
        1, ge=1, le=1000, description="how often the primary contrast will be looked at, declared beforehand"
    )
    tuning_trials: dict[str, Annotated[int, Field(ge=0)]] = Field(
        {}, description="settings tried for each arm, on dev; unequal ones are invalid; sweeps are counted besides"
    )
    tuning: Tuning = Tuning()
    critic_check: CriticCheck | None = None
    report_to: list[Literal["mlflow", "wandb", "tensorboard"]] = Field(
        [], description="who else is told of every training, through TRL; the trainers' environment has what they need"
    )
    also_judge: list[Literal["base", "teachers"]] = Field(
        ["base", "teachers"], description="who is judged beside the arms: untrained policies, and what teachers write"
    )
    null_completions: bool = Field(
        True, description="whether judges are also shown answers that say nothing, on 50 eval prompts"
    )
    device_hour_usd: float | None = Field(
        None, ge=0, description="what an hour of training or sampling costs, for delta and for cost against quality"
    )
    budget_usd: float | None = Field(None, ge=0, description="what the experiment may spend on endpoints, a hard stop")
    stage_budgets_usd: dict[PaidKind, Annotated[float, Field(ge=0)]] = Field(
        {}, description="the same for all stages of a kind: teach, label, judge"
    )

    @property
    def budget(self) -> Budget | None:
        """What it may spend; None where nothing is bounded."""
        return Budget.of(self.budget_usd, {str(kind): usd for kind, usd in self.stage_budgets_usd.items()})
