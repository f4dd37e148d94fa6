// The recurrent layers whose products are in bfloat16. Compiled for the tile registers of AMX and for vectors
// (AVX512_BF16), with OSTINATO_VARIANT set to its name. All code is in a namespace of its own, so that the linker never
// uses it on a machine that lacks its instructions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "schedule.h"
#include "team.h"
#include "variant.h"
#include "vector_avx512.h"

#define ALWAYS_INLINE __attribute__((always_inline)) inline
#define UNROLL _Pragma("GCC unroll 16")
#define OSTINATO_JOIN_OF(variant) variant##_recurrent
#define OSTINATO_JOIN(variant) OSTINATO_JOIN_OF(variant)

namespace ostinato::OSTINATO_VARIANT {
namespace {

#include "partial.h"
#include "functions_by_table.h"
#include "tiles.h"
#include "cells.h"
#include "arena.h"
#include "distinct.h"
#include "plan.h"
#include "pack.h"
#include "bfloat16.h"
#if defined(__AMX_BF16__)
#include "tiles_amx.h"
#else
#include "tiles_avx512bf16.h"
#endif
#include "mixed.h"
#include "mixed_forward.h"
#include "mixed_backward.h"

int64_t saved_floats(const OstinatoStack &stack) {
  int64_t floats = 0;
  with_cell(stack, [&](auto cell) { floats = MixedSaved<decltype(cell)>{stack, nullptr}.floats(); });
  return floats;
}

void forward(const OstinatoStack &stack) {
  prepare_functions();
  with_cell(stack, [&](auto cell) {
    Arena arena;
    MixedForward<decltype(cell)>(stack, arena).run();
  });
}

void backward(const OstinatoStack &stack, const OstinatoGradients &gradients) {
  prepare_functions();
  with_cell(stack, [&](auto cell) {
    Arena arena;
    MixedBackpropagation<decltype(cell)>(stack, gradients, arena).run();
  });
}

}  // namespace
}  // namespace ostinato::OSTINATO_VARIANT

namespace ostinato {

extern const Recurrent OSTINATO_JOIN(OSTINATO_VARIANT) = {
    OSTINATO_VARIANT::saved_floats, OSTINATO_VARIANT::forward, OSTINATO_VARIANT::backward};

}  // namespace ostinato
