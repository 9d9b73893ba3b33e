// Metal's standard library for a C++ compiler: enough for compute kernels, without textures.
//
// It does not include the C++ library: <cmath> alone takes longer to compile than a kernel. Functions behave as in
// Metal unless a comment says otherwise.
#pragma once
#include "runtime.h"
#include "numbers.h"
#include "vectors.h"
#include "functions.h"
#include "thread_functions.h"

using namespace metal;
typedef metal::half float16_t;
typedef metal::bfloat bfloat16_t;

// The simulator has one address space; strict mode checks them. build.py has rewritten declarations of `threadgroup`
// variables, so the keyword only remains on pointers and references.
#define device
#define constant
#define thread
#define threadgroup
#define kernel
#define METAL_FUNC inline __attribute__((always_inline))
#define __METAL__ 1
#define __METAL_VERSION__ 310
