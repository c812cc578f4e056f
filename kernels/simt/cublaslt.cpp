// The twin of cuBLASLt: the same descriptors, read as the library reads them, and a plain product on the emulated
// device's memory. It refuses what the library refuses, and is stricter where the library's answer is not documented:
// an algorithm serves exactly the problem and the alignments that it was asked for; a sum, a bias or GELU is fused only
// where all addresses and strides are multiples of 16 bytes, so that callers' other path is taken by tests as well; and
// a deep product uses workspace, so that workspace is there.
#include "kernels/simt/cublaslt.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "core/base/half.h"
#include "kernels/simt/device_memory.h"

struct cublasLtContext {};

struct cublasLtTwinOperation {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t a_operation = CUBLAS_OP_N, b_operation = CUBLAS_OP_N;
  uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
  void* bias = nullptr;
  void* aux = nullptr;  // of GELU: its input, which the forward product writes and the backward product reads
  int64_t aux_ld = 0;
};

struct cublasLtTwinLayout {
  cudaDataType_t type;
  uint64_t rows, cols;
  int64_t ld;

  size_t element() const { return type == CUDA_R_16BF ? 2 : 4; }
};

struct cublasLtTwinPreference {
  uint64_t workspace = 0;
  uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
  uint32_t a = 256, b = 256, c = 256, d = 256;  // alignments
};

namespace hinoki::simt {
namespace {

constexpr uint64_t kMark = 0x7477696e;  // of an algorithm that the heuristic made
constexpr uint64_t kDeep = 256;         // k from which a product is cut in two
constexpr size_t kWorkspaceAlignment = 256;

cublasLtContext the_context;

struct Product {
  const cublasLtTwinOperation& operation;
  const cublasLtTwinLayout &a, &b, &c, &d;

  bool a_transposed() const { return operation.a_operation == CUBLAS_OP_T; }
  bool b_transposed() const { return operation.b_operation == CUBLAS_OP_T; }
  uint64_t m() const { return d.rows; }
  uint64_t n() const { return d.cols; }
  uint64_t k() const { return a_transposed() ? a.rows : a.cols; }
  bool is(cublasLtEpilogue_t epilogue) const { return operation.epilogue == epilogue; }
  bool sums_a() const { return is(CUBLASLT_EPILOGUE_BGRADA); }
  bool sums_b() const { return is(CUBLASLT_EPILOGUE_BGRADB); }
  bool adds_bias() const { return is(CUBLASLT_EPILOGUE_BIAS) || is(CUBLASLT_EPILOGUE_GELU_AUX_BIAS); }
  bool gelu() const { return is(CUBLASLT_EPILOGUE_GELU_AUX) || is(CUBLASLT_EPILOGUE_GELU_AUX_BIAS); }
  bool dgelu() const { return is(CUBLASLT_EPILOGUE_DGELU); }
  bool uses_bias() const { return adds_bias() || sums_a() || sums_b(); }
  bool uses_aux() const { return gelu() || dgelu(); }

  bool fits() const {
    for (const cublasLtTwinLayout* l : {&a, &b, &c, &d})
      if (l->rows == 0 || l->cols == 0 || l->ld < int64_t(l->rows)) return false;
    if (uses_aux() && (operation.aux_ld % 8 != 0 || operation.aux_ld < int64_t(m()))) return false;
    return (a_transposed() ? a.cols : a.rows) == m() && (b_transposed() ? b.rows : b.cols) == n() &&
           (b_transposed() ? b.cols : b.rows) == k() && c.rows == m() && c.cols == n() && c.type == d.type;
  }
  // Types: f32 in and out, bf16 in and out, bf16 in and f32 out; scaled in f32.
  bool supported() const {
    return operation.scale == CUDA_R_32F && a.type == b.type && (a.type == CUDA_R_16BF || d.type == CUDA_R_32F) &&
           (operation.compute == CUBLAS_COMPUTE_32F || a.type == CUDA_R_32F);
  }
  bool fusible(uint32_t alignment) const {
    if (operation.epilogue == CUBLASLT_EPILOGUE_DEFAULT) return true;
    for (const cublasLtTwinLayout* l : {&a, &b, &d})
      if (size_t(l->ld) * l->element() % 16 != 0) return false;
    return (uses_bias() || uses_aux()) && alignment >= 16 && reinterpret_cast<uintptr_t>(operation.bias) % 16 == 0 &&
           reinterpret_cast<uintptr_t>(operation.aux) % 16 == 0;
  }
  uint64_t fingerprint() const {
    uint64_t hash = 0xcbf29ce484222325;
    const auto mix = [&hash](uint64_t value) { hash = (hash ^ value) * 0x100000001b3; };
    for (const cublasLtTwinLayout* l : {&a, &b, &c, &d}) mix(l->type), mix(l->rows), mix(l->cols), mix(uint64_t(l->ld));
    mix(uint64_t(operation.a_operation)), mix(uint64_t(operation.b_operation)), mix(operation.epilogue);
    mix(operation.compute), mix(uses_aux() ? uint64_t(operation.aux_ld) : 0);
    return hash;
  }
};

// data[] of an algorithm.
enum { kIsMade, kFingerprint, kParts, kNeeds, kAlignA, kAlignB, kAlignC, kAlignD };

cublasStatus_t choose(const Product& p, const cublasLtTwinPreference& preference,
                      cublasLtMatmulHeuristicResult_t& result) {
  if (!p.supported() || !p.fusible(std::min({preference.a, preference.b, preference.d})))
    return CUBLAS_STATUS_NOT_SUPPORTED;
  const uint64_t partials = 2 * p.m() * p.n() * sizeof(float);
  const bool cut = p.k() >= kDeep && (preference.schemes & CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE) != 0 &&
                   partials <= preference.workspace;
  result = {};
  result.algo = {{kMark, p.fingerprint(), cut ? 2u : 1u, cut ? partials : 0, preference.a, preference.b, preference.c,
                  preference.d}};
  result.workspaceSize = cut ? partials : 0;
  result.state = CUBLAS_STATUS_SUCCESS;
  result.wavesCount = 1;
  return CUBLAS_STATUS_SUCCESS;
}

float load(const char* p, cudaDataType_t type) {
  if (type == CUDA_R_32F) return *reinterpret_cast<const float*>(p);
  return to_float(*reinterpret_cast<const bf16*>(p));
}
void store(char* p, cudaDataType_t type, float value) {
  if (type == CUDA_R_32F)
    *reinterpret_cast<float*>(p) = value;
  else
    *reinterpret_cast<bf16*>(p) = to_bf16(value);
}

// To 11 bits of mantissa, ties away from zero, as the tensor cores read f32.
float round_to_tf32(float x) {
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  return (bits & 0x7f800000u) == 0x7f800000u ? x : std::bit_cast<float>((bits + 0x1000u) & 0xffffe000u);
}

// A stored matrix, column after column without gaps; its transpose, if `transposed`.
std::vector<float> read(const void* from, const cublasLtTwinLayout& l, bool transposed, bool tf32) {
  std::vector<float> all(l.rows * l.cols);
  for (uint64_t j = 0; j < l.cols; ++j) {
    const char* column = static_cast<const char*>(from) + j * size_t(l.ld) * l.element();
    device_reads(column, l.rows * l.element(), "cublasLtMatmul");
    for (uint64_t i = 0; i < l.rows; ++i) {
      const float x = load(column + i * l.element(), l.type);
      all[transposed ? i * l.cols + j : j * l.rows + i] = tf32 ? round_to_tf32(x) : x;
    }
  }
  return all;
}

// sums[m, n] = op(a)[m, k] op(b)[k, n] over k in [begin, end), all by columns.
void multiply(const Product& p, const std::vector<float>& a, const std::vector<float>& b, uint64_t begin, uint64_t end,
              float* sums) {
  const uint64_t m = p.m(), k = p.k();
  for (uint64_t j = 0; j < p.n(); ++j) {
    float* to = sums + j * m;
    std::fill_n(to, m, 0.0f);
    for (uint64_t q = begin; q < end; ++q) {
      const float factor = b[j * k + q];
      const float* from = a.data() + q * m;
      for (uint64_t i = 0; i < m; ++i) to[i] += from[i] * factor;
    }
  }
}

// x (1 + tanh(u)) / 2 with u = sqrt(2 / pi) (x + 0.044715 x^3), and its derivative.
float gelu(float x) { return 0.5f * x * (1 + std::tanh(0.797884561f * (x + 0.044715f * x * x * x))); }
float gelu_slope(float x) {
  const float t = std::tanh(0.797884561f * (x + 0.044715f * x * x * x));
  return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * 0.797884561f * (1 + 0.134145f * x * x);
}

void write(const Product& p, const std::vector<float>& sums, float alpha, float beta, const void* c, void* d) {
  std::vector<float> before;
  if (beta != 0) before = read(c, p.c, false, false);
  const size_t element = p.d.element(), bytes = p.m() * element;
  const char* bias = p.adds_bias() ? static_cast<const char*>(p.operation.bias) : nullptr;
  if (bias != nullptr) device_reads(bias, bytes, "cublasLtMatmul's bias");
  for (uint64_t j = 0; j < p.n(); ++j) {
    char* column = static_cast<char*>(d) + j * size_t(p.d.ld) * element;
    char* aux = static_cast<char*>(p.operation.aux) + j * size_t(p.operation.aux_ld) * element;
    device_writes(column, bytes, "cublasLtMatmul");
    if (p.gelu()) device_writes(aux, bytes, "cublasLtMatmul's input of GELU");
    if (p.dgelu()) device_reads(aux, bytes, "cublasLtMatmul's input of GELU");
    for (uint64_t i = 0; i < p.m(); ++i) {
      float value = alpha * sums[j * p.m() + i];
      if (beta != 0) value += beta * before[j * p.m() + i];
      if (bias != nullptr) value += load(bias + i * element, p.d.type);
      if (p.gelu()) {
        store(aux + i * element, p.d.type, value);
        value = gelu(value);
      }
      if (p.dgelu()) value *= gelu_slope(load(aux + i * element, p.d.type));
      store(column + i * element, p.d.type, value);
    }
  }
}

// The gradient of a bias: op(A) summed over its columns, or op(B) over its rows, which are k.
void write_sums(const Product& p, const std::vector<float>& a, const std::vector<float>& b) {
  const uint64_t count = p.sums_a() ? p.m() : p.n();
  auto* to = static_cast<char*>(p.operation.bias);
  device_writes(to, count * p.d.element(), "cublasLtMatmul's bias gradient");
  for (uint64_t i = 0; i < count; ++i) {
    float sum = 0;
    for (uint64_t q = 0; q < p.k(); ++q) sum += p.sums_a() ? a[q * p.m() + i] : b[i * p.k() + q];
    store(to + i * p.d.element(), p.d.type, sum);
  }
}

bool aligned(const void* p, uint64_t bytes) { return reinterpret_cast<uintptr_t>(p) % bytes == 0; }

template <class T>
cublasStatus_t take(T& to, const void* value, size_t bytes) {
  if (value == nullptr || bytes != sizeof(T)) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, sizeof(T));
  return CUBLAS_STATUS_SUCCESS;
}

template <class T, class... Parts>
cublasStatus_t make(T** to, Parts... parts) {
  if (to == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *to = std::make_unique<T>(T{parts...}).release();
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t drop(T* what) {
  const std::unique_ptr<T> gone(what);
  return CUBLAS_STATUS_SUCCESS;
}

}  // namespace
}  // namespace hinoki::simt

using namespace hinoki::simt;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (handle == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *handle = &the_context;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t) { return CUBLAS_STATUS_SUCCESS; }

const char* cublasLtGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "success";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "the library was not initialized";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "the resource allocation failed";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "an unsupported value or parameter was passed to the function";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "the functionality requested is not supported";
  }
  return "unknown";
}

size_t cublasLtGetVersion() { return 0; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return make(operation, compute, scale);
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation) { return drop(operation); }

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return take(operation->a_operation, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return take(operation->b_operation, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return take(operation->epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return take(operation->bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return take(operation->aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return take(operation->aux_ld, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type, uint64_t rows,
                                          uint64_t cols, int64_t ld) {
  return make(layout, type, rows, cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout) { return drop(layout); }

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) { return make(preference); }
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) { return drop(preference); }

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return take(preference->workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return take(preference->schemes, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return take(preference->a, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return take(preference->b, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return take(preference->c, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return take(preference->d, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (wanted <= 0 || found == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *found = 0;
  const Product product{*operation, *a, *b, *c, *d};
  if (!product.fits()) return CUBLAS_STATUS_INVALID_VALUE;
  const cublasStatus_t status = choose(product, *preference, results[0]);
  *found = status == CUBLAS_STATUS_SUCCESS;
  return status;
}

cublasStatus_t cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo,
                                                    cublasLtMatmulAlgoConfigAttributes_t attribute, void* value,
                                                    size_t bytes, size_t* written) {
  if (value == nullptr || bytes != sizeof(uint32_t)) return CUBLAS_STATUS_INVALID_VALUE;
  const bool cut = algo->data[kParts] > 1;
  const uint32_t answer = attribute == CUBLASLT_ALGO_CONFIG_SPLITK_NUM ? uint32_t(algo->data[kParts])
                          : attribute == CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME && cut
                              ? uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE)
                              : 0;
  std::memcpy(value, &answer, sizeof answer);
  if (written != nullptr) *written = sizeof answer;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              size_t workspace_bytes, cudaStream_t) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  for (const void* p : {alpha, beta, a, b, c, static_cast<const void*>(d), static_cast<const void*>(algo)})
    if (p == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Product p{*operation, *a_layout, *b_layout, *c_layout, *d_layout};
  if (!p.fits() || (p.uses_bias() && operation->bias == nullptr) || (p.uses_aux() && operation->aux == nullptr) ||
      (c == d && c_layout->ld != d_layout->ld))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (algo->data[kIsMade] != kMark || algo->data[kFingerprint] != p.fingerprint()) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (!aligned(a, algo->data[kAlignA]) || !aligned(b, algo->data[kAlignB]) || !aligned(c, algo->data[kAlignC]) ||
      !aligned(d, algo->data[kAlignD]) || !p.fusible(16) || algo->data[kNeeds] > workspace_bytes ||
      !aligned(workspace, kWorkspaceAlignment))
    return CUBLAS_STATUS_INVALID_VALUE;

  const DeviceAccess access;
  const bool tf32 = operation->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  const std::vector<float> left = read(a, *a_layout, p.a_transposed(), tf32);
  const std::vector<float> right = read(b, *b_layout, p.b_transposed(), tf32);
  const uint64_t count = p.m() * p.n(), parts = algo->data[kParts];
  std::vector<float> sums(count);
  if (parts == 1) {
    multiply(p, left, right, 0, p.k(), sums.data());
  } else {
    auto* partials = static_cast<float*>(workspace);
    device_writes(partials, count * parts * sizeof(float), "cublasLtMatmul's workspace");
    for (uint64_t part = 0; part < parts; ++part)
      multiply(p, left, right, p.k() * part / parts, p.k() * (part + 1) / parts, partials + part * count);
    for (uint64_t i = 0; i < count; ++i)
      for (uint64_t part = 0; part < parts; ++part) sums[i] += partials[part * count + i];
  }
  write(p, sums, *static_cast<const float*>(alpha), *static_cast<const float*>(beta), c, d);
  if (p.sums_a() || p.sums_b()) write_sums(p, left, right);
  return CUBLAS_STATUS_SUCCESS;
}
