"""Operations that are slow or wasteful in torch on CPUs, and are not here.

Each gives what a few lines of torch give, and runs these lines on other devices and
where a graph is captured.
"""
