# 64-bit ARM on Debian 12 for x86-64: Debian's cross compiler and C library, the other libraries where
# `scripts/install-dependencies --arm64` puts them, and QEMU to run what was built.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(libraries ${CMAKE_CURRENT_LIST_DIR}/../../build/arm64-libraries ABSOLUTE)
set(CMAKE_CROSSCOMPILING_EMULATOR
  qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=${libraries}/usr/lib/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${libraries})
foreach(language C CXX)  # Headers that differ between architectures, openssl/configuration.h.
  set(CMAKE_${language}_STANDARD_INCLUDE_DIRECTORIES ${libraries}/usr/include/aarch64-linux-gnu)
endforeach()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
