// The C interface: refuses what would read out of bounds, picks the variant, turns exceptions into a status.
#include "interface.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>

#include "schedule.h"
#include "variant.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(OSTINATO_AMX)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace ostinato {
namespace {

#if defined(__x86_64__)
struct Processor {
  bool avx2 = false, avx512 = false, avx512bf16 = false, amx = false, is_amd = false;
};

// What the processor computes and the system saves. __builtin_cpu_supports is always false when Zig 0.17 links.
Processor processor() {
  unsigned a, b, c, d, saved, high;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) || !(c & bit_FMA)) return {};
  __asm__ volatile("xgetbv" : "=a"(saved), "=d"(high) : "c"(0));
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return {};
  Processor found;
  found.avx2 = (b & bit_AVX2) && (saved & 0x06) == 0x06;                    // XMM, YMM
  found.avx512 = found.avx2 && (b & bit_AVX512F) && (saved & 0xe6) == 0xe6;  // and masks, ZMM
  constexpr unsigned kTiles = 1u << 24, kTilesOfBfloat16 = 1u << 22, kVectorsOfBfloat16 = 1u << 5;
  const bool tiles = (d & kTiles) && (d & kTilesOfBfloat16) && (saved & 0x60000) == 0x60000;
  const bool vectors = found.avx512 && (b & bit_AVX512BW) && (b & bit_AVX512VL);
  found.avx512bf16 = vectors && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & kVectorsOfBfloat16);
  found.amx = tiles && found.avx512bf16;
  found.is_amd = __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx;
  return found;
}
#endif

bool is_forced(const char *variant) {
  const char *forced = std::getenv("OSTINATO_KERNEL");
  return forced && !std::strcmp(forced, variant);
}

const Variant &choose() {
#if defined(__x86_64__)
  const Processor found = processor();
  const bool free = is_forced("") || !std::getenv("OSTINATO_KERNEL");
  if (found.avx512 && (free || is_forced("avx512") || is_forced("avx512bf16"))) return avx512_variant;
  if (found.avx2 && (free || is_forced("avx2"))) return avx2_variant;
#endif
  return portable_variant;
}

const Variant &variant() {
  static const Variant &chosen = choose();
  return chosen;
}

// The layers whose products are in bfloat16.
struct Bfloat16 {
  const Recurrent *recurrent;  // null: there are none here
  const char *instructions;    // empty where there are none
  const char *why_not;         // empty where there are some
};

#if defined(OSTINATO_AMX)
bool permits_amx() {  // asks for all threads of the process
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM
  return !syscall(SYS_arch_prctl, kRequestPermission, kTileData);
}
#endif

Bfloat16 find_bfloat16() {
  const char *why_not = "the kernel was built without bfloat16";
#if defined(OSTINATO_AVX512BF16)
  const Processor found = processor();
  // On Intel's processors products of vectors in bfloat16 are no faster than in float32.
  const bool vectors = found.avx512bf16 && (found.is_amd || is_forced("avx512bf16"));
  why_not = "the processor has neither AMX nor AMD's AVX512_BF16";
  if ((found.amx || vectors) && std::strcmp(variant().name, "avx512"))
    return {nullptr, "", "OSTINATO_KERNEL forces other instructions"};
#if defined(OSTINATO_AMX)
  if (found.amx && !is_forced("avx512bf16")) {
    if (permits_amx()) return {&amx_recurrent, "AMX", ""};
    why_not = "the operating system does not permit AMX";
  }
#endif
  if (vectors) return {&avx512bf16_recurrent, "AVX512_BF16", ""};
#endif
  return {nullptr, "", why_not};
}

const Bfloat16 &bfloat16() {
  static const Bfloat16 found = find_bfloat16();
  return found;
}

const Recurrent &recurrent(const OstinatoStack &stack) {
  const bool has_products = stack.cell != OSTINATO_LNLSTM && stack.cell != OSTINATO_SLSTM;  // in bfloat16
  if (has_products && stack.precision == OSTINATO_BFLOAT16 && bfloat16().recurrent) return *bfloat16().recurrent;
  return variant().recurrent;
}

int check_lengths(const int64_t *lengths, int64_t batch_size, int64_t longest, int64_t num_steps) {
  int64_t steps = 0;
  for (int64_t b = 0; b < batch_size; b++) {
    const int64_t length = lengths ? lengths[b] : longest;
    if (length < 0 || length > longest) return OSTINATO_BAD_LENGTH;
    steps += length;
  }
  return steps == num_steps ? OSTINATO_OK : OSTINATO_BAD_LENGTH;
}

int check(const OstinatoStack &stack) {
  const int64_t longest = stack.order == OSTINATO_RAGGED ? stack.num_steps : stack.padded_length;
  if (int status = check_lengths(stack.lengths, stack.batch_size, longest, stack.num_steps)) return status;
  for (int64_t n = 0; stack.ids && n < stack.num_steps; n++) {
    if (stack.ids[n] < 0 || stack.ids[n] >= stack.table_rows) return OSTINATO_ID_OUT_OF_RANGE;
  }
  return OSTINATO_OK;
}

int check(const OstinatoCrf &crf) {
  if (int status = check_lengths(crf.lengths, crf.batch_size, crf.num_steps, crf.num_steps)) return status;
  for (int64_t n = 0; crf.tags && n < crf.num_steps; n++) {
    if (crf.tags[n] < 0 || crf.tags[n] >= crf.num_tags) return OSTINATO_ID_OUT_OF_RANGE;
  }
  return OSTINATO_OK;
}

int check(const OstinatoSoftmax &softmax) {
  for (int64_t row = 0; row < softmax.rows; row++) {
    const bool is_token = softmax.targets[row] >= 0 && softmax.targets[row] < softmax.tokens;
    if (!is_token || softmax.left_out[row] >= softmax.candidates) return OSTINATO_ID_OUT_OF_RANGE;
  }
  return OSTINATO_OK;
}

#define STRUCTURE(name) #name ": " + std::to_string(sizeof(name)) + " bytes\n"
#define FIELD(structure, name)                                                         \
  #structure "." #name ": " + std::to_string(sizeof(structure::name)) + " bytes at " + \
      std::to_string(offsetof(structure, name)) + "\n"
#define ENUMERATOR(kind, name, value) kind " " name ": " + std::to_string(int(value)) + "\n"

std::string describe_interface() {
  const std::string lines[] = {
    STRUCTURE(OstinatoStack),
    FIELD(OstinatoStack, cell), FIELD(OstinatoStack, num_layers), FIELD(OstinatoStack, num_directions),
    FIELD(OstinatoStack, order), FIELD(OstinatoStack, threads), FIELD(OstinatoStack, training),
    FIELD(OstinatoStack, precision),
    FIELD(OstinatoStack, batch_size), FIELD(OstinatoStack, num_steps), FIELD(OstinatoStack, padded_length),
    FIELD(OstinatoStack, input_size), FIELD(OstinatoStack, hidden_size), FIELD(OstinatoStack, table_rows),
    FIELD(OstinatoStack, lengths), FIELD(OstinatoStack, ids), FIELD(OstinatoStack, x), FIELD(OstinatoStack, weights),
    FIELD(OstinatoStack, h0), FIELD(OstinatoStack, c0), FIELD(OstinatoStack, y), FIELD(OstinatoStack, hn),
    FIELD(OstinatoStack, cn), FIELD(OstinatoStack, saved),
    STRUCTURE(OstinatoGradients),
    FIELD(OstinatoGradients, y), FIELD(OstinatoGradients, hn), FIELD(OstinatoGradients, cn),
    FIELD(OstinatoGradients, x), FIELD(OstinatoGradients, weights), FIELD(OstinatoGradients, h0),
    FIELD(OstinatoGradients, c0),
    STRUCTURE(OstinatoAttention),
    FIELD(OstinatoAttention, batch_size), FIELD(OstinatoAttention, num_steps), FIELD(OstinatoAttention, hidden_size),
    FIELD(OstinatoAttention, lengths), FIELD(OstinatoAttention, h), FIELD(OstinatoAttention, project),
    FIELD(OstinatoAttention, bias), FIELD(OstinatoAttention, score), FIELD(OstinatoAttention, out),
    FIELD(OstinatoAttention, a), FIELD(OstinatoAttention, u), FIELD(OstinatoAttention, running),
    STRUCTURE(OstinatoAttentionGradients),
    FIELD(OstinatoAttentionGradients, out), FIELD(OstinatoAttentionGradients, h),
    FIELD(OstinatoAttentionGradients, project), FIELD(OstinatoAttentionGradients, bias),
    FIELD(OstinatoAttentionGradients, score),
    STRUCTURE(OstinatoReadout),
    FIELD(OstinatoReadout, num_poolings), FIELD(OstinatoReadout, by_step), FIELD(OstinatoReadout, size),
    FIELD(OstinatoReadout, poolings), FIELD(OstinatoReadout, project), FIELD(OstinatoReadout, project_bias),
    FIELD(OstinatoReadout, score), FIELD(OstinatoReadout, factors), FIELD(OstinatoReadout, weight),
    FIELD(OstinatoReadout, bias), FIELD(OstinatoReadout, pooled), FIELD(OstinatoReadout, a),
    FIELD(OstinatoReadout, u), FIELD(OstinatoReadout, out),
    STRUCTURE(OstinatoReadoutGradients),
    FIELD(OstinatoReadoutGradients, out), FIELD(OstinatoReadoutGradients, project),
    FIELD(OstinatoReadoutGradients, project_bias), FIELD(OstinatoReadoutGradients, score),
    FIELD(OstinatoReadoutGradients, weight), FIELD(OstinatoReadoutGradients, bias),
    STRUCTURE(OstinatoScan),
    FIELD(OstinatoScan, cell), FIELD(OstinatoScan, num_directions), FIELD(OstinatoScan, batch_size),
    FIELD(OstinatoScan, num_steps), FIELD(OstinatoScan, input_size), FIELD(OstinatoScan, hidden_size),
    FIELD(OstinatoScan, lengths), FIELD(OstinatoScan, x), FIELD(OstinatoScan, weights), FIELD(OstinatoScan, y),
    FIELD(OstinatoScan, sums), FIELD(OstinatoScan, h0), FIELD(OstinatoScan, states),
    STRUCTURE(OstinatoScanGradients),
    FIELD(OstinatoScanGradients, y), FIELD(OstinatoScanGradients, x), FIELD(OstinatoScanGradients, weights),
    STRUCTURE(OstinatoCrf),
    FIELD(OstinatoCrf, batch_size), FIELD(OstinatoCrf, num_steps), FIELD(OstinatoCrf, num_tags),
    FIELD(OstinatoCrf, lengths), FIELD(OstinatoCrf, emissions), FIELD(OstinatoCrf, start),
    FIELD(OstinatoCrf, transitions), FIELD(OstinatoCrf, end), FIELD(OstinatoCrf, tags), FIELD(OstinatoCrf, saved),
    STRUCTURE(OstinatoCrfGradients),
    FIELD(OstinatoCrfGradients, log_likelihood), FIELD(OstinatoCrfGradients, emissions),
    FIELD(OstinatoCrfGradients, start), FIELD(OstinatoCrfGradients, transitions), FIELD(OstinatoCrfGradients, end),
    STRUCTURE(OstinatoSoftmax),
    FIELD(OstinatoSoftmax, rows), FIELD(OstinatoSoftmax, size), FIELD(OstinatoSoftmax, candidates),
    FIELD(OstinatoSoftmax, tokens), FIELD(OstinatoSoftmax, x), FIELD(OstinatoSoftmax, weight),
    FIELD(OstinatoSoftmax, bias), FIELD(OstinatoSoftmax, table), FIELD(OstinatoSoftmax, table_bias),
    FIELD(OstinatoSoftmax, targets), FIELD(OstinatoSoftmax, left_out), FIELD(OstinatoSoftmax, losses),
    FIELD(OstinatoSoftmax, d_positive), FIELD(OstinatoSoftmax, d_x), FIELD(OstinatoSoftmax, d_weight),
    FIELD(OstinatoSoftmax, d_bias),
    STRUCTURE(OstinatoAdamW),
    FIELD(OstinatoAdamW, count), FIELD(OstinatoAdamW, beta1), FIELD(OstinatoAdamW, beta2),
    FIELD(OstinatoAdamW, epsilon), FIELD(OstinatoAdamW, limit), FIELD(OstinatoAdamW, sizes),
    FIELD(OstinatoAdamW, rates), FIELD(OstinatoAdamW, decays), FIELD(OstinatoAdamW, weights),
    FIELD(OstinatoAdamW, gradients), FIELD(OstinatoAdamW, means), FIELD(OstinatoAdamW, squares),
    FIELD(OstinatoAdamW, steps),
    ENUMERATOR("cell", "rnn_tanh", OSTINATO_RNN_TANH), ENUMERATOR("cell", "rnn_relu", OSTINATO_RNN_RELU),
    ENUMERATOR("cell", "lstm", OSTINATO_LSTM), ENUMERATOR("cell", "gru", OSTINATO_GRU),
    ENUMERATOR("cell", "lnlstm", OSTINATO_LNLSTM), ENUMERATOR("cell", "slstm", OSTINATO_SLSTM),
    ENUMERATOR("order", "ragged", OSTINATO_RAGGED), ENUMERATOR("order", "batch_first", OSTINATO_BATCH_FIRST),
    ENUMERATOR("order", "time_first", OSTINATO_TIME_FIRST),
    ENUMERATOR("precision", "float32", OSTINATO_FLOAT32), ENUMERATOR("precision", "bfloat16", OSTINATO_BFLOAT16),
    ENUMERATOR("precision", "int8", OSTINATO_INT8),
    ENUMERATOR("pooling", "last", OSTINATO_LAST), ENUMERATOR("pooling", "mean", OSTINATO_MEAN),
    ENUMERATOR("pooling", "max", OSTINATO_MAX), ENUMERATOR("pooling", "attention", OSTINATO_ATTENTION),
    ENUMERATOR("scan", "mingru", OSTINATO_MIN_GRU), ENUMERATOR("scan", "minlstm", OSTINATO_MIN_LSTM),
    ENUMERATOR("scan", "mingru_signed", OSTINATO_MIN_GRU_SIGNED),
    ENUMERATOR("scan", "minlstm_signed", OSTINATO_MIN_LSTM_SIGNED),
    ENUMERATOR("scan", "rglru", OSTINATO_RG_LRU), ENUMERATOR("scan", "lru", OSTINATO_LRU),
    "saved: gates, cells, outputs\n",
  };
  std::string text;
  for (const std::string &line : lines) text += line;
  return text;
}

template <class F> int guarded(F f) {
  try {
    const FlushDenormals flush;  // for what the caller's thread computes outside of stages
    f();
    return OSTINATO_OK;
  } catch (const NoMemory &) {
    return OSTINATO_NO_MEMORY;
  }
}

}  // namespace
}  // namespace ostinato

using namespace ostinato;

extern "C" {

int64_t ostinato_saved_floats(const OstinatoStack *stack) { return recurrent(*stack).saved_floats(*stack); }

int ostinato_forward(const OstinatoStack *stack) {
  if (int status = check(*stack)) return status;
  return guarded([&] { recurrent(*stack).forward(*stack); });
}

int ostinato_backward(const OstinatoStack *stack, const OstinatoGradients *gradients) {
  if (int status = check(*stack)) return status;
  return guarded([&] { recurrent(*stack).backward(*stack, *gradients); });
}

int ostinato_linear(const float *x, const float *weight, const float *bias, float *out, int64_t rows, int64_t in,
    int64_t out_size, int32_t threads) {
  return guarded([&] { variant().linear(x, weight, bias, out, rows, in, out_size, threads); });
}

int ostinato_attend(const OstinatoAttention *attention, int32_t threads) {
  if (int status = check_lengths(attention->lengths, attention->batch_size, attention->num_steps, attention->num_steps))
    return status;
  return guarded([&] { variant().attend(*attention, threads); });
}

int ostinato_attend_backward(
    const OstinatoAttention *attention, const OstinatoAttentionGradients *gradients, int32_t threads) {
  if (int status = check_lengths(attention->lengths, attention->batch_size, attention->num_steps, attention->num_steps))
    return status;
  return guarded([&] { variant().attend_backward(*attention, *gradients, threads); });
}

int ostinato_read_out(const OstinatoStack *stack, const OstinatoReadout *readout) {
  if (int status = check(*stack)) return status;
  return guarded([&] {
    recurrent(*stack).forward(*stack);
    variant().read_out(*stack, *readout);
  });
}

int ostinato_read_out_backward(const OstinatoStack *stack, const OstinatoReadout *readout,
    const OstinatoGradients *gradients, const OstinatoReadoutGradients *readout_gradients) {
  if (int status = check(*stack)) return status;
  return guarded([&] { variant().read_out_backward(recurrent(*stack), *stack, *readout, *gradients, *readout_gradients); });
}

int ostinato_scan(const OstinatoScan *scan, int32_t threads) {
  if (int status = check_lengths(scan->lengths, scan->batch_size, scan->num_steps, scan->num_steps)) return status;
  return guarded([&] { variant().scan(*scan, threads); });
}

int ostinato_scan_backward(const OstinatoScan *scan, const OstinatoScanGradients *gradients, int32_t threads) {
  if (int status = check_lengths(scan->lengths, scan->batch_size, scan->num_steps, scan->num_steps)) return status;
  return guarded([&] { variant().scan_backward(*scan, *gradients, threads); });
}

int ostinato_crf(const OstinatoCrf *crf, float *log_likelihood, int32_t threads) {
  if (int status = check(*crf)) return status;
  return guarded([&] { variant().crf_forward(*crf, log_likelihood, threads); });
}

int ostinato_crf_backward(const OstinatoCrf *crf, const OstinatoCrfGradients *gradients, int32_t threads) {
  if (int status = check(*crf)) return status;
  return guarded([&] { variant().crf_backward(*crf, *gradients, threads); });
}

int ostinato_crf_marginals(const OstinatoCrf *crf, float *out, int32_t threads) {
  if (int status = check(*crf)) return status;
  return guarded([&] { variant().crf_marginals(*crf, out, threads); });
}

int ostinato_crf_decode(const OstinatoCrf *crf, int64_t *out, int32_t threads) {
  if (int status = check(*crf)) return status;
  return guarded([&] { variant().crf_decode(*crf, out, threads); });
}

int ostinato_softmax(const OstinatoSoftmax *softmax, int32_t threads) {
  if (int status = check(*softmax)) return status;
  return guarded([&] { variant().softmax(*softmax, threads); });
}

int ostinato_adamw(const OstinatoAdamW *adamw, double *norm, int32_t threads) {
  return guarded([&] { *norm = variant().adamw(*adamw, threads); });
}

const char *ostinato_interface(void) {
  static const std::string text = describe_interface();
  return text.c_str();
}

const char *ostinato_variant(void) { return variant().name; }
const char *ostinato_bfloat16_instructions(void) { return bfloat16().instructions; }
const char *ostinato_why_not_bfloat16(void) { return bfloat16().why_not; }
const char *ostinato_pool(void) { return pool_name(); }
}
