// Metal's standard library for a C++ compiler: enough for kernels that compute, without textures.
//
// No include of the C++ library here: <cmath> alone takes longer to compile than a kernel. Functions carry Metal's
// names and meanings; what differs is said beside it.
#pragma once
#include "runtime.h"
#include "numbers.h"
#include "vectors.h"
#include "functions.h"
#include "thread_functions.h"

using namespace metal;
typedef metal::half float16_t;
typedef metal::bfloat bfloat16_t;

// The simulator has one address space; strict mode looks after the words. `threadgroup` variables were rewritten
// before the compiler sees them (build.py), so that here only pointers and references carry the word.
#define device
#define constant
#define thread
#define threadgroup
#define kernel
#define METAL_FUNC inline __attribute__((always_inline))
#define __METAL__ 1
#define __METAL_VERSION__ 310
