"""Shared by all tests; each area keeps its fixtures in its own folder."""

from hypothesis import HealthCheck, settings

# No limit on time: a busy machine is not a failure. Examples are the same in every run, so a red test stays red.
settings.register_profile(
    "chatcore", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("chatcore")

pytest_plugins = ["tests.databases", "tests.servers"]
