"""Architecture rules that import-linter cannot check (the others are in pyproject.toml)."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from django.conf import settings

from retail.observability.prometheus import catalogue

APP = Path(settings.BASE_DIR)
NOT_SHOP = {"retail", "drills", "dashboards", "quality", "gateway_simulator", "config"}
SERVICES = ("services", "reservation", "settlement", "recovery", "announcements")
PAGES = re.compile(r"django\.(http|shortcuts|forms|views)(\.|$)|\w+\.(views|forms|visit)(\.|$)")
# The only module that changes stock.
STOCK_WRITER = "products/services.py"
WRITING = {
    *("create", "bulk_create", "get_or_create", "update_or_create", "update", "bulk_update"),
    *("delete", "raw_delete", "acreate", "aupdate", "add", "set"),
}
# Metrics are declared here; other code uses their Python names.
DECLARATIONS = re.compile(r"\w+/metrics\.py|retail/observability/prometheus/catalogue\.py")
# Only these read the environment; others would be missing in .env.example.
ENVIRONMENT = {
    "config/env.py",
    "config/processes.py",
    "config/wsgi.py",
    "drills/shoppers.py",  # starts nothing in production
    "gateway_simulator/__main__.py",
    "manage.py",
    "retail/observability/prometheus/slots.py",
}


@cache
def sources() -> list[tuple[str, ast.Module]]:
    """Return path and syntax tree of each module of the shop."""
    paths = [path for path in sorted(APP.rglob("*.py")) if "migrations" not in path.parts]
    assert APP / "manage.py" in paths, "no files found"
    return [
        (path.relative_to(APP).as_posix(), ast.parse(path.read_text(encoding="utf-8")))
        for path in paths
    ]


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names of all imports, including those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{alias.name}" for alias in node.names)


def chain(node: ast.expr) -> list[str]:
    """Return the names in `a.b(…).c` from left to right."""
    names: list[str] = []
    while True:
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        else:
            return [node.id, *names] if isinstance(node, ast.Name) else names


def has_text(node: ast.expr, text: str) -> bool:
    return any(isinstance(part, ast.Constant) and part.value == text for part in ast.walk(node))


def assigns_stock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        return False
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return any(isinstance(target, ast.Attribute) and target.attr == "stock" for target in targets)


def passes_stock(call: ast.Call) -> bool:
    """Return whether a call passes a value for `stock`."""
    return any(
        word.arg == "stock" or (word.arg is not None and has_text(word.value, "stock"))
        for word in call.keywords
    )


def writes_stock(node: ast.AST) -> bool:
    """Return whether a node writes Product.stock or a StockMovement."""
    if not isinstance(node, ast.Call):
        return assigns_stock(node)
    *objects, called = chain(node.func) or [""]
    if called == "setattr":
        return any(has_text(argument, "stock") for argument in node.args)
    if called in WRITING and {"StockMovement", "movements"}.intersection(objects):
        return True
    return called == "StockMovement" or (called in {"Product", *WRITING} and passes_stock(node))


def test_services_do_not_import_pages() -> None:
    checked = []
    for path, tree in sources():
        app, _, module = path.partition("/")
        if app not in NOT_SHOP and module.removesuffix(".py") in SERVICES:
            checked.append(path)
            assert [name for name in imported(tree) if PAGES.match(name)] == [], path
    assert {"orders/settlement.py", "products/services.py", "cart/services.py"} <= set(checked)


@pytest.mark.parametrize(
    "line",
    [
        "from django import forms",
        "from django.http import Http404",
        "import django.shortcuts",
        "from orders.views import checkout",
        "from cart import visit",
        "def f():\n    from accounts import views",
    ],
)
def test_the_rule_about_pages_detects(line: str) -> None:
    assert any(PAGES.match(name) for name in imported(ast.parse(line)))


def test_only_one_module_changes_stock() -> None:
    writers = {
        path: sorted({node.lineno for node in ast.walk(tree) if writes_stock(node)})  # type: ignore[attr-defined]
        for path, tree in sources()
    }
    writing = {path: lines for path, lines in writers.items() if lines}
    assert list(writing) == [STOCK_WRITER], writing


@pytest.mark.parametrize(
    ("line", "writes"),
    [
        ("product.stock = 3", True),
        ("product.stock -= 1", True),
        ("setattr(product, 'stock', 3)", True),
        ("Product(name='x', stock=3)", True),
        ("Product.objects.create(stock=3)", True),
        ("Product.objects.filter(pk=1).update(stock=F('stock') - 1)", True),
        ("Product.objects.get_or_create(slug='x', defaults={'stock': 3})", True),
        ("Product.objects.bulk_update(rows, fields=['stock'])", True),
        ("StockMovement(product=p, quantity=1)", True),
        ("models.StockMovement.objects.create(quantity=1)", True),
        ("product.movements.create(quantity=1)", True),
        ("StockMovement.objects.filter(pk=1).delete()", True),
        ("Product.objects.filter(stock=3).update(price=1)", False),
        ("stock_set(product_id=1, stock=3)", False),
        ("database_gauges.add('stock', read)", False),
        ("product.price = product.stock", False),
        ("StockMovement.Reason.SEED", False),
        ("StockMovement.objects.filter(pk=1).count()", False),
    ],
)
def test_the_rule_about_stock_detects(line: str, writes: bool) -> None:
    assert any(writes_stock(node) for node in ast.walk(ast.parse(line))) is writes


def docstrings(tree: ast.Module) -> set[ast.expr]:
    """Return the nodes of all docstrings."""
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def test_metric_names_appear_only_where_they_are_declared() -> None:
    named = [
        (path, node.lineno, node.value)
        for path, tree in sources()
        if not DECLARATIONS.fullmatch(path)
        for node in set(ast.walk(tree)) - docstrings(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        # Not the name of an admin page, nor the development password.
        and re.search(r"(?<!admin:)\bretail_(?!password$)", node.value)
    ]
    assert named == []
    declaring = {path for path, _ in sources() if DECLARATIONS.fullmatch(path)}
    assert declaring >= {"orders/metrics.py", "retail/observability/prometheus/catalogue.py"}


def test_metrics_named_in_docstrings_exist() -> None:
    names = {entry.name for entry in catalogue.entries()}
    mentioned = {
        name
        for _, tree in sources()
        for node in docstrings(tree)
        if isinstance(node, ast.Constant)
        for name in re.findall(r"\bretail_\w+", str(node.value))
    }
    assert mentioned
    assert mentioned <= names


def test_the_environment_is_read_in_few_places() -> None:
    readers = {
        path
        for path, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and (node.value.id, node.attr) in {("os", "environ"), ("os", "getenv")}
    }
    assert readers == ENVIRONMENT
