// CudaDevice: the first CUDA device, for DeviceNetwork. Kernels run in the default stream, in the
// order of the calls; the first error sticks.
#pragma once

#include <cublas_v2.h>
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>

#include "trainer/device/host_device.h"

namespace bitlm::trainer {

inline constexpr int kGroup = 256;  // Threads of a block.

// A row's share of one thread.
struct CudaLane {
  int64_t index, width;

  // Of all lanes, the same bits in all of them and in every run: by halves of a fixed tree.
  __host__ __device__ double Sum(double x) const {
#ifdef __CUDA_ARCH__
    __shared__ double parts[kGroup];
    __syncthreads();  // The last sum has been read.
    parts[threadIdx.x] = x;
    __syncthreads();
    for (int half = kGroup / 2; half > 0; half /= 2) {
      if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
      __syncthreads();
    }
    return parts[0];
#else
    return x;
#endif
  }
};

template <typename F>
__global__ void __launch_bounds__(kGroup) RunEach(int64_t size, F f) {
  const int64_t step = static_cast<int64_t>(gridDim.x) * kGroup;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kGroup + threadIdx.x; i < size; i += step)
    f(i);
}

template <typename F>
__global__ void __launch_bounds__(kGroup) RunRows(F f) {
  f(static_cast<int64_t>(blockIdx.x), CudaLane{static_cast<int64_t>(threadIdx.x), kGroup});
}

// `HalfType`: __nv_bfloat16 or float.
template <typename HalfType>
class CudaDevice {
 public:
  using Half = HalfType;

  CudaDevice() {
    int devices = 0;
    if (!Check(cudaGetDeviceCount(&devices), "cudaGetDeviceCount")) return;
    if (devices == 0) {
      error_ = "no CUDA device";
      return;
    }
    if (!Check(cudaSetDevice(0), "cudaSetDevice")) return;
    if (!Check(cudaDeviceGetAttribute(&processors_, cudaDevAttrMultiProcessorCount, 0),
               "cudaDeviceGetAttribute"))
      return;
    Check(cublasCreate(&cublas_), "cublasCreate");
  }
  ~CudaDevice() {
    if (cublas_ != nullptr) cublasDestroy(cublas_);
  }
  CudaDevice(const CudaDevice&) = delete;
  CudaDevice& operator=(const CudaDevice&) = delete;

  template <typename T>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(data_, other.data_);
      return *this;
    }
    ~Buffer() {
      if (data_ != nullptr) cudaFree(data_);
    }
    T* data() { return data_; }

   private:
    friend class CudaDevice;
    T* data_ = nullptr;
  };

  template <typename T>
  Buffer<T> Make(int64_t size) const {
    Buffer<T> buffer;
    if (size == 0) return buffer;
    const size_t bytes = static_cast<size_t>(size) * sizeof(T);
    if (error_.empty() && Check(cudaMalloc(&buffer.data_, bytes), "cudaMalloc"))
      Check(cudaMemset(buffer.data_, 0, bytes), "cudaMemset");
    return buffer;
  }

  template <typename F>
  void Each(int64_t size, const F& f) const {
    if (!error_.empty() || size == 0) return;
    const int64_t blocks = std::min<int64_t>((size + kGroup - 1) / kGroup, 16 * processors_);
    RunEach<<<static_cast<unsigned>(blocks), kGroup>>>(size, f);
    Check(cudaGetLastError(), "kernel");
  }
  template <typename F>
  void EachRow(int64_t rows, const F& f) const {
    if (!error_.empty() || rows == 0) return;
    RunRows<<<static_cast<unsigned>(rows), kGroup>>>(f);
    Check(cudaGetLastError(), "kernel");
  }

  // cuBLAS has columns first: C^T = B^T A^T.
  void Multiply(const DeviceProduct<Half>& p) const {
    if (!error_.empty()) return;
    constexpr bool kFloat = std::is_same_v<Half, float>;
    const float beta = p.accumulate ? 1 : 0;
    const auto type = kFloat ? CUDA_R_32F : CUDA_R_16BF;
    const auto operation = [](bool transpose) { return transpose ? CUBLAS_OP_T : CUBLAS_OP_N; };
    Check(cublasGemmEx(cublas_, operation(p.transpose_b), operation(p.transpose_a),
                       static_cast<int>(p.n), static_cast<int>(p.m), static_cast<int>(p.k),
                       &p.scale, p.b, type, static_cast<int>(p.b_stride), p.a, type,
                       static_cast<int>(p.a_stride), &beta, p.c, CUDA_R_32F,
                       static_cast<int>(p.c_stride), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
  }

  // `from` has been read when it returns; an error of an earlier kernel shows in Download.
  template <typename T>
  void Upload(const T* from, int64_t size, T* to) const {
    if (error_.empty())
      Check(cudaMemcpy(to, from, static_cast<size_t>(size) * sizeof(T), cudaMemcpyHostToDevice),
            "cudaMemcpy");
  }
  template <typename T>
  void Download(const T* from, int64_t size, T* to) const {
    if (error_.empty())
      Check(cudaMemcpy(to, from, static_cast<size_t>(size) * sizeof(T), cudaMemcpyDeviceToHost),
            "cudaMemcpy");
  }
  template <typename T>
  void Copy(const T* from, int64_t size, T* to) const {
    if (error_.empty())
      Check(cudaMemcpyAsync(to, from, static_cast<size_t>(size) * sizeof(T),
                            cudaMemcpyDeviceToDevice),
            "cudaMemcpyAsync");
  }
  template <typename T>
  void Clear(T* values, int64_t size) const {
    if (error_.empty())
      Check(cudaMemsetAsync(values, 0, static_cast<size_t>(size) * sizeof(T)), "cudaMemset");
  }

  std::string error() const { return error_; }

 private:
  bool Check(cudaError_t result, const char* call) const {
    if (result != cudaSuccess) error_ = std::string(call) + ": " + cudaGetErrorString(result);
    return result == cudaSuccess;
  }
  bool Check(cublasStatus_t result, const char* call) const {
    if (result != CUBLAS_STATUS_SUCCESS)
      error_ = std::string(call) + ": " + cublasGetStatusString(result);
    return result == CUBLAS_STATUS_SUCCESS;
  }

  int processors_ = 1;
  cublasHandle_t cublas_ = nullptr;
  mutable std::string error_;
};

}  // namespace bitlm::trainer
