"""The main job: one whole disaster-recovery drill over real bytes, step by step, each step judged."""

from drillbed.drill.run import Options, run_drill

__all__ = ["Options", "run_drill"]
