"""How features are measured: from the answers that pass, or from rollouts."""

from __future__ import annotations

from dataclasses import replace

from cobasim.errors import InputError
from cobatrain.gradients.chosen import choose
from cobatrain.gradients.options import GradientOptions
from cobatrain.learner import LanguageModelLearner


def with_method(
    learner: LanguageModelLearner, options: GradientOptions
) -> tuple[GradientOptions, str]:
    """The options with ``exact`` or ``rollouts`` in place of ``auto``, and a clause that says why.

    ``auto`` is exact where every chosen prompt has one answer that passes, and otherwise rollouts:
    without a second sketch, since what prompts have outside the directions is mostly noise there.

    Raises InputError for ``exact`` on a task that does not allow it.
    """
    by_rollouts = replace(options, method="rollouts", rest=0)
    if options.method == "rollouts":
        return by_rollouts, "as asked"
    try:
        learner.exact_answers(choose(learner, options).prompts)
    except InputError as error:
        if options.method == "exact":
            raise InputError(f"--method exact: {error}") from None
        return by_rollouts, str(error).split(";", maxsplit=1)[0]
    why = "as asked" if options.method == "exact" else "one answer passes, whose log-prob is known"
    return replace(options, method="exact"), why
