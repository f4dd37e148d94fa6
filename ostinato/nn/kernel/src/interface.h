// The interface to Python: plain C, pointers and sizes, no torch. Matrices are row-major float32.
//
// A ragged batch is B sequences of lengths[b] steps. Its N steps are numbered sequence by sequence ("flat"); `order`
// says which row of the caller's matrices holds step t of sequence b.
#pragma once
#include <cstdint>

#if defined(_WIN32)
#define OSTINATO_API __declspec(dllexport)
#else
#define OSTINATO_API __attribute__((visibility("default")))
#endif

extern "C" {

enum OstinatoCell {
  OSTINATO_RNN_TANH,
  OSTINATO_RNN_RELU,
  OSTINATO_LSTM,
  OSTINATO_GRU,
  OSTINATO_LNLSTM,
  OSTINATO_SLSTM,
};

enum OstinatoOrder {
  OSTINATO_RAGGED,       // sequences end to end, no padding
  OSTINATO_BATCH_FIRST,  // row b·T + t of a padded (B, T) block
  OSTINATO_TIME_FIRST,   // row t·B + b of a padded (T, B) block
};

// Of the products with weights. BFLOAT16: sums are float32. INT8: of W_hh h, whose sums are int32; others in float32.
enum OstinatoPrecision { OSTINATO_FLOAT32, OSTINATO_BFLOAT16, OSTINATO_INT8 };

enum OstinatoStatus { OSTINATO_OK, OSTINATO_NO_MEMORY, OSTINATO_ID_OUT_OF_RANGE, OSTINATO_BAD_LENGTH };

// A stack of recurrent layers over a ragged batch. Pointers marked * may be null. Sizes are counted in floats.
struct OstinatoStack {
  int32_t cell, num_layers, num_directions, order;
  int32_t threads;    // at most this many
  int32_t training;   // nonzero: write to `saved` what backward needs
  // float32 for OSTINATO_LNLSTM and OSTINATO_SLSTM, where bfloat16 is not available, and instead of int8 in training
  int32_t precision;
  int64_t batch_size, num_steps, padded_length;  // B, N, T of a padded block
  int64_t input_size, hidden_size, table_rows;   // D, H, V
  const int64_t *lengths;        // * (B,); null: every sequence has T steps
  const int64_t *ids;            // * (N,) token ids: the rows of `x` to read
  const float *x;                // (rows, D); with ids the table (V, D)
  // L · directions · {weight_ih (G·H, D), weight_hh (G·H, H), bias_ih *, bias_hh *}; for OSTINATO_LNLSTM
  // {weight_ih, weight_hh, bias_ih (G·H,), gain_ih (G·H,), gain_hh (G·H,), bias_c (H,), gain_c (H,)}; for
  // OSTINATO_SLSTM {weight_ih, weight_hh (G·H, H / heads), bias_ih (G·H,)} with 4 heads where H divides by 4, else one
  const float *const *weights;
  const float *h0, *c0;          // * (L · directions, B, H), for OSTINATO_SLSTM c0 (L · directions, B, 3 · H)
  float *y;                      // (rows, directions · H); rows without a step are not written
  float *hn, *cn;                // * as h0 and c0
  float *saved;                  // * ostinato_saved_floats() floats, at a multiple of 64 bytes
};

// Gradients of a forward call made with `training`. Overwrites `saved`, so it serves one backward. Does not read `y`,
// which the caller may change after the forward call.
struct OstinatoGradients {
  const float *y;          // * (rows, directions · H) gradient of the output
  const float *hn, *cn;    // * as h0 and c0; cn and c0 are null for OSTINATO_SLSTM
  float *x;                // * (rows, D); with ids that of the table (V, D), every row written
  float *const *weights;   // as `weights`, each *
  float *h0, *c0;          // *
};

OSTINATO_API int64_t ostinato_saved_floats(const OstinatoStack *stack);
OSTINATO_API int ostinato_forward(const OstinatoStack *stack);
OSTINATO_API int ostinato_backward(const OstinatoStack *stack, const OstinatoGradients *gradients);

// out = x · weightᵀ + bias, each row by itself: its bits do not depend on the other rows. x (rows, D) -> out (rows, H).
OSTINATO_API int ostinato_linear(const float *x, const float *weight, const float *bias, float *out, int64_t rows,
    int64_t in, int64_t out_size, int32_t threads);

// Additive attention over the steps of each sequence: out = Σ a·h with a = softmax(score · tanh(project · h + bias)),
// zeros for a sequence without steps. A sequence's bits do not depend on the other sequences.
struct OstinatoAttention {
  int64_t batch_size, num_steps, hidden_size;
  const int64_t *lengths;               // (B,)
  const float *h;                       // (N, H), the steps of each sequence end to end
  const float *project, *bias, *score;  // (H, H), (H,), (H,)
  float *out;                           // (B, H)
  float *a, *u;                         // * saved for backward: (N,) and (N, H rounded up to a multiple of 16)
  // * (B, H + 2), not for backward: the state of a sum step by step, read and updated. For each sequence the largest
  // score so far (-inf without steps), the sum of powers, the weighted sum of h. So a sequence can come in pieces.
  float *running;
};

// Overwrites `u`, so it serves one backward.
struct OstinatoAttentionGradients {
  const float *out;               // (B, H)
  float *h;                       // (N, H)
  float *project, *bias, *score;  // (H, H), (H,), (H,)
};

OSTINATO_API int ostinato_attend(const OstinatoAttention *attention, int32_t threads);
OSTINATO_API int ostinato_attend_backward(
    const OstinatoAttention *attention, const OstinatoAttentionGradients *gradients, int32_t threads);

// One vector of outputs for each sequence: poolings of the steps, concatenated in the given order, dropout, and a linear
// layer. Of a ragged batch, whose `y` it reads. A sequence's bits do not depend on the other sequences.
enum OstinatoPooling { OSTINATO_LAST, OSTINATO_MEAN, OSTINATO_MAX, OSTINATO_ATTENTION };

struct OstinatoReadout {
  int32_t num_poolings, by_step;  // by_step: sum attention as `running` does, which has no backward
  int64_t size;                   // C
  const int32_t *poolings;        // each at most once; P = num_poolings · directions · H
  const float *project, *project_bias, *score;  // * of attention, as in OstinatoAttention
  const float *factors;           // * (B, P) of the pooled vectors
  const float *weight, *bias;     // (C, P), (C,)
  float *pooled;                  // (B, P rounded up to a multiple of 16), without the factors
  float *a, *u;                   // * of attention, saved for backward
  float *out;                     // (B, C)
};

// Overwrites `u`, so it serves one backward.
struct OstinatoReadoutGradients {
  const float *out;                       // (B, C)
  float *project, *project_bias, *score;  // * of attention
  float *weight, *bias;                   // (C, P), (C,)
};

// The stack, then the readout. Backward overwrites `stack.saved`, and ignores the `y` of `gradients`.
OSTINATO_API int ostinato_read_out(const OstinatoStack *stack, const OstinatoReadout *readout);
OSTINATO_API int ostinato_read_out_backward(const OstinatoStack *stack, const OstinatoReadout *readout,
    const OstinatoGradients *gradients, const OstinatoReadoutGradients *readout_gradients);

// Layers whose state is a linear recurrence h' = a·h + b over each sequence; a and b depend on the input alone. S is 1,
// or for the LRU, whose states are complex, 2.
enum OstinatoScanCell {
  OSTINATO_MIN_GRU,          // G = 2
  OSTINATO_MIN_LSTM,         // G = 3
  OSTINATO_MIN_GRU_SIGNED,   // G = 2
  OSTINATO_MIN_LSTM_SIGNED,  // G = 3
  OSTINATO_RG_LRU,           // G = 3; further weights: decay (H,)
  OSTINATO_LRU,              // G = 2; further weights: nu_log, theta_log, gamma_log (H,), weight_ho (H, 2·H)
};

struct OstinatoScan {
  int32_t cell, num_directions;
  int64_t batch_size, num_steps, input_size, hidden_size;  // B, N, D, H
  const int64_t *lengths;       // (B,)
  const float *x;               // (N, D), the steps of each sequence end to end
  const float *const *weights;  // directions · {weight_ih (G·H, D), bias_ih (G·H,), the cell's further weights}
  float *y;                     // (N, directions · H)
  float *sums;                  // * saved for backward: (N, directions · G · H rounded up to a multiple of 16)
  const float *h0;              // * (directions, B, S · H), not for backward; null: zeros
  float *states;                // (N, directions · S · H) for the LRU; unused if S is 1, as y has the states
};

// Overwrites `sums`, so it serves one backward.
struct OstinatoScanGradients {
  const float *y;         // (N, directions · H)
  float *x;               // * (N, D)
  float *const *weights;  // as `weights`, each *
};

OSTINATO_API int ostinato_scan(const OstinatoScan *scan, int32_t threads);
OSTINATO_API int ostinato_scan_backward(
    const OstinatoScan *scan, const OstinatoScanGradients *gradients, int32_t threads);

// Linear-chain conditional random fields over the steps of each sequence; scores may be -inf. A sequence's bits do not
// depend on the other sequences.
struct OstinatoCrf {
  int64_t batch_size, num_steps, num_tags;  // B, N, C
  const int64_t *lengths;                   // (B,)
  const float *emissions;                   // (N, C), the steps of each sequence end to end
  const float *start, *transitions, *end;   // (C,), (C, C) from row to column, (C,)
  const int64_t *tags;                      // * (N,), for the log-likelihood and its backward
  float *saved;                             // * for backward: N · (2 · C rounded up to a multiple of 16 + 1) floats
};

// Overwrites `saved`, so it serves one backward.
struct OstinatoCrfGradients {
  const float *log_likelihood;              // (B,)
  float *emissions;                         // (N, C)
  float *start, *transitions, *end;         // (C,), (C, C), (C,)
};

OSTINATO_API int ostinato_crf(const OstinatoCrf *crf, float *log_likelihood, int32_t threads);  // (B,), 0 without steps
OSTINATO_API int ostinato_crf_backward(const OstinatoCrf *crf, const OstinatoCrfGradients *gradients, int32_t threads);
OSTINATO_API int ostinato_crf_marginals(const OstinatoCrf *crf, float *out, int32_t threads);   // (N, C)
OSTINATO_API int ostinato_crf_decode(const OstinatoCrf *crf, int64_t *out, int32_t threads);    // (N,) ties: lowest tag

// -log of each row's softmax at its own target, over the target and the candidates, and its gradient. Logits are x · w + b.
struct OstinatoSoftmax {
  int64_t rows, size, candidates, tokens;  // n, E, S, V
  const float *x;                          // (n, E)
  const float *weight, *bias;              // (S, E), (S,) of the candidates
  const float *table, *table_bias;         // (V, E), (V,)
  const int64_t *targets;                  // (n,) each row's own target: a row of the table
  const int64_t *left_out;                 // (n,) the candidate that is not in the row's sum, or -1
  float *losses, *d_positive;              // (n,) the losses, and the gradient of the logits of the targets
  float *d_x;                              // (n, E)
  float *d_weight, *d_bias;                // (S, E), (S,) of the candidates alone
};

OSTINATO_API int ostinato_softmax(const OstinatoSoftmax *softmax, int32_t threads);

// A step of AdamW on `count` tensors, whose gradients are scaled down to a norm of `limit` where theirs is above it.
// With g a scaled gradient and t the number of the step, from 1:
//   m = β₁·m + (1 - β₁)·g; v = β₂·v + (1 - β₂)·g²; w = (1 - lr·decay)·w - lr · m / (1 - β₁ᵗ) / (√(v / (1 - β₂ᵗ)) + ε)
// Does nothing if the norm is not finite. Bits do not depend on the number of threads.
struct OstinatoAdamW {
  int64_t count;
  double beta1, beta2, epsilon, limit;
  const int64_t *sizes;                  // (count,) floats of each tensor
  const double *rates, *decays;          // (count,) lr, decay
  float *const *weights;                 // (count,) w
  const float *const *gradients;         // (count,)
  float *const *means, *const *squares;  // (count,) m, v
  float *const *steps;                   // (count,) one float each: the steps before this one, which is added
};

// norm: where to write the norm of all gradients together, before they are scaled.
OSTINATO_API int ostinato_adamw(const OstinatoAdamW *adamw, double *norm, int32_t threads);

// Describes this interface, so that a caller can check that it matches; one line for each structure, field, enumerator:
//   OstinatoStack: 152 bytes
//   OstinatoStack.cell: 4 bytes at 0
//   cell lstm: 2
// and one for what `OstinatoStack.saved` holds.
OSTINATO_API const char *ostinato_interface(void);

// The instruction set in use: "avx512", "avx2" or "portable". OSTINATO_KERNEL in the environment forces one of them, or
// "avx512bf16": avx512 with products in bfloat16 by vectors, even where there is AMX or they are no faster.
OSTINATO_API const char *ostinato_variant(void);
// The instructions of products in bfloat16: "AMX" or "AVX512_BF16"; an empty text where there are none.
OSTINATO_API const char *ostinato_bfloat16_instructions(void);
// Why there are none; an empty text where there are some.
OSTINATO_API const char *ostinato_why_not_bfloat16(void);
OSTINATO_API const char *ostinato_pool(void);  // "openmp" or "threads"

}  // extern "C"
