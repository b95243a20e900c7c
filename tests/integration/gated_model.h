// GatedModel: a language model that computes only when the test lets it.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engine/base/mutex.h"
#include "engine/nn/language_model.h"

namespace bitlm {

// Passes everything on to another model; while the gate is closed, Advance waits.
class GatedModel : public LanguageModel {
 public:
  explicit GatedModel(std::shared_ptr<const LanguageModel> model) : model_(std::move(model)) {}

  void Close() { Set(false); }
  void Open() { Set(true); }
  // Waits until a computation stands at the gate.
  void WaitForVisitor() {
    MutexLock lock(mutex_);
    while (waiting_ == 0) changed_.Wait(mutex_);
  }

  const Model& model() const override { return model_->model(); }
  size_t state_size() const override { return model_->state_size(); }
  std::string description() const override { return model_->description(); }
  uint64_t weight_bytes() const override { return model_->weight_bytes(); }
  void Advance(std::span<const TokenId> tokens, std::span<const float* const> states,
               std::span<float* const> next, ThreadPool* pool) const override {
    Pass();
    model_->Advance(tokens, states, next, pool);
  }
  void Output(std::span<const OutputRow> rows, ThreadPool* pool) const override {
    model_->Output(rows, pool);
  }

 private:
  void Set(bool open) {
    MutexLock lock(mutex_);
    open_ = open;
    changed_.NotifyAll();
  }
  void Pass() const {
    MutexLock lock(mutex_);
    ++waiting_;
    changed_.NotifyAll();
    while (!open_) changed_.Wait(mutex_);
    --waiting_;
  }

  const std::shared_ptr<const LanguageModel> model_;
  mutable Mutex mutex_;
  mutable CondVar changed_;
  bool open_ ABSL_GUARDED_BY(mutex_) = true;
  mutable int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace bitlm
