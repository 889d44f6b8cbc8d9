"""CUDA C of the kernels, as text: see `greenroom.cuda.program`."""
