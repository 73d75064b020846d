"""Repositories as git has them: its programs' output taken apart, whatever a configuration says."""
