"""What a measurement will do, decided once: prompts, method, rollouts."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cobasim.errors import InputError
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.chosen import Chosen, choose
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import only_parameters
from cobatrain.learner import LanguageModelLearner


@dataclass(frozen=True)
class Decision:
    """What will be measured of a learner, and how.

    Attributes:
        options: with ``exact`` or ``rollouts`` in place of ``auto``.
        why: a clause that says why this method.
        chosen: the prompts.
        rollouts: of each group, and with the method ``rollouts`` of each prompt.
        answers: the passing responses of the chosen prompts; None: measured with rollouts.
    """

    options: GradientOptions
    why: str
    chosen: Chosen
    rollouts: int
    answers: ExactAnswers | None


def decide(learner: LanguageModelLearner, options: GradientOptions) -> Decision:
    """What ``options`` mean for a learner.

    ``auto`` is exact where every chosen prompt has one answer that passes, and otherwise rollouts:
    without a second sketch, since what prompts have outside the directions is mostly noise there.

    Raises InputError for ``exact`` on a task that does not allow it, a model without trained
    parameters or without those that were asked for, another model or task than that of
    ``options.like``, a second sketch whose size does not divide that of the first, and fewer than
    4 rollouts.
    """
    with only_parameters(learner.model, options.parameters):
        pass
    chosen, rollouts = choose(learner, options), rollouts_of(learner, options)
    by_rollouts = replace(options, method="rollouts", rest=0)
    if options.method == "rollouts":
        return Decision(by_rollouts, "as asked", chosen, rollouts, None)
    try:
        answers = learner.exact_answers(chosen.prompts)
    except InputError as error:
        if options.method == "exact":
            raise InputError(f"--method exact: {error}") from None
        why = str(error).split(";", maxsplit=1)[0]
        return Decision(by_rollouts, why, chosen, rollouts, None)
    if options.rest and options.dim % options.rest:
        raise InputError(
            f"--rest must divide --dim: {options.rest:,} does not divide {options.dim:,}; take 0, "
            "or a power of two below it"
        )
    why = "as asked" if options.method == "exact" else "one answer passes, whose log-prob is known"
    return Decision(replace(options, method="exact"), why, chosen, rollouts, answers)


def rollouts_of(learner: LanguageModelLearner, options: GradientOptions) -> int:
    """Rollouts of a prompt: by default twice the mean budget of a step, and at least 4.

    The halves are then groups of that size. Raises InputError for fewer than 4.
    """
    if options.rollouts is not None:
        if options.rollouts < 4:
            raise InputError(
                f"a group needs at least 4 rollouts for two halves, got {options.rollouts}"
            )
        return options.rollouts
    loop = learner.config.loop
    return max(4, 2 * round(loop.total_budget / loop.batch_size))
