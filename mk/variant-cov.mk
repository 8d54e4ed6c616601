# Line and branch coverage.
VARIANT_CFLAGS= -O0 -g --coverage
VARIANT_LDFLAGS= --coverage
