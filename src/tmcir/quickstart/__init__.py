"""Everything the package does, small, on this machine, without a network."""

from tmcir.quickstart.run import Console, Plan, QuickstartReport, quickstart

__all__ = ["Console", "Plan", "QuickstartReport", "quickstart"]
