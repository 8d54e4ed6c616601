# ThreadSanitizer.
VARIANT_CFLAGS= -O1 -g -fsanitize=thread
VARIANT_LDFLAGS= -fsanitize=thread
