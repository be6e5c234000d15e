"""Evaluation: metrics, protocols, reports, and files for test servers."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tmcir.evaluation.balance import Balance
    from tmcir.evaluation.bootstrap import Metric
    from tmcir.evaluation.embedding import Embeddings, embed
    from tmcir.evaluation.report import Part, Report
    from tmcir.evaluation.scoring import evaluate, evaluate_methods, score, validation_score
    from tmcir.evaluation.submission import check_submission, write_submission
    from tmcir.evaluation.tuning import score_weights

__all__ = [
    "Balance",
    "Embeddings",
    "Metric",
    "Part",
    "Report",
    "check_submission",
    "embed",
    "evaluate",
    "evaluate_methods",
    "score",
    "score_weights",
    "validation_score",
    "write_submission",
]

_MODULES = {
    "Balance": "tmcir.evaluation.balance",
    "Embeddings": "tmcir.evaluation.embedding",
    "embed": "tmcir.evaluation.embedding",
    "evaluate": "tmcir.evaluation.scoring",
    "evaluate_methods": "tmcir.evaluation.scoring",
    "score": "tmcir.evaluation.scoring",
    "score_weights": "tmcir.evaluation.tuning",
    "validation_score": "tmcir.evaluation.scoring",
    "Metric": "tmcir.evaluation.bootstrap",
    "Part": "tmcir.evaluation.report",
    "Report": "tmcir.evaluation.report",
    "check_submission": "tmcir.evaluation.submission",
    "write_submission": "tmcir.evaluation.submission",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `evaluate` loads the model's libraries."""
    if name not in _MODULES:
        raise AttributeError(f"module 'tmcir.evaluation' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
