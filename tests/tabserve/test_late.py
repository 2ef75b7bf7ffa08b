"""What is not installed is named with its extra."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tabserve import MissingExtra, late


def test_an_optional_package_is_loaded_or_named() -> None:
    assert late.load_optional("json", "x", "this").loads("1") == 1
    assert late.load_name("math", "pi") == pytest.approx(3.14159, abs=1e-5)
    assert late.has("json")
    assert not late.has("no_such_package")
    with pytest.raises(MissingExtra, match=r"plots needs more packages: pip install 'tabserve\[x\]'"):
        late.load_optional("no_such_package", "tabserve[x]", "plots")


def test_the_client_imports_nothing_heavy() -> None:
    heavy = {"numpy", "pandas", "pyarrow", "pydantic", "torch"}
    program = f"import sys, tabserve; tabserve.Client; print(*{heavy} & {{*sys.modules}})"
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert printed == "\n"
