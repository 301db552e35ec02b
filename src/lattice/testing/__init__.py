"""What is shipped for those who build on Lattice: fake engines, and the suite that certifies adapters and workers."""
