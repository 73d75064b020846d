"""From a recipe to a released model: the stages in order, each resumable after a kill.

`stages.STAGES` is the list, `running.run` goes through it. Each stage has one folder of outputs
below `out/<recipe>` and one mark, `stages/<stage>.json`, written last: it names what the stage was
made of and the hash of every output. A stage whose mark fits is skipped.
"""
