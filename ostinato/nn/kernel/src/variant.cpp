// One variant of the kernel. Compiled once for each instruction set, with OSTINATO_VARIANT set to its name. All code
// compiled with its flags is in its own namespace, so that the linker never uses it on a machine that lacks them.
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

#define OSTINATO_AVX512 1
#define OSTINATO_AVX2 2
#define OSTINATO_PORTABLE 3
#define OSTINATO_KIND_OF(name) OSTINATO_KIND_##name
#define OSTINATO_KIND_avx512 OSTINATO_AVX512
#define OSTINATO_KIND_avx2 OSTINATO_AVX2
#define OSTINATO_KIND_portable OSTINATO_PORTABLE
#define OSTINATO_KIND(name) OSTINATO_KIND_OF(name)

#if OSTINATO_KIND(OSTINATO_VARIANT) == OSTINATO_AVX512
#include "vector_avx512.h"
#elif OSTINATO_KIND(OSTINATO_VARIANT) == OSTINATO_AVX2
#include "vector_avx2.h"
#else
#include "vector_portable.h"
#endif

#define ALWAYS_INLINE __attribute__((always_inline)) inline
#define UNROLL _Pragma("GCC unroll 8")
#define OSTINATO_NAME_OF(variant) #variant
#define OSTINATO_NAME(variant) OSTINATO_NAME_OF(variant)
#define OSTINATO_JOIN_OF(variant) variant##_variant
#define OSTINATO_JOIN(variant) OSTINATO_JOIN_OF(variant)

namespace ostinato::OSTINATO_VARIANT {
namespace {

#include "partial.h"
#include "functions.h"
#include "tiles.h"
#include "products.h"
#include "cells.h"
#include "arena.h"
#include "distinct.h"
#include "plan.h"
#include "pack.h"
#include "quantized.h"
#include "lnlstm.h"
#include "slstm.h"
#include "forward.h"
#include "backward.h"
#include "linear.h"
#include "attention.h"
#include "readout.h"
#include "scan_cells.h"
#include "scan_plan.h"
#include "scan_output.h"
#include "scan.h"
#include "crf.h"
#include "softmax.h"
#include "adamw.h"

// As `with_cell`, with the cells that have no variant in bfloat16.
template <class F> void with_any_cell(const OstinatoStack &stack, F f) {
  switch (stack.cell) {
    case OSTINATO_LNLSTM: return f(LnLstm());
    case OSTINATO_SLSTM: return f(Slstm());
    default: return with_cell(stack, f);
  }
}

int64_t saved_floats(const OstinatoStack &stack) {
  int64_t floats = 0;
  with_any_cell(stack, [&](auto cell) { floats = Saved<decltype(cell)>(stack, nullptr).floats(); });
  return floats;
}

void forward(const OstinatoStack &stack) {
  with_any_cell(stack, [&](auto cell) {
    Arena arena;
    Forward<decltype(cell)>(stack, arena).run();
  });
}

void backward(const OstinatoStack &stack, const OstinatoGradients &gradients) {
  with_any_cell(stack, [&](auto cell) {
    Arena arena;
    Backpropagation<decltype(cell)>(stack, gradients, arena).run();
  });
}

void read_out_backward(const Recurrent &layers, const OstinatoStack &stack, const OstinatoReadout &readout,
    const OstinatoGradients &gradients, const OstinatoReadoutGradients &readout_gradients) {
  Arena arena;
  float *dh = arena.take<float>(stack.num_steps * stack.num_directions * stack.hidden_size);
  differentiate_readout(stack, readout, readout_gradients, dh);
  OstinatoGradients of_stack = gradients;
  of_stack.y = dh;
  layers.backward(stack, of_stack);
}

}  // namespace
}  // namespace ostinato::OSTINATO_VARIANT

namespace ostinato {

extern const Variant OSTINATO_JOIN(OSTINATO_VARIANT) = {
    OSTINATO_NAME(OSTINATO_VARIANT),
    {OSTINATO_VARIANT::saved_floats, OSTINATO_VARIANT::forward, OSTINATO_VARIANT::backward},
    OSTINATO_VARIANT::linear,
    OSTINATO_VARIANT::attend,
    OSTINATO_VARIANT::attend_backward,
    OSTINATO_VARIANT::read_out,
    OSTINATO_VARIANT::read_out_backward,
    OSTINATO_VARIANT::scan,
    OSTINATO_VARIANT::scan_backward,
    OSTINATO_VARIANT::crf_forward,
    OSTINATO_VARIANT::crf_backward,
    OSTINATO_VARIANT::crf_marginals,
    OSTINATO_VARIANT::crf_decode,
    OSTINATO_VARIANT::softmax,
    OSTINATO_VARIANT::adamw,
};

}  // namespace ostinato
