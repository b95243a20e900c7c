# Every library comes from Debian packages (scripts/install-dependencies); nothing is downloaded by the build.
find_package(Threads REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(OpenSSL REQUIRED)  # libcrypto: SHA-256 of model files
find_package(ZLIB REQUIRED)     # reading .gz corpora

if(BITLM_TRAINER)
  find_package(dnnl CONFIG REQUIRED)
endif()
if(BITLM_SERVER)
  find_package(Protobuf REQUIRED)
  find_package(gRPC CONFIG REQUIRED)
  find_package(prometheus-cpp CONFIG REQUIRED)
endif()
if(BITLM_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()
if(BITLM_BENCH)
  find_package(benchmark REQUIRED)
endif()
