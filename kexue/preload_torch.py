"""What every job needs that holds torch code against the mathematics; imported in the fork server when the first of
them is asked for. One thread: there are as many workers as cores, and no thread pool survives a fork."""

import torch
import torch.utils.flop_counter

import kexue.models  # noqa: F401

torch.set_num_threads(1)
