"""The rules of the architecture, enforced by reading the sources, never by importing them.

The rules as data; the checks, from source text to violations; the tests: the tree obeys, and a small offender does not.
"""

from __future__ import annotations

import ast
import functools
import graphlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PACKAGES = ("app", "modelstore", "tabserve", "training")

# The rules. A dotted name stands for itself and all that lies below it.

# A module of app may import from the rows below its own, and from its own room.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("app.__main__",),  # the command line
    ("app.server",),  # processes and sockets
    ("app.main",),  # the service as one ASGI app
    ("app.service",),  # the parts of the service
    ("app.api",),  # HTTP
    ("app.feedback", "app.scoring"),  # labels that come after the prediction; whole files, without a service
    ("app.security", "app.inference", "app.jobs"),  # who may do what; from bytes to predictions; trainings
    ("app.registry",),  # which version serves
    ("app.runtime",),  # torch
    ("app.datasets", "app.telemetry", "app.cards"),  # data that clients send; what the service did; model cards
    ("app.context", "app.lifecycle", "app.receipts", "app.schema"),  # what rooms share: one request, one process
    ("app.errors", "app.settings"),
    ("app.__init__",),
)

# What only the modules named here may import or use.
HOMES: dict[str, tuple[str, ...]] = {
    "app": ("app",),
    "training": ("training",),
    "tabserve": ("tabserve",),
    "tests": (),
    "benchmarks": (),
    "torch": ("training", "app.runtime"),
    "torch.jit": ("training.artifact", "app.runtime"),
    "fastapi": ("app.api", "app.main"),
    "fastapi_offline": ("app.api",),
    "uvicorn": ("app.server",),
    "grpc": ("app.server.rpc",),
    "google.protobuf": ("app.server.rpc",),
    "starlette": ("app.api",),
    "pyarrow": ("app.inference.codecs", "app.scoring", "training.data"),
    "ray": ("app.scoring",),
    "python_calamine": ("training.data",),
    "opentelemetry": ("app.telemetry",),
    "sqlalchemy": ("app.jobs", "training.search"),
    "optuna": ("training.search",),
    "sklearn": ("training", "tabserve.sklearn"),
    "pandas": ("training", "tabserve"),
    "matplotlib": ("training",),
}

MODELSTORE_NEEDS = ("modelstore", "pydantic")  # and the standard library
TABSERVE_NEEDS = ("tabserve", "httpx", "rich", "typer", "pandas", "numpy", "sklearn")
"""And the standard library; all else by `tabserve.late`. pandas is for types alone (tests/tabserve/test_late.py), numpy
and sklearn for `tabserve.sklearn`."""

FORBIDDEN: dict[str, str] = {
    "pickle": "it runs code from the file that it reads",
    "cloudpickle": "it runs code from the file that it reads",
    "dill": "it runs code from the file that it reads",
    "joblib": "it pickles",
    "marshal": "it is for .pyc files",
    "shelve": "it pickles",
    "yaml.load": "use yaml.safe_load",
    "yaml.unsafe_load": "use yaml.safe_load",
    "yaml.full_load": "use yaml.safe_load",
    "pandas.read_pickle": "it runs code from the file that it reads",
    "torch.load": "it unpickles; an artifact is read by torch.jit.load from verified bytes",
    "torch.multiprocessing": "processes share files, not tensors",
    "os.system": "it is a shell",
    "os.popen": "it is a shell",
}

# What depends on the task is a table or a class with an entry for each here, so that another task adds an entry.
WITHOUT_TASK = (
    "app.inference.codecs",
    "app.inference.predictions",
    "app.inference.batch_predictions",
    "app.inference.additions.receipt",
)

FORBIDDEN_KEYWORDS = ("shell", "allow_pickle")
OPTIONAL_EXTRAS = (
    "tensorboard",
    "torch.utils.tensorboard",
    "pyarrow",
    "python_calamine",
    "optuna",
    "ray",
    "opentelemetry.sdk",
    "opentelemetry.exporter",
    "onnxruntime",
    "app.server.rpc.server",  # grpcio, with the extra grpc
    "training.artifact.onnx.write",  # the one of that room to import from outside it, with the extra onnx
)  # may be imported where they are used
IMPORTS_BY_NAME = (
    "training.lazy",
    "app.jobs.late",
    "tabserve.late",
)  # may, because starts must be fast; no check sees such an import
MUTABLE_CALLS = ("list", "dict", "set", "bytearray", "defaultdict", "deque", "OrderedDict")
APP_OBJECTS = ("FastAPI", "CollectorRegistry", "Settings", "create_app")  # belong to one app, not to a module

# Test files below tests/app, tests/training and tests/modelstore that mirror no module, and why.
SCENARIOS = {
    "app/api/routes/test_feedback_ids.py": "feedback.py and predict.py with ids of callers, in every format",
    "app/api/routes/test_oip_errors.py": "every error of the routes in oip.py and oip_infer.py, and hostile bodies",
    "app/api/routes/test_predict_decided.py": "predict.py and oip_infer.py with a decision, of version or request",
    "app/api/routes/test_predict_explained.py": "predict.py and oip_infer.py with explanations, in every format",
    "app/api/routes/test_predict_sets.py": "sets, intervals and decisions in every format",
    "app/api/routes/test_predict_typed.py": "predict.py and oip_infer.py with a feature of each type, both tasks",
    "app/inference/codecs/test_csv_tabs.py": "csv.py, read with tabs",
    "app/inference/codecs/test_json_blocks.py": "json.py and oip_blocks.py in blocks, held to readers of whole bodies",
    "app/api/routes/test_train_feedback.py": "train.py with rows of feedback, and what is kept of rows",
    "app/scoring/test_spark.py": "the snippet for Spark in docs/scoring.md",
    "app/scoring/test_crashes.py": "run.py in processes that are killed, and with files larger than its memory",
    "modelstore/test_artifact_format.py": "docs/artifact-format.md is held to the store",
    "modelstore/test_crashes.py": "a process that is killed while it writes",
    "modelstore/test_import.py": "what `import modelstore` brings with it",
    "training/data/test_troubles.py": "every trouble of real tables, from the bytes to the splits",
    "training/data/test_wide_files.py": "csv_blocks.py and csv_exact.py on tables of very many columns",
    "training/test_published_figures.py": "figures of docs/training.md",
}

# Test files on top of tests/: they hold the repository as a whole, or a page of its docs, to the code.
OF_THE_WHOLE = {
    *("test_apart.py", "test_architecture.py", "test_docs.py", "test_notebook.py"),
    *("test_promises.py", "test_scaling.py", "test_site.py"),
}

# Modules with functions or classes that have no test file of their name (as patterns of paths), and why.
WITHOUT_TESTS_OF_THEIR_OWN = {
    "app/*/errors.py": "tests/app/test_errors.py reads all errors of the service",
    "app/cards/blocks.py": "values that sections.py makes and the formats write, without behaviour",
    "app/__main__.py": "tests/app/test_settings.py and tests/app/server start it as a process",
    "app/jobs/kept_rows.py": "values that kept.py writes and reads, without behaviour",
    "app/jobs/ownership.py": "values that claims.py, recovery.py and worker.py exchange, without behaviour",
    "tabserve/__main__.py": "tests/tabserve/cli/test_commands.py runs it as a process",
    "tabserve/__init__.py": "every test of the package imports its names from it",
    "modelstore/__main__.py": "tests/modelstore/test_artifact_format.py runs it",
}

# Names that two public classes of one package have, and why they keep it.
SHARED_NAMES = {
    "app.ValueFigures": "both are schemas of the OpenAPI document, where clients know them by these names",
    "training.Inputs": "both are parts of model.pt, where TorchScript writes the names of classes",
    "training.Layer": "both are parts of model.pt, too",
}


# The checks: source text in, violations out.


@dataclass(frozen=True)
class Module:
    """A source file; `name` is dotted and ends in `__init__` for a package's own file."""

    name: str
    source: str

    @functools.cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @functools.cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """All nodes of the tree, which eight checks go through."""
        return tuple(ast.walk(self.tree))

    def violation(self, node: ast.stmt | ast.expr, what: str) -> str:
        return f"{self.name.replace('.', '/')}.py:{node.lineno} {what}"


Check = Callable[[Module], Iterator[str]]


def within(name: str, *homes: str) -> bool:
    """Tell whether a dotted name is one of the homes, or below one."""
    return any(f"{name}.".startswith(f"{home}.") for home in homes)


def imports(module: Module, nodes: Iterable[ast.AST] | None = None) -> Iterator[tuple[ast.stmt, str, str]]:
    """Yield each import of a module, or among some nodes: statement, full dotted name, and the name that it binds."""
    for node in module.nodes if nodes is None else nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name, alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            parent = module.name.split(".")[: -node.level] if node.level else []
            base = ".".join([*parent, *filter(None, [node.module])])
            for alias in node.names:
                yield node, f"{base}.{alias.name}", alias.asname or alias.name


def names_used(module: Module) -> Iterator[tuple[ast.stmt | ast.expr, str]]:
    """Yield the dotted names that a module imports, and those that it reaches through an import."""
    bound = {}
    for node, target, local in imports(module):
        yield node, target
        bound[local] = local if target.startswith(f"{local}.") else target
    for expression in module.nodes:
        if isinstance(expression, ast.Attribute):
            root, *path = ast.unparse(expression).split(".")
            if root in bound:
                yield expression, ".".join([bound[root], *path])


@functools.cache
def row_of(name: str) -> int | None:
    """Return the number of the layer that a module is in, counted from the top."""
    return next((number for number, row in enumerate(LAYERS) if within(name, *row)), None)


def every_app_module_has_a_layer(module: Module) -> Iterator[str]:
    if within(module.name, "app") and row_of(module.name) is None:
        yield f"{module.name} is in no layer: add it to LAYERS in tests/test_architecture.py, above all that it imports"


def imports_in_app_point_down(module: Module) -> Iterator[str]:
    own = row_of(module.name)
    room = ".".join(module.name.split(".")[:2])
    for node, target, _ in imports(module):
        row = row_of(target)
        if own is None or row is None or row > own or within(target, room):
            continue
        yield module.violation(node, f"imports {target}, which is not below it")


def libraries_stay_at_home(module: Module) -> Iterator[str]:
    for node, name in names_used(module):
        for library, homes in HOMES.items():
            if within(name, library) and not within(module.name, *homes):
                yield module.violation(node, f"uses {name}; only {', '.join(homes) or 'nobody'} may use {library}")


def shared_packages_are_light(module: Module) -> Iterator[str]:
    for package, needs in (("modelstore", MODELSTORE_NEEDS), ("tabserve", TABSERVE_NEEDS)):
        for node, target, _ in imports(module) if within(module.name, package) else ():
            if not within(target, *needs) and target.partition(".")[0] not in sys.stdlib_module_names:
                yield module.violation(node, f"imports {target}; it needs {', '.join(needs[1:])} and nothing else")


def nothing_is_pickled_and_no_shell_is_started(module: Module) -> Iterator[str]:
    for node, name in names_used(module):
        for forbidden, reason in FORBIDDEN.items():
            if within(name, forbidden):
                yield module.violation(node, f"uses {name}: {reason}")
    for call in module.nodes:
        for keyword in call.keywords if isinstance(call, ast.Call) else ():
            if keyword.arg in FORBIDDEN_KEYWORDS and ast.unparse(keyword.value) != "False":
                yield module.violation(keyword.value, f"passes {ast.unparse(keyword)}")


def writers_do_not_ask_for_the_task(module: Module) -> Iterator[str]:
    for node in module.nodes if within(module.name, *WITHOUT_TASK) else ():
        sides = (node.left, *node.comparators) if isinstance(node, ast.Compare) else ()
        for side in sides:
            if isinstance(side, ast.Attribute) and side.attr == "task":
                yield module.violation(side, f"compares {ast.unparse(side)}")


def imports_stand_at_the_top(module: Module) -> Iterator[str]:
    for function in module.nodes:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node, target, _ in imports(module, ast.walk(function)):
                if not within(target, *OPTIONAL_EXTRAS):
                    yield module.violation(node, f"imports {target} inside {function.name}")
    for call in module.nodes:
        if isinstance(call, ast.Call) and called_by(call) in ("import_module", "__import__"):
            name = ast.unparse(call).removesuffix(")").rpartition("(")[2].strip("'")
            if module.name not in IMPORTS_BY_NAME and not within(name, *OPTIONAL_EXTRAS):
                yield module.violation(call, f"imports {name} by name")


def modules_hold_no_state(module: Module) -> Iterator[str]:
    """Constants are in capitals; what is not, and can change, belongs to an object that `create_app` makes."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            named = [target.id for target in targets if isinstance(target, ast.Name)]
            variable = [name for name in named if not name.isupper() and not name.startswith("__")]
            if (named and called_by(node.value) in APP_OBJECTS) or (variable and is_mutable(node.value)):
                yield module.violation(node, f"keeps {', '.join(named)} in the module")
    for statement in module.nodes:
        if isinstance(statement, ast.Global):
            yield module.violation(statement, f"changes {', '.join(statement.names)} of the module")


def called_by(value: ast.expr) -> str:
    return ast.unparse(value.func).rpartition(".")[2] if isinstance(value, ast.Call) else ""


def is_mutable(value: ast.expr) -> bool:
    displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    return isinstance(value, displays) or called_by(value) in MUTABLE_CALLS


def import_cycle(modules: list[Module]) -> list[str]:
    """Return the modules of one import cycle, or nothing."""
    known = {module.name.removesuffix(".__init__"): module for module in modules}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for name, module in known.items():
        for _, target, _ in imports(module):
            parts = target.split(".")
            above = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
            graph[name] |= {next(filter(known.__contains__, above), name)} - {name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


# The tests.

CHECKS: list[Check] = [
    every_app_module_has_a_layer,
    imports_in_app_point_down,
    libraries_stay_at_home,
    shared_packages_are_light,
    nothing_is_pickled_and_no_shell_is_started,
    writers_do_not_ask_for_the_task,
    imports_stand_at_the_top,
    modules_hold_no_state,
]


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    paths = sorted(path for package in PACKAGES for path in (PROJECT / package).rglob("*.py"))
    return [Module(".".join(path.relative_to(PROJECT).with_suffix("").parts), path.read_text()) for path in paths]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_project_obeys(check: Check, modules: list[Module]) -> None:
    assert [violation for module in modules for violation in check(module)] == []


def test_the_project_has_no_import_cycle(modules: list[Module]) -> None:
    assert import_cycle(modules) == []


def test_all_packages_are_read(modules: list[Module]) -> None:
    assert {module.name.partition(".")[0] for module in modules} == set(PACKAGES)


def test_each_file_begins_with_a_line_of_at_most_90_characters() -> None:
    files = [file for folder in (*PACKAGES, "benchmarks", "tests") for file in (PROJECT / folder).rglob("*.py")]
    lines = {file: file.read_text().partition("\n")[0].strip('"') for file in files}

    assert [f"{file}: {line}" for file, line in lines.items() if len(line) > 90] == []


def test_each_room_says_in_a_sentence_what_it_is_for_and_must_not_know() -> None:
    rooms = [file for package in ("app", "training") for file in (PROJECT / package).glob("*/__init__.py")]
    sentence = re.compile(r'"""\w.+; (it|they) must not know .+\."""\n')

    assert rooms
    assert [str(room) for room in rooms if not sentence.fullmatch(room.read_text())] == []


def test_each_test_file_mirrors_a_module() -> None:
    """One test file for one module, with its name; scenarios of many modules are in tests/scenarios."""
    tests = PROJECT / "tests"
    files = [file.relative_to(tests) for package in PACKAGES for file in (tests / package).rglob("test_*.py")]
    mirrored = {str(file) for file in files if (PROJECT / file.with_name(file.name.removeprefix("test_"))).exists()}

    assert {str(file) for file in files} - mirrored == SCENARIOS.keys()
    assert {file.name for file in tests.glob("test_*.py")} == OF_THE_WHOLE


def test_each_module_has_a_test_file_of_its_name(modules: list[Module]) -> None:
    paths = [Path(*module.name.split(".")).with_suffix(".py") for module in modules if defines_something(module)]
    alone = [path for path in paths if not (PROJECT / "tests" / path.with_name(f"test_{path.name}")).exists()]

    assert [str(path) for path in alone if not any(map(path.match, WITHOUT_TESTS_OF_THEIR_OWN))] == []
    assert [pattern for pattern in WITHOUT_TESTS_OF_THEIR_OWN if not any(path.match(pattern) for path in alone)] == []


def test_no_two_public_classes_of_a_package_share_a_name(modules: list[Module]) -> None:
    classes = [
        f"{module.name.partition('.')[0]}.{node.name}"
        for module in modules
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    ]
    assert {name for name, times in Counter(classes).items() if times > 1} == SHARED_NAMES.keys()


def defines_something(module: Module) -> bool:
    """Tell whether a module has a function or a class; what has none has nothing to test."""
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in module.tree.body)


OFFENDERS: list[tuple[Check, str, str, str]] = [
    (every_app_module_has_a_layer, "app.helpers", "", "app.helpers is in no layer"),
    (imports_in_app_point_down, "app.jobs.runner", "from app import main", "imports app.main"),
    (imports_in_app_point_down, "app.inference.codecs.json", "from ...api import errors", "imports app.api.errors"),
    (imports_in_app_point_down, "app.telemetry.metrics", "import app.runtime.load", "imports app.runtime.load"),
    (libraries_stay_at_home, "app.main", "import training", "main.py:1 uses training; only training may use training"),
    (libraries_stay_at_home, "app.main", "import os\nimport torch.nn as nn", "main.py:2 uses torch.nn"),
    (libraries_stay_at_home, "training.learners", "import torch as t\nt.jit.save(m)", "uses torch.jit.save"),
    (shared_packages_are_light, "modelstore.repository", "import numpy", "imports numpy"),
    (shared_packages_are_light, "tabserve.client", "from app import schema", "imports app.schema"),
    (nothing_is_pickled_and_no_shell_is_started, "app.main", "from joblib import dump", "uses joblib.dump"),
    (nothing_is_pickled_and_no_shell_is_started, "app.main", "import torch\ntorch.load('x')", "uses torch.load"),
    (nothing_is_pickled_and_no_shell_is_started, "app.main", "run('ls', shell=flag)", "passes shell=flag"),
    (writers_do_not_ask_for_the_task, "app.inference.codecs.csv", "a = s.task == 'regression'", "compares s.task"),
    (imports_stand_at_the_top, "app.main", "class A:\n async def f(self):\n  from a import b", "imports a.b inside f"),
    (imports_stand_at_the_top, "app.main", "importlib.import_module('a')", "imports a by name"),
    (modules_hold_no_state, "app.main", "_cache: dict[str, int] = {}", "keeps _cache"),
    (modules_hold_no_state, "app.main", "seen = collections.deque()", "keeps seen"),
    (modules_hold_no_state, "app.main", "SETTINGS = Settings()", "keeps SETTINGS"),
    (modules_hold_no_state, "app.main", "def f():\n global count\n count = 1", "changes count"),
]


@pytest.mark.parametrize(("check", "name", "source", "message"), OFFENDERS)
def test_an_offender_is_found(check: Check, name: str, source: str, message: str) -> None:
    assert message in next(check(Module(name, source)), "")


def test_an_import_cycle_is_found_through_a_package() -> None:
    first, second = Module("app.a", "from app import b"), Module("app.b", "from app.c import f")
    package = Module("app.c.__init__", "import app.a")
    assert import_cycle([first, second]) == []
    assert set(import_cycle([first, second, package])) == {"app.a", "app.b", "app.c"}
