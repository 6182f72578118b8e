from tests.inference.fixtures import artefact, engine_double, make_policy

__all__ = ["artefact", "engine_double", "make_policy"]
