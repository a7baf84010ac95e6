"""The experiment spec: what a person writes, as typed data. `shared/specparse.py` reads it and names its mistakes."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, SerializeAsAny

from shared.llm.providers import PROVIDERS
from shared.protocols import PROTOCOLS
from shared.specbase import SpecModel
from shared.world.pretrain import PretrainSettings

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9._ +-]{0,62}[A-Za-z0-9])?$")]
DatasetName = Annotated[str, Field(pattern=r"^dataset:[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

if TYPE_CHECKING:
    from shared.llm.providers import ModelSpec as Model
    from shared.protocols import Evaluation
else:
    # Unions of whatever is registered, told apart by one field each.
    Model = Annotated[reduce(or_, PROVIDERS.values()), Field(discriminator="provider")]
    Evaluation = Annotated[reduce(or_, PROTOCOLS.values()), Field(discriminator="protocol")]


class WorldSource(SpecModel):
    """Prompts of the simulated world: a pool of `count` distinct prompts made from `seed`."""

    seed: int = 0
    count: int = Field(6000, ge=1, le=20_000)


class SimulatedPrompts(SpecModel):
    world: WorldSource


class Prompts(SpecModel):
    """Where prompts come from and how many go to each split."""

    source: DatasetName | SimulatedPrompts
    train: int = Field(ge=1)
    dev: int = Field(0, ge=0)
    eval: int = Field(ge=2)


class Pretrain(SpecModel):
    """A base model made on the spot, in the simulated world."""

    pretrain: PretrainSettings


class Lora(SpecModel):
    """Low-rank adapters (Hu et al. 2021), merged into the weights before the commit."""

    r: int = Field(16, ge=1)
    alpha: int = Field(32, ge=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    target_modules: list[str] | Literal["all-linear"] = "all-linear"


class Policy(SpecModel):
    """A base model to be trained: a hub's or uploaded model, or one pretrained on the spot."""

    model: str | None = Field(None, description="hub name, or `model:NAME` for one added by `touchstone model add`")
    base: Pretrain | None = None
    chat_template: str | None = Field(None, description="a named template; None: the model's own")
    precision: Literal["float32", "bfloat16"] = "float32"
    lora: Lora | None = None
    max_tokens: int = Field(512, ge=1, description="most tokens of a sampled completion")
    max_length: int | None = Field(
        None, ge=8, description="most tokens of prompt and completion in training and scoring"
    )
    top_p: float = Field(1.0, gt=0, le=1)
    stop: list[str] = []
    engine: str = Field("embedded", description="embedded, or a server that runs already: tgi:URL, openai:URL or a URL")


class Sft(SpecModel):
    """Supervised fine-tuning on a teacher's demonstrations of the first `fraction` of the train prompts."""

    teacher: str
    fraction: float = Field(1.0, gt=0, le=1)
    args: dict[str, Any] = {}


class Rl(SpecModel):
    """Preference optimisation on the train prompts that the arm's SFT did not use."""

    method: str = "dpo"
    critic: str
    pairs: Literal["on_policy", "recorded"] = "on_policy"
    samples: int = Field(2, ge=2, description="completions sampled for each prompt; the first two are the pair")
    temperature: float = Field(1.0, gt=0)
    per_prompt: int = Field(1, ge=1, description="recorded pairs taken for each prompt")
    beta: float = Field(0.1, gt=0)
    args: dict[str, Any] = {}


class Arm(SpecModel):
    """One training recipe under comparison."""

    policy: str | None = None
    sft: Sft
    rl: Rl | None = None


class Defaults(SpecModel):
    """TRL arguments that every arm's step takes, unless the arm says otherwise."""

    sft: dict[str, Any] = {}
    rl: dict[str, Any] = {}


class Primary(SpecModel):
    """The one contrast, under one evaluation, that the verdict is made from."""

    contrast: str = "headline"
    evaluation: str


class WorthPoints(SpecModel):
    points: float


class WorthPrice(SpecModel):
    usd_per_point: float = Field(gt=0)


class Preset(SpecModel):
    """`preset: teacher_or_critic`: the four arms of Sharma et al. 2024, section 4."""

    weak: str
    strong: str
    critic: str
    fraction: float = Field(0.1, gt=0, lt=1)
    rl: dict[str, Any] = {}


class Spec(SpecModel):
    """One experiment."""

    name: Name
    seeds: list[int] = Field([0], min_length=1)
    prompts: Prompts
    policies: dict[Name, Policy] = Field(min_length=1)
    models: dict[Name, SerializeAsAny[Model]] = Field(min_length=1)
    arms: dict[Name, Arm] = Field(min_length=1)
    defaults: Defaults = Defaults()
    evaluations: dict[Name, SerializeAsAny[Evaluation]] = Field(min_length=1)
    primary: Primary
    contrasts: dict[Name, tuple[str, str]] = {}
    worth: WorthPoints | WorthPrice = WorthPoints(points=2.0)
    looks: int = Field(1, ge=1, description="how often the primary contrast will be looked at, declared beforehand")
    tuning_trials: dict[str, int] = Field(
        {}, description="settings tried for each arm, on dev; unequal ones are invalid"
    )
    budget_usd: float | None = Field(None, ge=0)
