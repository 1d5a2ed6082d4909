"""The config of a training run: read from YAML, changed by ``a.b=value``, validated, frozen."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from cobasim.allocation import check_needs, find_allocator, make_allocator
from cobasim.data import RateOptions
from cobasim.errors import InputError, unknown_name
from cobasim.loop import LoopConfig
from cobasim.records import CHANGES_FILE, HEADER_FILE, read_header
from cobasim.settings import Frozen, changed, validated
from cobatrain.engines import EngineConfig, SamplingConfig
from cobatrain.lora import LoraConfig
from cobatrain.parallel import Layout
from cobatrain.pretrained import SOURCES
from cobatrain.tasks import check_template_kwargs, parse_task_config
from cobatrain.tracking import TRACKERS
from cobatrain.update import UpdateConfig, check_penalty, check_weighting

CONFIGS = Path(__file__).parent / "configs"
SERVED = frozenset(
    {"beliefs", "lengths", "parts", "randomness", "rounds"}
)  # what LanguageModelLearner can serve


class TinyConfig(Frozen):
    """How ``prepare`` makes a tiny model where the model folder is missing."""

    hidden: int = 128
    layers: int = 4
    heads: int = 4
    tied: bool = False
    target_pass_rate: Annotated[float, Field(gt=0, lt=1)] = 0.35
    max_steps: Annotated[int, Field(ge=1)] = 2000
    examples: Annotated[int, Field(ge=1)] = 100_000

    @property
    def sizes(self) -> dict[str, Any]:
        """Of the model, as ``cobatrain.tiny`` takes them."""
        return self.model_dump(include={"hidden", "layers", "heads", "tied"})


class ModelConfig(Frozen):
    """The policy: a folder in the Hugging Face format.

    With ``tiny`` or ``pretrained`` it is made where it is missing (``prepare``).
    """

    path: str
    tiny: TinyConfig | None = None
    pretrained: str | None = None  # a key of cobatrain.pretrained.SOURCES
    system: str | None = None  # system message of the chat template
    chat_template_kwargs: dict[str, Any] = {}  # its variables, such as enable_thinking: false
    device: str = "auto"  # auto: cuda if available, else cpu
    dtype: Literal["float32", "bfloat16"] = "float32"  # of the weights; adapters are float32
    lora: LoraConfig | None = None  # train low-rank adapters; None: all weights

    @model_validator(mode="after")
    def _made_one_way(self) -> ModelConfig:
        if self.pretrained is not None and self.pretrained not in SOURCES:
            raise unknown_name("pretrained model", self.pretrained, SOURCES)
        if self.tiny is not None and self.pretrained is not None:
            raise InputError("model.tiny and model.pretrained are both given: one makes the model")
        check_template_kwargs(self.chat_template_kwargs)
        return self

    @property
    def can_be_made(self) -> bool:
        """Whether ``prepare`` can make the folder."""
        return self.tiny is not None or self.pretrained is not None


class EvaluationConfig(Frozen):
    """Held-out accuracy: avg@k over ``samples`` completions of each of ``prompts`` prompts.

    With ``exact`` the pass rates are computed instead (``cobatrain.exact``), at the sampling
    temperature of training; ``pool`` computes those of the training prompts too.
    """

    samples: Annotated[int, Field(ge=1)] = 8
    prompts: Annotated[int, Field(ge=1)] = 500  # at most, of each data set
    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    exact: bool = False
    pool: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> EvaluationConfig:
        if self.pool and not self.exact:
            raise InputError("evaluation.pool needs evaluation.exact: the pool is never sampled")
        return self


class CheckpointConfig(Frozen):
    """When to save all that a resumed run needs, and how many saves to keep.

    ``keep`` 0 keeps the newest while the run goes on and none once it is finished: a comparison
    of a large model would fill a disk.
    """

    every: Annotated[int, Field(ge=1)] = 10
    keep: Annotated[int, Field(ge=0)] = 2


class PassRatesConfig(RateOptions):
    """A file of pass rates measured before the run, and how it is read; see docs/data.md."""

    path: str
    missing: Literal["error", "skip", "unseen"] = "skip"

    @property
    def reading(self) -> RateOptions:
        """How it is read: its prompts by name."""
        values = self.model_dump(exclude={"path"})
        if self.prompt is None and self.group_by is None:
            values["prompt"] = "prompt"
        return RateOptions(**values)


class TrainConfig(Frozen):
    """One training run."""

    model: ModelConfig
    task: dict[str, Any] = {"kind": "arithmetic"}
    loop: LoopConfig = LoopConfig()
    pass_rates: PassRatesConfig | None = None  # with loop.first_beliefs: measured
    allocator: str = "coba"
    parameters: dict[str, Any] = {}
    weighting: Literal["rollout", "token", "prompt"] = "rollout"
    sampling: SamplingConfig = SamplingConfig()
    engine: EngineConfig = EngineConfig()
    update: UpdateConfig = UpdateConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    parallel: Layout = "replicate"  # of the model, under torchrun; hybrid: sharded in each machine
    seed: Annotated[int, Field(ge=0)] = 0  # order of prompts and outcomes of rollouts
    task_seed: Annotated[int, Field(ge=0)] = 0  # prompts, and which of them are held out
    log_prob_bound: Annotated[float, Field(gt=0)] = 0.05  # nats, mean over tokens
    track: tuple[str, ...] = ()  # tensorboard, wandb: copies of the records
    recorded_samples: Annotated[int, Field(ge=0)] = 4  # rollouts a step kept as text

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        allocator = make_allocator(self.allocator, **self.parameters)
        check_needs(self.allocator, allocator.needs, SERVED, "a language model")
        if "parts" in allocator.needs:
            self.update.check_measurable(f"allocator {self.allocator!r}")
        parse_task_config(self.task)
        check_weighting(self.weighting, self.update.constant_length)
        if self.update.penalty_tokens is not None:
            check_penalty(self.update.penalty_tokens, self.sampling.max_tokens)
        if (self.pass_rates is not None) != (self.loop.first_beliefs == "measured"):
            raise InputError(
                "pass_rates.path and loop.first_beliefs=measured belong together: beliefs start "
                "from the counts of that file"
            )
        for name in self.track:
            if name not in TRACKERS:
                raise unknown_name("tracker", name, TRACKERS)
        if self.sampling.temperature == 0:
            raise InputError("sampling.temperature must be above 0: greedy groups never differ")
        if self.sampling.top_p < 1:
            raise InputError(
                "sampling.top_p must be 1: the update takes log-probs of the whole distribution "
                "(evaluation.top_p may be lower)"
            )
        return self

    @property
    def measures_parts(self) -> bool:
        """Whether updates measure what gradients are made of: as set, or for the allocator."""
        return self.update.measure_parts or "parts" in find_allocator(self.allocator).needs

    @property
    def estimator(self) -> str:
        """Name of the pass-rate rule in use."""
        return self.loop.estimator or find_allocator(self.allocator).estimator


def load_config(source: str | Path, settings: Iterable[str] = (), **chosen: Any) -> TrainConfig:
    """Read a config: a YAML file, the name of one that ships (``tiny``), or a run's folder.

    Args:
        source: path, or name.
        settings: ``a.b=value`` changes; values are read as JSON, else as text.
        chosen: changes of top-level keys; None leaves a key unchanged.

    Raises InputError for a missing or malformed file and for an unknown or invalid setting.
    """
    import yaml

    path = Path(source)
    if (path / HEADER_FILE).is_file():
        return _changed(dict(stored_config(path).model_dump(mode="json")), settings, chosen)
    if not path.is_file() and (CONFIGS / f"{path.name.removesuffix('.yaml')}.yaml").exists():
        path = CONFIGS / f"{path.name.removesuffix('.yaml')}.yaml"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in CONFIGS.glob("*.yaml")))
        raise InputError(
            f"no such config: {source}; give a YAML file, a run's folder, or one of {shipped}"
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path} holds no settings; expected a mapping of names to values")
    return _changed(values, settings, chosen)


def stored_config(run: Path) -> TrainConfig:
    """The config of a run: what it was started with, and what ``resume`` changed since.

    Raises InputError if it is not a training run, or the file of changes is damaged.
    """
    header = read_header(run)
    if header.source != "train":
        kinds = {
            "sim": "a simulated run",
            "import": "an imported log",
            "ledger": "the run of a trainer that asked a BudgetLedger",
        }
        kind = kinds.get(header.source, "foreign")
        raise InputError(f"{run} is {kind}; give a run of cobatrain")
    settings = [
        f"{name}={json.dumps(value)}"
        for change in stored_changes(run)
        for name, value in change.settings.items()
    ]
    return validated(TrainConfig, changed(header.config, settings))


class Change(Frozen):
    """Settings of a run that are other ones after a step, by dotted name."""

    after_step: Annotated[int, Field(ge=0)]
    settings: dict[str, Any]
    before: dict[str, Any]


def stored_changes(run: Path) -> list[Change]:
    """What changed in a run, in order. Raises InputError if the file is damaged."""
    file = run / CHANGES_FILE
    if not file.is_file():
        return []
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file} is damaged: {error}") from None
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InputError(f"{file} is damaged: expected a list of changes")
    return [validated(Change, value) for value in values]


def difference(config: BaseModel, stored: Mapping[str, Any]) -> list[str]:
    """Dotted names of the settings in which a config differs from a stored one.

    A setting that the stored one lacks, because it is newer, counts as its default. Raises
    InputError if the stored one is invalid.
    """
    complete = validated(type(config), dict(stored))
    return differing(config.model_dump(mode="json"), complete.model_dump(mode="json"))


def differing(values: Mapping[str, Any], others: Mapping[str, Any]) -> list[str]:
    """Dotted names of what differs between two nested dicts of plain values, in order."""
    return sorted(_differing("", values, others))


def _differing(prefix: str, value: Any, other: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        for key in {*value, *other}:
            yield from _differing(f"{prefix}{key}.", value.get(key), other.get(key))
    elif value != other:
        yield prefix.rstrip(".")


def _changed(
    values: dict[str, Any], settings: Iterable[str], chosen: Mapping[str, Any]
) -> TrainConfig:
    values |= {name: value for name, value in chosen.items() if value is not None}
    return validated(TrainConfig, changed(values, settings))
