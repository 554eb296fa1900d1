"""The commands, one file each: flags, and one call that Python users can make too.

Each module has a one-line docstring for the list of commands, `define_flags(values)`
and `run(values)`.
"""
