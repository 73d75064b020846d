"""Data of an exact composition: so many examples of each part, with and without a conclusion.

A recipe with a table `[composition]` is made here and not by `generate`: `[[composition.parts]]`
say which intents or direct answers a part draws on and how many examples it has. Every program
runs on a real repository and every call is checked by its second way, as everywhere. Held out are
whole phrasings, so that the two splits share none, and exactly as many examples as the recipe says.
"""
