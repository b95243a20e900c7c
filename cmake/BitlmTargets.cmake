# Target helpers. Every target of ours goes through one of them, so that warnings, sanitizers and names are the same
# everywhere.

function(bitlm_set_compile_options target)
  # No contraction of a*b+c and no reassociation: scores are the same bits on every machine (docs/numerics.md).
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -ffp-contract=off)
  if(BITLM_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # g++ 12 -O3 warns about std::string assignments that are right (GCC bug 105651).
    target_compile_options(${target} PRIVATE -Wno-restrict)
  endif()
  if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
    target_compile_options(${target} PRIVATE -Wthread-safety)
  endif()
  if(BITLM_SANITIZE STREQUAL "address")
    target_compile_options(${target} PRIVATE -fsanitize=address,undefined -fno-sanitize-recover=undefined
                                             -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=address,undefined)
  elseif(BITLM_SANITIZE STREQUAL "thread")
    target_compile_options(${target} PRIVATE -fsanitize=thread -fno-omit-frame-pointer)
    target_link_options(${target} PUBLIC -fsanitize=thread)
  endif()
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>)
endfunction()

# bitlm_library(NAME SOURCES … [PUBLIC libs…] [PRIVATE libs…]): target bitlm_NAME, alias bitlm::NAME.
function(bitlm_library name)
  cmake_parse_arguments(arg "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(bitlm_${name} STATIC ${arg_SOURCES})
  add_library(bitlm::${name} ALIAS bitlm_${name})
  target_link_libraries(bitlm_${name} PUBLIC ${arg_PUBLIC} PRIVATE ${arg_PRIVATE})
  bitlm_set_compile_options(bitlm_${name})
endfunction()

# bitlm_binary(NAME SOURCES … LIBS …): an executable with the name NAME in build/<preset>/bin.
function(bitlm_binary name)
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
  bitlm_set_compile_options(${name})
endfunction()

# Names tell the build that a test comes from, as scripts/test runs several at once.
set(BITLM_TEST_PREFIX "")
if(BITLM_SANITIZE STREQUAL "address")
  set(BITLM_TEST_PREFIX asan.)
elseif(BITLM_SANITIZE STREQUAL "thread")
  set(BITLM_TEST_PREFIX tsan.)
endif()

# bitlm_test(NAME SOURCES … LIBS … [LABELS …] [TIMEOUT s]): one GoogleTest binary; each of its tests is a ctest.
function(bitlm_test name)
  if(NOT BITLM_TESTS)
    return()
  endif()
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LIBS;LABELS" ${ARGN})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  bitlm_binary(${name} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS} GTest::gmock GTest::gtest_main)
  # Test code compiles in half the time, and what it tests is optimized as ever.
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE BITLM_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
                                             BITLM_BINARY_DIR="${CMAKE_BINARY_DIR}")
  if(BITLM_SANITIZE AND slow IN_LIST arg_LABELS)
    # In place of "slow": gtest_discover_tests takes one label only.
    set(arg_LABELS slow-sanitized)
  endif()
  if(CMAKE_CROSSCOMPILING)
    # One ctest a binary: starting the emulator takes longer than most tests.
    add_test(NAME ${name} COMMAND ${name})
    set_tests_properties(${name} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
    return()
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_PREFIX "${BITLM_TEST_PREFIX}"
    PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT})
endfunction()

# bitlm_benchmark(NAME SOURCES … LIBS …): a benchmark program in build/<preset>/bin.
function(bitlm_benchmark name)
  if(NOT BITLM_BENCH)
    return()
  endif()
  cmake_parse_arguments(arg "" "" "SOURCES;LIBS" ${ARGN})
  bitlm_binary(${name} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS} benchmark::benchmark)
endfunction()
