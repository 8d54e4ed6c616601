# AddressSanitizer and UBSan, ending at the first finding.
VARIANT_CFLAGS= -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
VARIANT_LDFLAGS= -fsanitize=address,undefined
