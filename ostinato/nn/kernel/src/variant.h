// The functions of one variant of the kernel. There is one for each instruction set, chosen at first use.
#pragma once
#include "interface.h"

namespace ostinato {

struct NoMemory {};

struct Recurrent {
  int64_t (*saved_floats)(const OstinatoStack &);
  void (*forward)(const OstinatoStack &);
  void (*backward)(const OstinatoStack &, const OstinatoGradients &);
};

struct Variant {
  const char *name;
  Recurrent recurrent;
  void (*linear)(const float *x, const float *weight, const float *bias, float *out, int64_t rows, int64_t in,
      int64_t out_size, int threads);
  void (*attend)(const OstinatoAttention &, int threads);
  void (*attend_backward)(const OstinatoAttention &, const OstinatoAttentionGradients &, int threads);
  void (*read_out)(const OstinatoStack &, const OstinatoReadout &);
  void (*read_out_backward)(const Recurrent &, const OstinatoStack &, const OstinatoReadout &,
      const OstinatoGradients &, const OstinatoReadoutGradients &);
  void (*scan)(const OstinatoScan &, int threads);
  void (*scan_backward)(const OstinatoScan &, const OstinatoScanGradients &, int threads);
  void (*crf_forward)(const OstinatoCrf &, float *log_likelihood, int threads);
  void (*crf_backward)(const OstinatoCrf &, const OstinatoCrfGradients &, int threads);
  void (*crf_marginals)(const OstinatoCrf &, float *out, int threads);
  void (*crf_decode)(const OstinatoCrf &, int64_t *out, int threads);
  void (*softmax)(const OstinatoSoftmax &, int threads);
  double (*adamw)(const OstinatoAdamW &, int threads);
};

#if defined(__x86_64__)
extern const Variant avx512_variant, avx2_variant;
#endif
extern const Variant portable_variant;

// Products in bfloat16; defined where the compiler knows their instructions.
extern const Recurrent amx_recurrent, avx512bf16_recurrent;

}  // namespace ostinato
