"""These tests run where only `drillbed[harness]` is installed: the environment `harness` of tox. Elsewhere they prove nothing."""

from importlib.util import find_spec

collect_ignore = ["test_clean_environment.py"] if find_spec("flask") else []
