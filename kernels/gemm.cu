// Matrix products by cuBLASLt. A plan holds the descriptors of one kind of product and the algorithm that the library's
// heuristic names first for it; it is made once and recorded, and nothing is timed, so the choice is the same in every
// run on the same GPU. Algorithms that divide k keep their partial sums in f32 in the workspace and add them in a
// second step; those that add in the output, in the order in which blocks happen to finish, are not allowed.
//
// The library's matrices are stored by columns: read so, our C [m, n] is C^T [n, m], the product of B^T and A^T. So A
// and B change places, and what it calls rows are our columns.
#include <bit>
#include <compare>
#include <map>
#include <memory>
#include <mutex>

#include "core/base/device.h"
#include "core/base/handle.h"
#include "kernels/bias_gelu.h"
#include "kernels/cuda/cublaslt.h"
#include "kernels/cuda/scratch.h"
#include "kernels/gemm.h"
#include "kernels/gemm_sums.h"

namespace hinoki::kernels {
namespace {

constexpr uint64_t kWorkspace = uint64_t{32} << 20;  // what NVIDIA advises for Hopper; plans take what they need
constexpr uint32_t kAlignment =
    16;  // of addresses; more is not asked for, so that a plan rarely depends on the allocator

enum class Extra : uint8_t { none, bias, a_sums, b_sums, gelu, bias_gelu, dgelu };

// A kind of product: all that a plan depends on.
struct Kind {
  int64_t m, n, k, lda, ldb, ldc;
  bool a_transposed, b_transposed, accumulate;
  Extra extra;
  bool tf32;
  DType in, out;
  uint32_t a_alignment, b_alignment, c_alignment, vector_alignment, matrix_alignment;  // see vector_of, matrix_of
  auto operator<=>(const Kind&) const = default;
};

std::string describe(const Kind& k) {
  const char* extras[] = {"", " + bias", ", sums of A", ", sums of B", ", GELU", " + bias, GELU", ", GELU's gradient"};
  return say("gemm ", k.m, " x ", k.n, " x ", k.k, ", ", k.tf32 ? "tf32" : name_of(k.in), " to ", k.out, ", A",
             k.a_transposed ? "^T" : "", " B", k.b_transposed ? "^T" : "", k.accumulate ? " + C" : "",
             extras[int(k.extra)]);
}

void check(cublasStatus_t status, const char* call, const Kind& kind) {
  require(status == CUBLAS_STATUS_SUCCESS, "CUDA: ", call, ": ", cublasLtGetStatusString(status), ", for ",
          describe(kind));
}

template <class T>
void set(cublasLtMatmulDesc_t to, cublasLtMatmulDescAttributes_t what, const T& value, const Kind& kind) {
  check(cublasLtMatmulDescSetAttribute(to, what, &value, sizeof value), "setting up a product", kind);
}
template <class T>
void set(cublasLtMatmulPreference_t to, cublasLtMatmulPreferenceAttributes_t what, const T& value, const Kind& kind) {
  check(cublasLtMatmulPreferenceSetAttribute(to, what, &value, sizeof value), "asking for an algorithm", kind);
}

using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t library_type(DType t) { return t == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

Layout layout(DType type, int64_t rows, int64_t cols, int64_t ld, const Kind& kind) {
  cublasLtMatrixLayout_t made = nullptr;
  check(cublasLtMatrixLayoutCreate(&made, library_type(type), uint64_t(rows), uint64_t(cols), ld),
        "laying out a matrix", kind);
  return Layout(made);
}

template <class T>
T setting(const cublasLtMatmulAlgo_t& algo, cublasLtMatmulAlgoConfigAttributes_t what) {
  T value{};
  size_t written = 0;
  cublasLtMatmulAlgoConfigGetAttribute(&algo, what, &value, sizeof value, &written);
  return value;
}

std::string describe(const cublasLtMatmulAlgo_t& algo, size_t workspace) {
  return say("algorithm ", setting<int32_t>(algo, CUBLASLT_ALGO_CONFIG_ID), ", tile ",
             setting<uint32_t>(algo, CUBLASLT_ALGO_CONFIG_TILE_ID), ", stages ",
             setting<uint32_t>(algo, CUBLASLT_ALGO_CONFIG_STAGES_ID), ", k in ",
             setting<int32_t>(algo, CUBLASLT_ALGO_CONFIG_SPLITK_NUM), ", reduction ",
             setting<uint32_t>(algo, CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME), ", ", workspace, " bytes of workspace");
}

class Library {
 public:
  Library() {
    cublasLtHandle_t handle = nullptr;
    const cublasStatus_t status = cublasLtCreate(&handle);
    require(status == CUBLAS_STATUS_SUCCESS, "CUDA: starting cuBLASLt: ", cublasLtGetStatusString(status));
    handle_ = Handle<cublasLtHandle_t, cublasLtDestroy>(handle);
  }
  cublasLtHandle_t get() const { return handle_.get(); }

 private:
  Handle<cublasLtHandle_t, cublasLtDestroy> handle_;
};

uint32_t epilogue(Extra extra) {
  constexpr uint32_t all[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS,     CUBLASLT_EPILOGUE_BGRADB,
                              CUBLASLT_EPILOGUE_BGRADA,  CUBLASLT_EPILOGUE_GELU_AUX, CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
                              CUBLASLT_EPILOGUE_DGELU};
  return all[int(extra)];
}

// What an extra reads or writes besides the three matrices; null: none of it.
const void* vector_of(const Gemm& g, Extra extra) {
  return extra == Extra::bias || extra == Extra::bias_gelu ? g.bias
         : extra == Extra::a_sums                          ? g.a_sums
         : extra == Extra::b_sums                          ? g.b_sums
                                                           : nullptr;
}
const void* matrix_of(const Gemm& g, Extra extra) {
  return extra == Extra::gelu || extra == Extra::bias_gelu ? g.pre_gelu : extra == Extra::dgelu ? g.dgelu_at : nullptr;
}

class Plan {
 public:
  // Of `example` only the addresses matter, and of those only the alignment, which the kind has.
  Plan(const Library& library, const Kind& kind, const Gemm& example) : kind_(kind) {
    cublasLtMatmulDesc_t operation = nullptr;
    check(
        cublasLtMatmulDescCreate(&operation, kind.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
        "describing a product", kind);
    operation_ = Operation(operation);
    const int32_t first = kind.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                  second = kind.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, first, kind);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSB, second, kind);
    first_ = layout(kind.in, kind.b_transposed ? kind.k : kind.n, kind.b_transposed ? kind.n : kind.k, kind.ldb, kind);
    second_ = layout(kind.in, kind.a_transposed ? kind.m : kind.k, kind.a_transposed ? kind.k : kind.m, kind.lda, kind);
    result_ = layout(kind.out, kind.n, kind.m, kind.ldc, kind);
    set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue(kind.extra), kind);
    if (matrix_of(example, kind.extra)) set(operation, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, kind.ldc, kind);
    point_to_extras(example);
    choose(library);
  }

  bool possible() const { return possible_; }
  std::string name() const {
    return say(describe(kind_), ": ", possible_ ? describe(algorithm_, workspace_) : "not fused by the library");
  }

  void run(const Library& library, const Gemm& g, Stream stream) const {
    const float one = 1, start = g.accumulate ? 1 : 0;
    point_to_extras(g);
    void* workspace = workspace_ > 0 ? cuda_scratch(stream, workspace_) : nullptr;
    check(cublasLtMatmul(library.get(), operation_.get(), &one, g.b, first_.get(), g.a, second_.get(), &start, g.c,
                         result_.get(), g.c, result_.get(), &algorithm_, workspace, workspace_,
                         static_cast<cudaStream_t>(stream.handle)),
          "starting a product", kind_);
  }

 private:
  void point_to_extras(const Gemm& g) const {
    if (const void* p = vector_of(g, kind_.extra)) set(operation_.get(), CUBLASLT_MATMUL_DESC_BIAS_POINTER, p, kind_);
    if (const void* p = matrix_of(g, kind_.extra))
      set(operation_.get(), CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, p, kind_);
  }
  void choose(const Library& library) {
    cublasLtMatmulPreference_t preference = nullptr;
    check(cublasLtMatmulPreferenceCreate(&preference), "asking for an algorithm", kind_);
    const Preference keep(preference);
    set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, kWorkspace, kind_);
    set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, uint32_t{CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE},
        kind_);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, kind_.b_alignment, kind_);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, kind_.a_alignment, kind_);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, kind_.c_alignment, kind_);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, kind_.c_alignment, kind_);
    cublasLtMatmulHeuristicResult_t found{};
    int count = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(library.get(), operation_.get(), first_.get(), second_.get(), result_.get(),
                                       result_.get(), preference, 1, &found, &count);
    possible_ = status == CUBLAS_STATUS_SUCCESS && count == 1 && found.state == CUBLAS_STATUS_SUCCESS;
    if (!possible_ && kind_.extra == Extra::none)
      check(status != CUBLAS_STATUS_SUCCESS ? status : CUBLAS_STATUS_NOT_SUPPORTED, "choosing an algorithm", kind_);
    algorithm_ = found.algo;
    workspace_ = possible_ ? found.workspaceSize : 0;
  }

  Kind kind_;
  Operation operation_;
  Layout first_, second_, result_;
  cublasLtMatmulAlgo_t algorithm_{};
  size_t workspace_ = 0;
  bool possible_ = false;
};

uint32_t alignment_of(const void* p) {
  const auto address = reinterpret_cast<uintptr_t>(p);
  return address == 0 ? kAlignment : uint32_t(std::min<uintptr_t>(kAlignment, address & (~address + 1)));
}

Kind kind_of(const Gemm& g, Extra extra) {
  return {.m = g.m,
          .n = g.n,
          .k = g.k,
          .lda = g.lda,
          .ldb = g.ldb,
          .ldc = g.ldc,
          .a_transposed = g.a_transposed,
          .b_transposed = g.b_transposed,
          .accumulate = g.accumulate,
          .extra = extra,
          .tf32 = g.dtype == DType::f32 && matmul_precision == MatmulPrecision::tf32,
          .in = g.dtype,
          .out = g.c_dtype,
          .a_alignment = alignment_of(g.a),
          .b_alignment = alignment_of(g.b),
          .c_alignment = alignment_of(g.c),
          .vector_alignment = alignment_of(vector_of(g, extra)),
          .matrix_alignment = alignment_of(matrix_of(g, extra))};
}

// All plans. A plan's descriptor takes the addresses of its extras at each call, so one product is started at a time.
struct Plans {
  std::mutex mutex;
  Library library;
  std::map<Kind, std::unique_ptr<Plan>> made;

  const Plan& of(const Gemm& g, Extra extra) {
    const Kind kind = kind_of(g, extra);
    auto found = made.find(kind);
    if (found == made.end()) found = made.emplace(kind, std::make_unique<Plan>(library, kind, g)).first;
    return *found->second;
  }
};
Plans& plans() {
  static Plans* const all = new Plans;  // the driver may be gone when static objects are destroyed
  return *all;
}

// Every row of C becomes the bias, or zero: what a product over k = 0 is, and where one starts that cannot add the
// bias.
void start_rows(const Gemm& g, Stream stream) {
  const DeviceTable& device = device_table(Device::cuda);
  const size_t size = size_of(g.c_dtype), row = size_t(g.n) * size, stride = size_t(g.ldc) * size;
  auto* c = static_cast<char*>(g.c);
  const bool whole = g.n == g.ldc;
  if (g.bias == nullptr) {
    for (int64_t i = 0; i < (whole ? 1 : g.m); ++i) device.fill(c + i * stride, 0, whole ? row * g.m : row, stream);
    return;
  }
  device.copy(c, g.bias, row, stream);
  for (int64_t rows = 1; rows < g.m;) {  // as many as there are already, where rows lie side by side
    const int64_t more = whole ? std::min(rows, g.m - rows) : 1;
    device.copy(c + rows * stride, c, row * more, stream);
    rows += more;
  }
}

void check(const Gemm& g) {
  require(g.dtype == DType::f32 || g.dtype == DType::bf16, "gemm: on CUDA f32 or bf16 is multiplied, not ", g.dtype);
  require(g.b_dtype == g.dtype, "gemm: B is ", g.b_dtype, " where A is ", g.dtype, "; on CUDA both are the same");
  require(g.c_dtype == g.dtype || g.c_dtype == DType::f32, "gemm: C is ", g.c_dtype, " where A is ", g.dtype);
  require(!(g.bias && g.accumulate), "gemm: starts from the bias or from C, not from both");
  require(!(g.a_sums && !g.a_transposed) && !(g.b_sums && g.b_transposed),
          "gemm: operands are summed over their rows, which must be k");
  if (!g.pre_gelu && !g.dgelu_at) return;
  require(!g.accumulate && !g.a_sums && !g.b_sums && !(g.dgelu_at && (g.bias || g.pre_gelu)),
          "gemm: GELU goes with a bias, and its gradient with nothing else");
  require(g.ldc == g.n && g.c_dtype == g.dtype, "gemm: GELU's arrays have the type of A, not ", g.c_dtype,
          ", and rows of n = ", g.n, " elements, not ", g.ldc);
}

// The product with this extra, unless the library does not fuse that.
bool start(const Gemm& g, Extra extra, Stream stream) {
  Plans& all = plans();
  const std::lock_guard lock(all.mutex);
  const Plan& plan = all.of(g, extra);
  if (plan.possible()) plan.run(all.library, g, stream);
  return plan.possible();
}

// The product with as much of the rest as the library fuses; returns what it did fuse.
Extra multiply(Gemm g, Stream stream) {
  const bool sums = !g.accumulate_sums && g.c_dtype == wide(g.dtype);
  const Extra wish = g.bias             ? Extra::bias
                     : sums && g.a_sums ? Extra::a_sums
                     : sums && g.b_sums ? Extra::b_sums
                                        : Extra::none;
  if (wish != Extra::none && start(g, wish, stream)) return wish;
  if (g.bias) {
    start_rows(g, stream);
    g.accumulate = true;
  }
  start(g, Extra::none, stream);
  return Extra::none;
}

void run(const Gemm& g, Stream stream) {
  Extra done = Extra::none;
  if (g.m > 0 && g.n > 0 && g.k > 0) done = multiply(g, stream);
  if (g.m > 0 && g.n > 0 && g.k == 0 && !g.accumulate) start_rows(g, stream);
  if (g.a_sums && done != Extra::a_sums) sum_a(g, Device::cuda, stream);
  if (g.b_sums && done != Extra::b_sums) sum_b(g, Device::cuda, stream);
}

// With GELU fused or, where the library does not, by a kernel of its own. Fused in bf16 alone: nothing says how exact
// the library's tanh is, and one with an error of 2^-11 (PTX's tanh.approx) is as good as any there, but not in f32.
void run_with_gelu(const Gemm& g, Stream stream) {
  const Extra wish = g.dgelu_at ? Extra::dgelu : g.bias ? Extra::bias_gelu : Extra::gelu;
  const bool work = g.m > 0 && g.n > 0 && g.k > 0;
  if (work && g.dtype == DType::bf16 && start(g, wish, stream)) return;
  Gemm plain = g;
  plain.pre_gelu = nullptr, plain.dgelu_at = nullptr;
  if (g.pre_gelu) plain.c = g.pre_gelu;
  run(plain, stream);
  if (g.pre_gelu)
    bias_gelu.run(Device::cuda, stream,
                  {.x = g.pre_gelu, .y = g.c, .rows = g.m, .cols = g.n, .form = GeluForm::tanh, .dtype = g.dtype});
  else
    bias_gelu_grad.run(
        Device::cuda, stream,
        {.dy = g.c, .x = g.dgelu_at, .dx = g.c, .rows = g.m, .cols = g.n, .form = GeluForm::tanh, .dtype = g.dtype});
}

std::vector<std::string> list_plans() {
  Plans& all = plans();
  const std::lock_guard lock(all.mutex);
  std::vector<std::string> lines;
  if (!all.made.empty()) lines.push_back(say("cuBLASLt ", cublasLtGetVersion()));
  for (const auto& [kind, plan] : all.made) lines.push_back(plan->name());
  return lines;
}

const bool ready = gemm.provide(Device::cuda, [](const Gemm& g, Stream stream) {
  check(g);
  g.pre_gelu || g.dgelu_at ? run_with_gelu(g, stream) : run(g, stream);
});
const bool listed = (gemm_plans = list_plans, true);

}  // namespace
}  // namespace hinoki::kernels
