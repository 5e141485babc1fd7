"""What the tests leave behind stands with all else that is built."""

from pathlib import Path

from hypothesis import configuration, settings

configuration.set_hypothesis_home_dir(Path(__file__).parents[1] / "target" / "python" / "hypothesis")
# A shared machine is slow at times; how long an example takes says nothing.
settings.register_profile("package", deadline=None)
settings.load_profile("package")
