"""How each field of each tool's result is computed a second time, and which fields are not.

`second_way` compares. A field that is missing here, or that the facts about a call leave out,
counts as unchecked for each example that reads it; the report of a generation says their share.
"""

from __future__ import annotations


def _fields(how: str, owner: str, names: str) -> dict[str, str]:
    return {f"{owner}.{name}": how for name in names.split()}


def _result(owner: str) -> dict[str, str]:
    how = "it succeeds where the second way finds something"
    return _fields(how, owner, "success") | {f"{owner}.truncated": "the whole counted"}


_PATCH = (
    _fields("git diff --name-status", "GitFileDiff", "file status old_file")
    | _fields("git diff --numstat", "GitFileDiff", "additions deletions")
    | _fields("git diff -U3 without raw records", "GitFileDiff", "hunks")
)
_BOUNDS = "what scopes and imports make certain, and what they allow"
HOW: dict[str, dict[str, str]] = {
    "git_status": _result("GitStatusResult")
    | _fields("git status --porcelain=v1", "GitStatusResult", "clean file_count files")
    | _fields("git status --porcelain=v1", "GitFileStatus", "file status staged old_file"),
    "git_diff": _result("GitDiffResult")
    | _fields("git diff --name-status", "GitDiffResult", "file_count files")
    | _fields("git diff --numstat", "GitDiffResult", "additions deletions")
    | _PATCH,
    "git_log": _result("GitLogResult")
    | _fields("git rev-list", "GitLogResult", "commits commit_count")
    | _fields("a log of all branches", "GitCommit", "hash message body author email date")
    | _fields("git diff-tree with the first parent", "GitCommit", "files"),
    "git_blame": _result("GitBlameResult")
    | _fields("git blame --line-porcelain of the whole file", "GitBlameResult", "lines")
    | _fields("git blame --line-porcelain", "GitBlameLine", "line hash author date text"),
    "git_show": _result("GitShowResult")
    | _fields("a log of all branches", "GitShowResult", "hash message body author email date")
    | _fields("git diff with the first parent", "GitShowResult", "additions deletions files")
    | _PATCH,
    "git_branch": _result("GitBranchResult")
    | _fields("git symbolic-ref", "GitBranchResult", "current")
    | _fields("git show-ref", "GitBranchResult", "branches")
    | _fields("git show-ref", "GitBranch", "name hash current")
    | _fields("git rev-parse", "GitBranch", "upstream")
    | _fields("git rev-list --left-right", "GitBranch", "ahead behind")
    | _fields("a log of all branches", "GitBranch", "message date"),
    "ruff_check": _result("RuffResult")
    | _fields("ruff's concise text", "RuffResult", "violation_count fixable_count violations")
    | _fields("ruff's concise text", "RuffViolation", "file line column code message fixable"),
    "typecheck": _result("TypeCheckResult")
    | _fields("ty's concise text", "TypeCheckResult", "error_count warning_count errors")
    | _fields("ty's concise text", "TypeDiagnostic", "file line column severity code message"),
    "pytest_run": _result("TestResult")
    | _fields("JUnit report of a plain run", "TestResult", "passed failed errors skipped tests")
    | _fields("JUnit report of a plain run", "TestCase", "name file line outcome message"),
    "read_file": _result("ReadFileResult")
    | _fields("the file's bytes", "ReadFileResult", "path text start_line line_count"),
    "write_file": _result("WriteResult")
    | _fields("the file's bytes", "WriteResult", "path diff")
    | _fields("git ls-files", "WriteResult", "created")
    | _fields("ty's concise text of the new file", "WriteResult", "errors")
    | _fields("ty's concise text", "TypeDiagnostic", "file line column severity code message")
    | _fields("ruff's concise text of the new file", "WriteResult", "violations")
    | _fields("ruff's concise text", "RuffViolation", "file line column code message fixable"),
    "run_command": _result("CommandResult")
    | _fields("the command run twice more", "CommandResult", "exit_code stdout stderr"),
    "search_text": _result("SearchResult")
    | _fields("git grep, with Perl's expressions", "SearchResult", "match_count matches")
    | _fields("git grep, with Perl's expressions", "SearchMatch", "file line text"),
    "list_files": _result("FileListResult")
    | _fields("git ls-files with its own globs", "FileListResult", "file_count files")
    | _fields("git ls-files with its own globs", "ListedFile", "path")
    | _fields("os.stat", "ListedFile", "size")
    | _fields("the file's bytes", "ListedFile", "line_count"),
    "goto_definition": _result("GotoDefinitionResult")
    | _fields("the one declaration in syntax trees", "GotoDefinitionResult", "symbol locations")
    | _fields("syntax trees", "SymbolLocation", "file line column end_line end_column")
    | _fields("the file's text", "SymbolLocation", "preview"),
    "find_references": _result("FindReferencesResult")
    | _fields("the name asked about", "FindReferencesResult", "symbol")
    | _fields(_BOUNDS, "FindReferencesResult", "reference_count references")
    | _fields("the name stands at each place it lists", "FindReferencesResult", "note")
    | _fields(_BOUNDS, "SymbolReference", "file line column is_import")
    | _fields("the file's text", "SymbolReference", "preview")
    | _fields("false outside of classes", "SymbolReference", "is_override"),
    "document_symbols": _result("DocumentSymbolsResult")
    | _fields("syntax tree", "DocumentSymbolsResult", "file_path symbols symbol_count")
    | _fields("syntax tree", "DocumentSymbol", "name kind line end_line children")
    | _fields("the file's text", "DocumentSymbol", "preview"),
    "workspace_symbols": _result("WorkspaceSymbolsResult")
    | _fields("names in all syntax trees", "WorkspaceSymbolsResult", "query symbols symbol_count")
    | _fields("syntax trees", "WorkspaceSymbol", "name kind file line container_name")
    | _fields("the file's text", "WorkspaceSymbol", "preview"),
    "hover": _result("HoverResult")
    | _fields("the name asked about", "HoverResult", "symbol language")
    | _fields("name and parameters of the syntax tree", "HoverResult", "signature")
    | _fields("docstring of the syntax tree", "HoverResult", "docstring")
    | _fields("signature and docstring", "HoverResult", "content"),
}
"""Tool → field, as `Class.field` → how it is computed a second time."""
UNCHECKED = {
    "TestResult.duration": "another run takes another time",
    "TestCase.duration": "another run takes another time",
    "CommandResult.duration": "another run takes another time",
}
UNCHECKED |= {
    field.replace(".success", ".parse_error"): "beside a success a note in words; else the failure"
    for fields in HOW.values()
    for field in fields
    if field.endswith(".success")
}
"""Field → why nothing can be compared with it."""
