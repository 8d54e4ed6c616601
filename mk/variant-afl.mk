# The fuzz harnesses for AFL++ (Debian's afl++), each a program in persistent
# mode: afl-fuzz -i fuzz/corpus/NAME -o DIR -- build/afl/obj/fuzz_NAME.t
CC= afl-clang-fast
FUZZ_MAIN= -fsanitize=fuzzer
VARIANT_CFLAGS= -O1 -g -fno-omit-frame-pointer
VARIANT_LDFLAGS=
