"""`make bench`: Lattice beside its peers, whole processes in turn, on the same boards, as ratios in one run."""
