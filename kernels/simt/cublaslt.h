// The part of cuBLASLt that we call, under the library's own names, signatures and values, for builds without CUDA.
// cublaslt.cpp says what it does with them. A CUDA build holds these values against the library's header
// (tests/kernels/cuda/cublaslt_test.cu, which includes this file in a namespace of its own).
#pragma once
#include <cstddef>
#include <cstdint>

#ifndef HINOKI_CUBLASLT_LINKAGE
#define HINOKI_CUBLASLT_LINKAGE extern "C"
#endif

typedef struct CUstream_st* cudaStream_t;

enum cudaDataType_t { CUDA_R_32F = 0, CUDA_R_16BF = 14 };

enum cublasStatus_t {
  CUBLAS_STATUS_SUCCESS = 0,
  CUBLAS_STATUS_NOT_INITIALIZED = 1,
  CUBLAS_STATUS_ALLOC_FAILED = 3,
  CUBLAS_STATUS_INVALID_VALUE = 7,
  CUBLAS_STATUS_NOT_SUPPORTED = 15
};

enum cublasComputeType_t { CUBLAS_COMPUTE_32F = 68, CUBLAS_COMPUTE_32F_FAST_TF32 = 77 };

enum cublasOperation_t { CUBLAS_OP_N = 0, CUBLAS_OP_T = 1 };

enum cublasLtMatmulDescAttributes_t {
  CUBLASLT_MATMUL_DESC_TRANSA = 3,
  CUBLASLT_MATMUL_DESC_TRANSB = 4,
  CUBLASLT_MATMUL_DESC_EPILOGUE = 7,
  CUBLASLT_MATMUL_DESC_BIAS_POINTER = 8,
  CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER = 11,
  CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD = 12
};

enum cublasLtEpilogue_t {
  CUBLASLT_EPILOGUE_DEFAULT = 1,
  CUBLASLT_EPILOGUE_BIAS = 4,
  CUBLASLT_EPILOGUE_GELU_AUX = 160,
  CUBLASLT_EPILOGUE_GELU_AUX_BIAS = 164,
  CUBLASLT_EPILOGUE_DGELU = 192,
  CUBLASLT_EPILOGUE_BGRADA = 256,
  CUBLASLT_EPILOGUE_BGRADB = 512
};

enum cublasLtReductionScheme_t {
  CUBLASLT_REDUCTION_SCHEME_NONE = 0,
  CUBLASLT_REDUCTION_SCHEME_INPLACE = 1,
  CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE = 2,
  CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE = 4,
  CUBLASLT_REDUCTION_SCHEME_MASK = 7
};

enum cublasLtMatmulPreferenceAttributes_t {
  CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES = 1,
  CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK = 3,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES = 5,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES = 6,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES = 7,
  CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES = 8
};

enum cublasLtMatmulAlgoConfigAttributes_t {
  CUBLASLT_ALGO_CONFIG_ID = 0,
  CUBLASLT_ALGO_CONFIG_TILE_ID = 1,
  CUBLASLT_ALGO_CONFIG_SPLITK_NUM = 2,
  CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME = 3,
  CUBLASLT_ALGO_CONFIG_STAGES_ID = 6
};

typedef struct cublasLtContext* cublasLtHandle_t;
typedef struct cublasLtTwinOperation* cublasLtMatmulDesc_t;
typedef struct cublasLtTwinLayout* cublasLtMatrixLayout_t;
typedef struct cublasLtTwinPreference* cublasLtMatmulPreference_t;
struct cublasLtMatmulAlgo_t {
  uint64_t data[8];
};
struct cublasLtMatmulHeuristicResult_t {
  cublasLtMatmulAlgo_t algo;
  size_t workspaceSize;
  cublasStatus_t state;
  float wavesCount;
  int reserved[4];
};

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle);
HINOKI_CUBLASLT_LINKAGE const char* cublasLtGetStatusString(cublasStatus_t status);
HINOKI_CUBLASLT_LINKAGE size_t cublasLtGetVersion(void);  // 0: the twin

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* operation,
                                                                cublasComputeType_t compute, cudaDataType_t scale);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t operation);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t operation,
                                                                      cublasLtMatmulDescAttributes_t attribute,
                                                                      const void* value, size_t bytes);

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType_t type,
                                                                  uint64_t rows, uint64_t cols, int64_t ld);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout);

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t
cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                     cublasLtMatmulPreferenceAttributes_t attribute, const void* value, size_t bytes);

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmulAlgoGetHeuristic(
    cublasLtHandle_t handle, cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
    cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int wanted,
    cublasLtMatmulHeuristicResult_t results[], int* found);
HINOKI_CUBLASLT_LINKAGE cublasStatus_t
cublasLtMatmulAlgoConfigGetAttribute(const cublasLtMatmulAlgo_t* algo, cublasLtMatmulAlgoConfigAttributes_t attribute,
                                     void* value, size_t bytes, size_t* written);

HINOKI_CUBLASLT_LINKAGE cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                                      const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                                                      const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                                                      const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                                                      cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                                                      void* workspace, size_t workspace_bytes, cudaStream_t stream);
