import doctest
import importlib
import pkgutil

import pytest

import pendio

MODULES = [module.name for module in pkgutil.walk_packages(pendio.__path__, "pendio.") if "__main__" not in module.name]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings_are_true(name):
    module = importlib.import_module(name)
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_exists(name):
    module = importlib.import_module(name)
    for public in getattr(module, "__all__", ()):
        assert hasattr(module, public), f"{name}.{public}"
