# What `cmake --install` puts where, and the package that C++ programs find with find_package(Bitlm): bitlm::client, and
# bitlm::proto for those who call the generated stubs themselves. Components: programs, client, models.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

foreach(program bitlm-server bitlm bitlm-train)
  if(TARGET ${program})
    install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT programs)
  endif()
endforeach()
install(DIRECTORY models/ DESTINATION ${CMAKE_INSTALL_DATADIR}/bitlm/models COMPONENT models
        PATTERN CMakeLists.txt EXCLUDE)

if(TARGET bitlm_client)
  # Headers keep their paths of the tree ("clients/cpp/client.h", "bitlm/v1/model_service.pb.h") below one folder.
  set(bitlm_include_directory ${CMAKE_INSTALL_INCLUDEDIR}/bitlm)
  set(bitlm_package_directory ${CMAKE_INSTALL_LIBDIR}/cmake/Bitlm)
  set_target_properties(bitlm_client PROPERTIES EXPORT_NAME client)
  set_target_properties(bitlm_proto PROPERTIES EXPORT_NAME proto)
  install(TARGETS bitlm_client bitlm_proto EXPORT BitlmTargets COMPONENT client
          ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
          INCLUDES DESTINATION ${bitlm_include_directory})
  install(EXPORT BitlmTargets NAMESPACE bitlm:: DESTINATION ${bitlm_package_directory} COMPONENT client)
  install(DIRECTORY clients/cpp DESTINATION ${bitlm_include_directory}/clients COMPONENT client
          FILES_MATCHING PATTERN "*.h")
  install(DIRECTORY ${PROJECT_BINARY_DIR}/proto/bitlm DESTINATION ${bitlm_include_directory} COMPONENT client
          FILES_MATCHING PATTERN "*.pb.h")
  install(DIRECTORY proto/bitlm DESTINATION ${CMAKE_INSTALL_DATADIR}/bitlm/proto COMPONENT client
          FILES_MATCHING PATTERN "*.proto")

  configure_package_config_file(cmake/BitlmConfig.cmake.in ${PROJECT_BINARY_DIR}/BitlmConfig.cmake
                                INSTALL_DESTINATION ${bitlm_package_directory})
  # Before 1.0 a minor version may change the interface.
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/BitlmConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/BitlmConfig.cmake ${PROJECT_BINARY_DIR}/BitlmConfigVersion.cmake
          DESTINATION ${bitlm_package_directory} COMPONENT client)
endif()
