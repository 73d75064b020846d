"""The audit of training data: what every set of examples is held against before it is trained on.

`checks` lists the checks, each a function from the subject to findings; `norms` holds what a
recipe promises, `report` writes what was found, `overlap` how near the suites lie, `preview` a row
as the trainer sees it. What an audit cannot see is whether an answer is true: that is
checked when an example is made, by execution and a second way (`punie.factory.examples`).
"""
