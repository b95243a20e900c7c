// NextWords between proto and engine: checks of the request, the response.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bitlm/v1/language_model_service.pb.h"
#include "grpcpp/support/byte_buffer.h"
#include "server/config/server_config.h"
#include "server/execution/next_words_execution.h"
#include "server/registry/model_registry.h"

namespace bitlm {

// Whether a NextWordsRequest, not parsed yet, has as many candidates as it may. Errors:
// INVALID_ARGUMENT naming the limit.
absl::Status CheckCandidateCount(const grpc::ByteBuffer& bytes, const RequestLimits& limits);

// What a request asks of a model. options.top_k is 0 when no word may be answered. Errors:
// INVALID_ARGUMENT naming the field, "candidates[3]: ..."; FAILED_PRECONDITION for
// "self_normalized" when the model does not allow it.
absl::StatusOr<NextWordsQuery> ReadNextWordsQuery(const v1::NextWordsRequest& request,
                                                  const ServedModel& model,
                                                  const RequestLimits& limits);

// The answer to a completed task.
v1::NextWordsResponse MakeNextWordsResponse(const ServedModel& model, NextWordsTask& task);

}  // namespace bitlm
