"""The tools: every module here is searched for functions declared with `@tool`."""
