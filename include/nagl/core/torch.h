#pragma once

// What the library needs of Torch in every header: tensors, what is done with them, and modules.
// <torch/torch.h> would add data loaders, optimisers, serialisation and more, and with what it
// instantiates every file would compile several times longer; who needs more includes that part.

#include <ATen/core/grad_mode.h>
#include <c10/core/InferenceMode.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>
#include <torch/types.h>
