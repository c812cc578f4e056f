// The twin of cuBLASLt. Where there is CUDA, its names and values are held against the library's own header; elsewhere,
// it is asked for what the library refuses. Its products are those of tests/kernels/gemm_cuda_test.cpp.
#include <gtest/gtest.h>

#if defined(__CUDACC__)
#include <cublasLt.h>

#include <cstddef>
#include <cstdint>

namespace twin {
#define HINOKI_CUBLASLT_LINKAGE
#include "kernels/simt/cublaslt.h"
#undef HINOKI_CUBLASLT_LINKAGE
}  // namespace twin

namespace hinoki {
namespace {

#define SAME(name) static_assert(int64_t(twin::name) == int64_t(::name), #name)
SAME(CUDA_R_32F);
SAME(CUDA_R_16BF);
SAME(CUBLAS_STATUS_SUCCESS);
SAME(CUBLAS_STATUS_NOT_INITIALIZED);
SAME(CUBLAS_STATUS_ALLOC_FAILED);
SAME(CUBLAS_STATUS_INVALID_VALUE);
SAME(CUBLAS_STATUS_NOT_SUPPORTED);
SAME(CUBLAS_COMPUTE_32F);
SAME(CUBLAS_COMPUTE_32F_FAST_TF32);
SAME(CUBLAS_OP_N);
SAME(CUBLAS_OP_T);
SAME(CUBLASLT_MATMUL_DESC_TRANSA);
SAME(CUBLASLT_MATMUL_DESC_TRANSB);
SAME(CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER);
SAME(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
SAME(CUBLASLT_EPILOGUE_DEFAULT);
SAME(CUBLASLT_EPILOGUE_BIAS);
SAME(CUBLASLT_EPILOGUE_GELU_AUX);
SAME(CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
SAME(CUBLASLT_EPILOGUE_DGELU);
SAME(CUBLASLT_EPILOGUE_BGRADA);
SAME(CUBLASLT_EPILOGUE_BGRADB);
SAME(CUBLASLT_REDUCTION_SCHEME_NONE);
SAME(CUBLASLT_REDUCTION_SCHEME_INPLACE);
SAME(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME(CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
SAME(CUBLASLT_REDUCTION_SCHEME_MASK);
SAME(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(CUBLASLT_ALGO_CONFIG_ID);
SAME(CUBLASLT_ALGO_CONFIG_TILE_ID);
SAME(CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
SAME(CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
SAME(CUBLASLT_ALGO_CONFIG_STAGES_ID);
#undef SAME

// Result and number of parameters; that the types convert, gemm.cu shows by being compiled against both.
template <class>
struct Signature;
template <class R, class... P>
struct Signature<R (*)(P...)> {
  static constexpr size_t parameters = sizeof...(P), result = sizeof(R);
};
#define SAME(name)                                                                                          \
  static_assert(Signature<decltype(&twin::name)>::parameters == Signature<decltype(&::name)>::parameters && \
                    Signature<decltype(&twin::name)>::result == Signature<decltype(&::name)>::result,       \
                #name)
SAME(cublasLtCreate);
SAME(cublasLtDestroy);
SAME(cublasLtGetStatusString);
SAME(cublasLtMatmulDescCreate);
SAME(cublasLtMatmulDescDestroy);
SAME(cublasLtMatmulDescSetAttribute);
SAME(cublasLtMatrixLayoutCreate);
SAME(cublasLtMatrixLayoutDestroy);
SAME(cublasLtMatmulPreferenceCreate);
SAME(cublasLtMatmulPreferenceDestroy);
SAME(cublasLtMatmulPreferenceSetAttribute);
SAME(cublasLtMatmulAlgoGetHeuristic);
SAME(cublasLtMatmulAlgoConfigGetAttribute);
SAME(cublasLtMatmul);
#undef SAME

static_assert(sizeof(twin::cublasLtMatmulAlgo_t) == sizeof(::cublasLtMatmulAlgo_t));
static_assert(sizeof(twin::cublasLtMatmulHeuristicResult_t) == sizeof(::cublasLtMatmulHeuristicResult_t));
static_assert(offsetof(twin::cublasLtMatmulHeuristicResult_t, workspaceSize) ==
              offsetof(::cublasLtMatmulHeuristicResult_t, workspaceSize));
static_assert(offsetof(twin::cublasLtMatmulHeuristicResult_t, state) ==
              offsetof(::cublasLtMatmulHeuristicResult_t, state));

}  // namespace
}  // namespace hinoki

#else

#include "kernels/simt/cublaslt.h"
#include "tests/support/device_array.h"
#include "tests/support/expect_error.h"

namespace hinoki {
namespace {

using test::DeviceArray;

constexpr int64_t kM = 8, kN = 4, kK = 16;

// A product of f32 that the twin does; each test spoils one thing.
struct Call {
  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
  cublasLtMatmulHeuristicResult_t chosen{};
  DeviceArray<float> a_data, b_data, c_data, bias, workspace;
  float alpha = 1, beta = 0;

  explicit Call(int64_t k = kK)
      : a_data(std::vector<float>(kM * k, 1.0f)),
        b_data(std::vector<float>(k * kN, 2.0f)),
        c_data(kM * kN),
        bias(std::vector<float>(kM, 3.0f)),
        workspace(2 * kM * kN) {
    cublasLtCreate(&handle);
    cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F);
    cublasLtMatrixLayoutCreate(&a, CUDA_R_32F, kM, uint64_t(k), kM);
    cublasLtMatrixLayoutCreate(&b, CUDA_R_32F, uint64_t(k), kN, k);
    cublasLtMatrixLayoutCreate(&c, CUDA_R_32F, kM, kN, kM);
    cublasLtMatmulPreferenceCreate(&preference);
    const uint64_t room = 1 << 20;
    cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &room, sizeof room);
  }
  ~Call() {
    cublasLtMatmulDescDestroy(operation);
    for (auto* layout : {a, b, c}) cublasLtMatrixLayoutDestroy(layout);
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtDestroy(handle);
  }
  Call(const Call&) = delete;

  void set(cublasLtMatmulDescAttributes_t what, auto value) {
    EXPECT_EQ(cublasLtMatmulDescSetAttribute(operation, what, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }
  void ask_for(cublasLtMatmulPreferenceAttributes_t what, uint32_t value) {
    EXPECT_EQ(cublasLtMatmulPreferenceSetAttribute(preference, what, &value, sizeof value), CUBLAS_STATUS_SUCCESS);
  }
  cublasStatus_t choose() {
    int found = 0;
    const cublasStatus_t status =
        cublasLtMatmulAlgoGetHeuristic(handle, operation, a, b, c, c, preference, 1, &chosen, &found);
    EXPECT_EQ(found, status == CUBLAS_STATUS_SUCCESS);
    return status;
  }
  cublasStatus_t run(const float* a_at, void* work, size_t bytes) {
    return cublasLtMatmul(handle, operation, &alpha, a_at, a, b_data.data(), b, &beta, c_data.data(), c, c_data.data(),
                          c, &chosen.algo, work, bytes, nullptr);
  }
  cublasStatus_t run() { return run(a_data.data(), workspace.data(), chosen.workspaceSize); }
};

TEST(CublasLt, Multiplies) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.c_data.values(), std::vector<float>(kM * kN, 32.0f));
  call.alpha = 0.5, call.beta = 2;
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.c_data.values(), std::vector<float>(kM * kN, 80.0f));
}

TEST(CublasLt, CutsADeepProductOnlyWhereAllowed) {
  Call call(600);
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.chosen.workspaceSize, 2 * kM * kN * sizeof(float));
  EXPECT_EQ(call.run(call.a_data.data(), nullptr, 0), CUBLAS_STATUS_INVALID_VALUE) << "workspace is missing";
  EXPECT_EQ(call.run(call.a_data.data(), call.workspace.data() + 1, call.chosen.workspaceSize),
            CUBLAS_STATUS_INVALID_VALUE)
      << "workspace is not aligned";
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.c_data.values(), std::vector<float>(kM * kN, 1200.0f));
  call.ask_for(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_NONE);
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.chosen.workspaceSize, 0u);
}

TEST(CublasLt, AddsABiasAndSumsOperands) {
  Call call;
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BIAS});
  call.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.bias.data());
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.c_data.values(), std::vector<float>(kM * kN, 35.0f));
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BGRADA});
  EXPECT_EQ(call.run(), CUBLAS_STATUS_NOT_SUPPORTED) << "an algorithm of another problem";
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.bias.values(), std::vector<float>(kM, 16.0f));
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BGRADB});
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.bias.values(), (std::vector<float>{32, 32, 32, 32, 16, 16, 16, 16}));
}

// Of 32 / 64 + 3 and at 1, to the four digits that tables of GELU's tanh form have.
TEST(CublasLt, AppliesGeluAndItsGradient) {
  Call call;
  DeviceArray<float> aux(kM * kN);
  call.alpha = 1.0f / 64;
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_GELU_AUX_BIAS});
  call.set(CUBLASLT_MATMUL_DESC_BIAS_POINTER, call.bias.data());
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.data());
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t{kM});
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(aux.values(), std::vector<float>(kM * kN, 3.5f));
  for (const float y : call.c_data.values()) EXPECT_NEAR(y, 3.4994f, 1e-4f);
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_GELU_AUX});
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(aux.values(), std::vector<float>(kM * kN, 0.5f));
  for (const float y : call.c_data.values()) EXPECT_NEAR(y, 0.3457f, 1e-4f);
  DeviceArray<float> ones(std::vector<float>(kM * kN, 1.0f));
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_DGELU});
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, ones.data());
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  ASSERT_EQ(call.run(), CUBLAS_STATUS_SUCCESS);
  for (const float y : call.c_data.values()) EXPECT_NEAR(y, 0.5f * 1.0830f, 1e-4f);
}

TEST(CublasLt, AsksForAnInputOfGeluThatFits) {
  Call call;
  const DeviceArray<float> aux(2 * kM * kN);
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_DGELU});
  for (const int64_t ld : {int64_t{0}, kM + 4}) {
    call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, ld);
    EXPECT_EQ(call.choose(), CUBLAS_STATUS_INVALID_VALUE) << ld << " is less than 8 rows or no multiple of 8";
  }
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t{kM});
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.run(), CUBLAS_STATUS_INVALID_VALUE) << "there is no input of GELU";
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.data() + 1);
  EXPECT_EQ(call.choose(), CUBLAS_STATUS_NOT_SUPPORTED) << "nothing is fused for this alignment";
  EXPECT_EQ(call.run(), CUBLAS_STATUS_INVALID_VALUE) << "nor run";
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux.data());
  EXPECT_ERROR(call.run(), Exit::failure, "which nobody has written");
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t{2 * kM});
  EXPECT_EQ(call.run(), CUBLAS_STATUS_NOT_SUPPORTED) << "an algorithm of another problem";
}

TEST(CublasLt, RefusesWhatDoesNotFit) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.run(call.a_data.data() + 1, nullptr, 0), CUBLAS_STATUS_INVALID_VALUE)
      << "A is less aligned than asked";
  call.set(CUBLASLT_MATMUL_DESC_TRANSA, int32_t{CUBLAS_OP_T});
  EXPECT_EQ(call.choose(), CUBLAS_STATUS_INVALID_VALUE) << "A is [8, 16]";
  call.set(CUBLASLT_MATMUL_DESC_TRANSA, int32_t{CUBLAS_OP_N});
  call.set(CUBLASLT_MATMUL_DESC_EPILOGUE, uint32_t{CUBLASLT_EPILOGUE_BIAS});
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(call.run(), CUBLAS_STATUS_INVALID_VALUE) << "there is no bias";
  call.ask_for(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, 4);
  EXPECT_EQ(call.choose(), CUBLAS_STATUS_NOT_SUPPORTED) << "nothing is fused for this alignment";
  cublasLtMatrixLayout_t narrow = nullptr;
  cublasLtMatrixLayoutCreate(&narrow, CUDA_R_32F, kM, kK, kM - 1);
  std::swap(call.a, narrow);
  EXPECT_EQ(call.choose(), CUBLAS_STATUS_INVALID_VALUE) << "columns overlap";
  cublasLtMatrixLayoutDestroy(narrow);
  const int64_t wrong = 0;
  EXPECT_EQ(cublasLtMatmulDescSetAttribute(call.operation, CUBLASLT_MATMUL_DESC_TRANSA, &wrong, sizeof wrong),
            CUBLAS_STATUS_INVALID_VALUE)
      << "an attribute of another size";
  EXPECT_EQ(cublasLtMatmulAlgoGetHeuristic(nullptr, call.operation, call.a, call.b, call.c, call.c, call.preference, 1,
                                           &call.chosen, nullptr),
            CUBLAS_STATUS_NOT_INITIALIZED);
}

TEST(CublasLt, ReadsAndWritesOnlyWhatIsThere) {
  Call call;
  ASSERT_EQ(call.choose(), CUBLAS_STATUS_SUCCESS);
  const DeviceArray<float> fresh(kM * kK), few(std::vector<float>(kM * kK - 1, 1.0f));
  EXPECT_ERROR(call.run(fresh.data(), nullptr, 0), Exit::failure, "which nobody has written");
  EXPECT_ERROR(call.run(few.data(), nullptr, 0), Exit::failure, "of a block of 508 bytes");
  EXPECT_ERROR(call.run(reinterpret_cast<const float*>(uintptr_t{1} << 20), nullptr, 0), Exit::failure,
               "is not device memory");
}

}  // namespace
}  // namespace hinoki
#endif
