# Release: optimised and hardened; asserts stay on.
VARIANT_CFLAGS= -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE
VARIANT_LDFLAGS= -pie -Wl,-z,relro,-z,now
