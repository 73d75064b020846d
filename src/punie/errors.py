"""The error tree. Every error that a user can meet is one of these.

```
PunieError                 exit status 1
├── UsageError             2   wrong option, tool, parameter, question or workspace
├── ToolFailure            1   a tool cannot answer; becomes `parse_error` of its result
├── ApprovalRefused        3   an effect was not allowed
├── ModelUnavailable       4   no usable model
├── StageFailed            1   a stage of the factory did not pass: audit, gate
└── EngineError            1   a model was there and failed
    └── ContextError       1   the prompt is longer than the model's context
```
"""

from __future__ import annotations


class PunieError(Exception):
    """Base of all errors that Punie raises on purpose; its text is meant for the user."""

    exit_status = 1
    """Exit status of a command that ends with this error."""


class UsageError(PunieError):
    """What was given cannot be used: wrong option, tool, parameter, question or workspace."""

    exit_status = 2


class ToolFailure(PunieError):
    """A tool cannot answer. Raised inside tools; callers see a result with `success` false."""


class ApprovalRefused(PunieError):
    """An effect (tests, a write, a command) was not allowed."""

    exit_status = 3


class ModelUnavailable(PunieError):
    """There is no usable model: weights, adapter or server missing."""

    exit_status = 4


class StageFailed(PunieError):
    """A stage of the factory was run and what it judges did not pass."""


class EngineError(PunieError):
    """The engine failed while it generated."""


class ContextError(EngineError):
    """The prompt does not fit the model's context."""
