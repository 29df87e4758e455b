# cmake -D PROGRAM=… -D CORPUS=… -P run_fuzzer.cmake
# No input may crash it, hang it for 10 s, or make it allocate 64 MiB at once: inputs have at most 64 KiB.
set(seconds 5)
if(NOT "$ENV{TESS_FUZZ_SECONDS}" STREQUAL "")
  set(seconds $ENV{TESS_FUZZ_SECONDS})
endif()
file(MAKE_DIRECTORY ${PROGRAM}.corpus)
if(IS_DIRECTORY ${CORPUS})
  file(COPY ${CORPUS}/ DESTINATION ${PROGRAM}.corpus)
endif()
execute_process(
  COMMAND ${PROGRAM} -max_total_time=${seconds} -max_len=65536 -timeout=10 -malloc_limit_mb=64 -rss_limit_mb=2048
          -print_final_stats=1 -artifact_prefix=${PROGRAM}. ${PROGRAM}.corpus
  RESULT_VARIABLE result)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} failed: run it on the file it has just written to reproduce")
endif()
