"""Symbols of Python code: where they are declared and used, and what cannot be known of them.

From the ground up: `jsonrpc`, `lsp` and `answers` speak with the language server and check what it
says; `sweep` and `installed` see what changed on disk; `pysource` and `headless` read one file's
text, `declaration` says what is declared; `outline` puts server and texts together, with `places`
for paths; `addressing` finds what a question names; `references`, with `overlooked`, `keywords`,
`silence` and `disguised`, tells all uses, and where there may be more.
"""
