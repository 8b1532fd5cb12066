"""Power cuts: what a program leaves when what it did not sync never reaches the disk.

`trace` has strace(1) tell what a program changes below a directory, `disk` is a model of what of that is on disk when
the power goes, `cuts` are the states that each moment can leave, `scenes` the program's commands and what must be
found after each cut, `steps` what of the program runs in a process of its own for that.
"""
