"""All jobs of the package, small, on this machine, without network."""

from tmcir.quickstart.run import Console, Plan, QuickstartReport, quickstart

__all__ = ["Console", "Plan", "QuickstartReport", "quickstart"]
