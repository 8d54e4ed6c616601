# libFuzzer with AddressSanitizer and UBSan, and coverage of the source.
CC= clang-14
FUZZ_MAIN= -fsanitize=fuzzer
VARIANT_CFLAGS= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined,fuzzer-no-link -fno-sanitize-recover=all -fprofile-instr-generate -fcoverage-mapping
VARIANT_LDFLAGS= -fsanitize=address,undefined -fprofile-instr-generate
