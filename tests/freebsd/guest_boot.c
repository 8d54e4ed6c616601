/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * Starts a FreeBSD amd64 kernel in the emulator, in place of a loader: what
 * qemu's -kernel takes (multiboot), with the kernel and an image of its root
 * file system as modules.  Copies the kernel's segments to where they belong,
 * the image behind them, writes the list of both that a loader hands over, and
 * leaves the way into 64 bits to guest_start.S.  Freestanding, 32 bits, below
 * 4 GB; words of the command line with a `=' become the kernel's environment.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define KERNEL_BASE 0x200000U  /* where the kernel's text is loaded */
#define STUB_BASE   0x8000000U /* where we are: the end of what is free */
#define PAGE	    4096U
#define ENV_LEN	    PAGE
#define META_LEN    65536U /* of the list, then the memory map */

#define PT_LOAD	    1
#define ROUND(a)    (((a) + PAGE - 1) & ~(PAGE - 1))

/* FreeBSD's preload_metadata: type, length, bytes, padded to 8. */
#define MODINFO_END	0x0000
#define MODINFO_NAME	0x0001
#define MODINFO_TYPE	0x0002
#define MODINFO_ADDR	0x0003
#define MODINFO_SIZE	0x0004
#define MODINFO_ENVP	0x8006
#define MODINFO_HOWTO	0x8007
#define MODINFO_KERNEND 0x8008
#define MODINFO_SMAP	0x9001
#define HOWTO_SERIAL	0x1000U

struct multiboot {
	u32 mb_flags;
	u32 mb_unused[3];
	u32 mb_cmdline;
	u32 mb_nmods;
	u32 mb_mods;
	u32 mb_unused2[4];
	u32 mb_map_len;
	u32 mb_map;
};

struct multiboot_mod {
	u32 mm_start;
	u32 mm_end;
	u32 mm_unused[2];
};

/* What guest_start.S jumps with. */
struct handoff {
	u64 ho_entry;
	u32 ho_meta;
	u32 ho_end;
};

extern u64 guest_pml4[512], guest_pdpt[512], guest_pd[512];
struct handoff *guest_boot(const struct multiboot *mb);

static u8 *
mem(u32 addr)
{
	return ((u8 *)addr);
}

static u32
get32(const u8 *p)
{
	return (*(const u32 *)(const void *)p);
}

static void
copy(u32 to, u32 from, u32 len)
{
	u8 *d = mem(to);
	const u8 *s = mem(from);

	while (len-- > 0)
		*d++ = *s++;
}

/* Says it on the serial port, and stops. */
static void
fail(const char *text)
{
	for (; *text != '\0'; text++)
		__asm__ volatile("outb %0, %1" ::"a"(*text), "Nd"((u16)0x3f8));
	for (;;)
		__asm__ volatile("hlt");
}

/* Loads the ELF file at elf; the address behind its last segment. */
static u32
load_kernel(u32 elf, u64 *entry)
{
	const u8 *ph, *eh = mem(elf);
	u32 i, end = 0, pa, filesz, memsz;

	*entry = *(const u64 *)(const void *)(eh + 24);
	for (i = 0; i < *(const u16 *)(const void *)(eh + 56); i++) {
		ph = eh + get32(eh + 32) +
		    i * *(const u16 *)(const void *)(eh + 54);
		if (get32(ph) != PT_LOAD)
			continue;
		pa = get32(ph + 24);
		filesz = get32(ph + 32);
		memsz = get32(ph + 40);
		if (pa + memsz > STUB_BASE)
			fail("guest_boot: the kernel is too large\r\n");
		copy(pa, elf + get32(ph + 8), filesz);
		for (; filesz < memsz; filesz++)
			*mem(pa + filesz) = 0;
		if (pa + memsz > end)
			end = pa + memsz;
	}
	return (ROUND(end));
}

/* Words with a `=' of the command line, each a string, and an empty one. */
static void
make_env(u32 env, u32 cmdline)
{
	const u8 *s, *word;
	u8 *to = mem(env);
	int has;

	for (s = mem(cmdline); *s != '\0';) {
		has = 0;
		for (word = s; *s != '\0' && *s != ' '; s++)
			has |= *s == '=';
		if (has && to + (s - word) + 2 > mem(env + ENV_LEN))
			fail("guest_boot: the environment is too long\r\n");
		for (; has && word < s; word++)
			*to++ = *word;
		if (has)
			*to++ = '\0';
		while (*s == ' ')
			s++;
	}
	*to = '\0';
}

static u8 *
put(u8 *meta, u32 type, const void *data, u32 len)
{
	u32 *head = (u32 *)(void *)meta;

	head[0] = type;
	head[1] = len;
	copy((u32)(meta + 8), (u32)data, len);
	return (meta + ((8 + len + 7) & ~7U));
}

static u8 *
put64(u8 *meta, u32 type, u64 value)
{
	return (put(meta, type, &value, sizeof(value)));
}

/* The memory map, as the BIOS gives it: without multiboot's lengths. */
static u8 *
put_map(u8 *meta, const struct multiboot *mb, u32 room)
{
	u32 at, n = 0;

	for (at = mb->mb_map; at < mb->mb_map + mb->mb_map_len;
	     at += get32(mem(at)) + 4)
		copy(room + 20 * n++, at + 4, 20);
	return (put(meta, MODINFO_SMAP, mem(room), 20 * n));
}

/* The first 1 GB, everywhere: the kernel makes its own tables at once. */
static void
make_tables(void)
{
	u32 i;

	for (i = 0; i < 512; i++) {
		guest_pml4[i] = (u32)guest_pdpt | 7;
		guest_pdpt[i] = (u32)guest_pd | 7;
		guest_pd[i] = ((u64)i << 21) | 0x87;
	}
}

struct handoff *
guest_boot(const struct multiboot *mb)
{
	static struct handoff ho;
	const struct multiboot_mod *mods;
	const u32 howto = HOWTO_SERIAL;
	u32 env, kernel_end, root, root_len;
	u8 *end, *meta;

	mods = (const struct multiboot_mod *)mb->mb_mods;
	if (mb->mb_nmods != 2)
		fail("guest_boot: -initrd KERNEL,ROOT\r\n");
	root_len = mods[1].mm_end - mods[1].mm_start;
	root = kernel_end = load_kernel(mods[0].mm_start, &ho.ho_entry);
	env = ROUND(root + root_len);
	ho.ho_meta = env + ENV_LEN;
	if (ho.ho_meta + 2 * META_LEN > STUB_BASE)
		fail("guest_boot: the root image is too large\r\n");
	copy(root, mods[1].mm_start, root_len);
	make_env(env, mb->mb_cmdline);

	meta = put(mem(ho.ho_meta), MODINFO_NAME, "kernel", 7);
	meta = put(meta, MODINFO_TYPE, "elf kernel", 11);
	meta = put64(meta, MODINFO_ADDR, KERNEL_BASE);
	meta = put64(meta, MODINFO_SIZE, kernel_end - KERNEL_BASE);
	meta = put(meta, MODINFO_HOWTO, &howto, sizeof(howto));
	meta = put64(meta, MODINFO_ENVP, env);
	meta = put_map(meta, mb, ho.ho_meta + META_LEN);
	end = meta;
	meta = put64(meta, MODINFO_KERNEND, 0);
	meta = put(meta, MODINFO_NAME, "root", 5);
	meta = put(meta, MODINFO_TYPE, "mfs_root", 9);
	meta = put64(meta, MODINFO_ADDR, root);
	meta = put64(meta, MODINFO_SIZE, root_len);
	meta = put(meta, MODINFO_END, "", 0);
	ho.ho_end = ROUND((u32)meta);
	put64(end, MODINFO_KERNEND, ho.ho_end);
	make_tables();
	return (&ho);
}
