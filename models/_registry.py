"""What the articles' modules offer, read from their syntax trees: nothing is imported, torch included."""

import ast
import functools
import pathlib

FOLDER = pathlib.Path(__file__).parent


@functools.cache
def slugs() -> tuple[str, ...]:
    """The articles that have a model: the files and packages without a leading underscore."""
    found = sorted(FOLDER.glob("[!_]*"))
    return tuple(path.stem for path in found if path.suffix == ".py" or (path / "__init__.py").is_file())


@functools.cache
def entries(slug: str, name: str) -> tuple[str, ...]:
    """The strings of a list, or the keys of a dict, that an article's module assigns to `name`, spelt out there."""
    package = FOLDER / slug / "__init__.py"
    file = package if package.is_file() else FOLDER / f"{slug}.py"
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == name for t in node.targets):
            items = node.value.keys if isinstance(node.value, ast.Dict) else getattr(node.value, "elts", [])
            return tuple(str(item.value) for item in items if isinstance(item, ast.Constant))
    return ()
