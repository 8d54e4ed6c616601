# ThreadSanitizer.  It does not know fences; core's are for memory that is
# shared with another process, which it does not see anyway.
VARIANT_CFLAGS= -O1 -g -fsanitize=thread -Wno-tsan
VARIANT_LDFLAGS= -fsanitize=thread
