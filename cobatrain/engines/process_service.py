"""What an engine process runs: an engine, answering the calls of a `SubprocessEngine`."""

import traceback
from typing import Any

from cobatrain.engines.base import EngineError
from cobatrain.engines.registry import make_engine
from cobatrain.processes import Parent


def serve(parent: Parent) -> None:
    """Run an engine for its parent: one (method, arguments) after another, first "start"."""
    engine: Any = None
    try:
        for method, arguments in parent:
            answer: tuple[str, Any]
            try:
                if method == "start":
                    engine = make_engine(*arguments)
                    answer = ("value", None)
                elif method == "generate":
                    answer = ("value", engine.answer(*arguments))
                else:
                    answer = ("value", getattr(engine, method)(*arguments))
            except Exception as error:
                traceback.print_exc()
                answer = ("error", _sendable(method, error))
            parent.send(answer)
    finally:
        if engine is not None:
            engine.close()


def _sendable(method: str, error: Exception) -> Exception:
    """The error as one of the two kinds that an engine raises, without what cannot be pickled."""
    if isinstance(error, EngineError):
        return EngineError(*error.args)
    if isinstance(error, ValueError):
        return ValueError(str(error))
    return EngineError(f"{method} failed: {error!r}")
