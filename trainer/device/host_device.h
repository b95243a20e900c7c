// HostDevice: what DeviceNetwork asks of a device, by plain loops on the CPU, for tests: the same
// functors, one after the other.
//
// A device has: Half, what its products take; Buffer<T>, an owned array, zero at first; Each, a
// loop over elements; EachRow, a loop over rows whose functor shares a row among the lanes of a
// group; Multiply; and copies. Everything happens in the order of the calls.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace bitlm::trainer {

// C [m, n] (+)= scale * A B; A [m, k] or with transpose_a [k, m], B [k, n] or with transpose_b [n,
// k]; all row-major with strides in values.
template <typename Half>
struct DeviceProduct {
  int64_t m, n, k;
  const Half* a;
  int64_t a_stride;
  bool transpose_a;
  const Half* b;
  int64_t b_stride;
  bool transpose_b;
  float* c;
  int64_t c_stride;
  bool accumulate;
  float scale = 1;
};

class HostDevice {
 public:
  using Half = float;

  template <typename T>
  class Buffer {
   public:
    Buffer() = default;
    T* data() { return values_.data(); }

   private:
    friend class HostDevice;
    std::vector<T> values_;
  };

  template <typename T>
  Buffer<T> Make(int64_t size) const {
    Buffer<T> buffer;
    buffer.values_.resize(static_cast<size_t>(size));
    return buffer;
  }

  template <typename F>
  void Each(int64_t size, const F& f) const {
    for (int64_t i = 0; i < size; ++i) f(i);
  }
  template <typename F>
  void EachRow(int64_t rows, const F& f) const {
    for (int64_t row = 0; row < rows; ++row) f(row, Lane{});
  }

  void Multiply(const DeviceProduct<float>& p) const {
    for (int64_t r = 0; r < p.m; ++r) {
      for (int64_t c = 0; c < p.n; ++c) {
        double sum = 0;
        for (int64_t i = 0; i < p.k; ++i) {
          const float a = p.transpose_a ? p.a[i * p.a_stride + r] : p.a[r * p.a_stride + i];
          const float b = p.transpose_b ? p.b[c * p.b_stride + i] : p.b[i * p.b_stride + c];
          sum += static_cast<double>(a) * static_cast<double>(b);
        }
        float& to = p.c[r * p.c_stride + c];
        to = static_cast<float>(sum * static_cast<double>(p.scale)) + (p.accumulate ? to : 0.0f);
      }
    }
  }

  template <typename T>
  void Upload(const T* from, int64_t size, T* to) const {
    std::copy_n(from, size, to);
  }
  template <typename T>
  void Download(const T* from, int64_t size, T* to) const {
    std::copy_n(from, size, to);
  }
  template <typename T>
  void Copy(const T* from, int64_t size, T* to) const {
    std::copy_n(from, size, to);
  }
  template <typename T>
  void Clear(T* values, int64_t size) const {
    std::fill_n(values, size, T(0));
  }
  std::string error() const { return ""; }

 private:
  struct Lane {
    int64_t index = 0, width = 1;
    double Sum(double x) const { return x; }
  };
};

}  // namespace bitlm::trainer
