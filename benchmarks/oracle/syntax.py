"""What syntax trees alone say about the names of a repository: the arbiter of `oracle.py`.

It follows scopes, imports, `self`, `super()` and base classes, and nothing else: no types. Where
that does not settle what a name means, it says so (None) and never guesses.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from scopes import FUNCTION, Declared, Dotted, Imported, Meaning, Module, Place, Scope


class Arbiter:
    """Resolves names of a whole repository. Files that do not parse are left out."""

    def __init__(self, root: Path, files: list[Path]) -> None:
        self.modules: dict[str, Module] = {}
        self.dotted: dict[str, str] = {}
        for path in files:
            file = path.relative_to(root).as_posix()
            try:
                self.modules[file] = Module(file, path.read_bytes().decode("utf-8-sig"))
            except (SyntaxError, ValueError):
                continue
            parts = [*path.relative_to(root).with_suffix("").parts]
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            for base in {0, 1 if parts[:1] == ["src"] else 0}:
                self.dotted.setdefault(".".join(parts[base:]), file)

    def declarations(self) -> Iterator[Declared]:
        """Everything that is declared, attributes set on `self` left out."""
        for module in self.modules.values():
            yield from module.declared

    def meaning(self, place: Place) -> Meaning | None:
        """What the name at a place means, as far as that can be read off the trees."""
        module = self.modules.get(place.file)
        found = module.at.get((place.line, place.column)) if module else None
        return self._of(module, *found) if module and found else None

    def kind(self, place: Place) -> str:
        """What stands at a place: `import`, `alias` (the y of `import x as y`), `member`, `name`,
        `keyword`, `declaration`, `export` (in `__all__`), `quoted` or `outside`.
        """
        module = self.modules.get(place.file)
        if module is None:
            return "outside"
        node = (module.at.get((place.line, place.column)) or (None,))[0]
        if node is None:
            return "export" if place.line in module.exports else "quoted"
        if isinstance(node, Imported):
            return "alias"
        if isinstance(node, Dotted | ast.alias):
            return "import"
        kinds = {ast.Attribute: "member", ast.keyword: "keyword", ast.Name: "name"}
        return kinds.get(type(node), "declaration")

    def _of(self, module: Module, node: ast.AST, scope: Scope) -> Meaning | None:
        if isinstance(node, ast.Name):
            return self._name(module, scope, node.id)
        if isinstance(node, ast.Attribute):
            return self._member(module, node, scope)
        if isinstance(node, Dotted):
            file = self._module(module, node.name, node.level)
            return Meaning(file, "") if file else None
        if isinstance(node, ast.alias):
            bound = scope.bound.get(node.asname or node.name, [])
            found = [b for b in bound if isinstance(b, Imported) and b.alias is node]
            return self._imported(module, found[0], 0) if found else None
        if isinstance(node, Imported):
            return self._imported(module, node, 0)
        if isinstance(node, FUNCTION | ast.ClassDef):
            return Meaning(module.file, module.scopes[node].qualified)
        return None

    def _name(self, module: Module, scope: Scope, name: str, depth: int = 0) -> Meaning | None:
        start: Scope | None = scope
        here = start
        while here is not None:
            if here.free.get(name) == "Global":
                here = module.top
            skipped = isinstance(here.node, ast.ClassDef) and here is not start
            if name in here.bound and name not in here.free and not skipped:
                return self._bound(module, here, name, depth)
            if here is module.top:
                return self._starred(module, name, depth)
            here = here.outer
        return None

    def _bound(self, module: Module, scope: Scope, name: str, depth: int) -> Meaning | None:
        binders = scope.bound[name]
        imports = [b for b in binders if isinstance(b, Imported)]
        if not imports:
            return Meaning(module.file, ".".join(filter(None, [scope.qualified, name])))
        meanings = {self._imported(module, b, depth) for b in imports}
        return meanings.pop() if len(imports) == len(binders) and len(meanings) == 1 else None

    def _imported(self, module: Module, bound: Imported, depth: int) -> Meaning | None:
        node, alias = bound.node, bound.alias
        if depth > 20:
            return None
        if isinstance(node, ast.Import):
            file = self._module(module, alias.name if alias.asname else alias.name.split(".")[0], 0)
            return Meaning(file, "") if file else None
        base = self._module(module, node.module or "", node.level)
        if base is None:
            return None
        return self._export(self.modules[base], alias.name, depth + 1)

    def _export(self, module: Module, name: str, depth: int) -> Meaning | None:
        if name in module.top.bound:
            return self._bound(module, module.top, name, depth)
        return self._starred(module, name, depth) or self._submodule(module, name)

    def _submodule(self, module: Module, name: str) -> Meaning | None:
        if not module.file.endswith("__init__.py"):
            return None
        folder = module.file.removesuffix("__init__.py")
        options = (f"{folder}{name}.py", f"{folder}{name}/__init__.py")
        return next((Meaning(o, "") for o in options if o in self.modules), None)

    def _starred(self, module: Module, name: str, depth: int) -> Meaning | None:
        for star in module.top.stars if depth < 20 and not name.startswith("_") else ():
            base = self._module(module, star.module or "", star.level)
            if base and (found := self._export(self.modules[base], name, depth + 1)):
                return found
        return None

    def _module(self, module: Module, name: str, level: int) -> str | None:
        if not level:
            return self.dotted.get(name)
        folder = Path(module.file).parent
        for _ in range(level - 1):
            folder = folder.parent
        path = folder.joinpath(*filter(None, name.split(".")))
        options = (f"{path.as_posix()}.py", (path / "__init__.py").as_posix())
        return next((o for o in options if o in self.modules), None)

    def _member(self, module: Module, node: ast.Attribute, scope: Scope) -> Meaning | None:
        owner = node.value
        if isinstance(owner, ast.Call) and ast.unparse(owner) == "super()":
            own = self._enclosing(scope)
            return self._inherited(module, own, node.attr, own=False) if own else None
        if isinstance(owner, ast.Name) and owner.id in ("self", "cls"):
            own = self._enclosing(scope)
            return self._inherited(module, own, node.attr, own=True) if own else None
        if not isinstance(owner, ast.Name | ast.Attribute):
            return None
        of = self._of(module, owner, scope)
        if of is None:
            return None
        target = self.modules[of.file]
        if not of.qualified:
            return self._export(target, node.attr, 0)
        classes = [
            s
            for n, s in target.scopes.items()
            if isinstance(n, ast.ClassDef) and s.qualified == of.qualified
        ]
        return self._inherited(target, classes[0], node.attr, own=True) if classes else None

    def _enclosing(self, scope: Scope | None) -> Scope | None:
        """The class whose method, called with `self` or `cls`, a scope is in."""
        while scope is not None and not isinstance(scope.node, ast.ClassDef):
            scope = scope.outer
        return scope

    def _inherited(
        self, module: Module, owner: Scope, name: str, *, own: bool, depth: int = 0
    ) -> Meaning | None:
        """The member of a class; None as soon as a base is not known."""
        if own and name in owner.bound:
            return Meaning(module.file, f"{owner.qualified}.{name}")
        assert isinstance(owner.node, ast.ClassDef)
        if own and _sets(owner.node, name):
            return None  # declared here or in a base: a matter of taste
        for base, scope in self.bases(module, owner):
            if scope is None or depth > 20:
                return None
            assert base is not None
            if found := self._inherited(base, scope, name, own=True, depth=depth + 1):
                return found
        return None

    def bases(self, module: Module, owner: Scope) -> Iterator[tuple[Module | None, Scope | None]]:
        """The direct bases of a class; (None, None) for one that is not in the repository."""
        assert isinstance(owner.node, ast.ClassDef)
        for base in owner.node.bases:
            of = self._of(module, base, owner.outer or module.top)
            target = self.modules.get(of.file) if of else None
            scopes = target.scopes.items() if target and of else ()
            found = [
                s
                for n, s in scopes
                if isinstance(n, ast.ClassDef) and of and s.qualified == of.qualified
            ]
            yield (target, found[0]) if found else (None, None)

    def overriding(self, declared: Declared) -> list[Declared]:
        """Members of the same name in all subclasses of a method's class."""
        waiting = [Meaning(declared.place.file, declared.qualified.rpartition(".")[0])]
        found: dict[Meaning, None] = {}
        while waiting:
            below = self._subclasses.get(waiting.pop(), [])
            waiting += [each for each in below if each not in found]
            found |= dict.fromkeys(below)
        return [
            d
            for owner in found
            for d in self.modules[owner.file].declared
            if d.qualified == f"{owner.qualified}.{declared.name}"
        ]

    @cached_property
    def _subclasses(self) -> dict[Meaning, list[Meaning]]:
        found: dict[Meaning, list[Meaning]] = {}
        for module in self.modules.values():
            for scope in module.scopes.values():
                if isinstance(scope.node, ast.ClassDef):
                    for base, owner in self.bases(module, scope):
                        if base and owner:
                            key = Meaning(base.file, owner.qualified)
                            found.setdefault(key, []).append(Meaning(module.file, scope.qualified))
        return found


def _sets(node: ast.ClassDef, name: str) -> bool:
    """Whether a method of a class assigns `self.name`."""
    return any(
        isinstance(each, ast.Attribute)
        and each.attr == name
        and isinstance(each.ctx, ast.Store)
        and isinstance(each.value, ast.Name)
        and each.value.id in ("self", "cls")
        for each in ast.walk(node)
    )
