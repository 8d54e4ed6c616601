/*
 * Copyright (c) 2026 The hv_vss developers
 * SPDX-License-Identifier: BSD-2-Clause
 */

/*
 * The kernel's stand-in: modules, buses and their devices, sysctl.  As in the
 * kernel one thread at a time attaches and detaches, so nothing here locks.
 */

#include <stdarg.h>

#include "kpi_test.h"

#define KPI_NMODULES 4

struct kpi_device {
	LIST_ENTRY(kpi_device) d_link;
	const char *d_name; /* NULL: no driver */
	char d_nameunit[24];
	device_t d_parent; /* a bus; NULL: this is one */
	driver_t *d_driver;
	bool d_attached;
	void *d_ivars;
	LIST_HEAD(sysctl_oid_list, sysctl_oid) d_oids;
	struct sysctl_oid d_tree;
};

struct kpi_module {
	const char *mo_name;
	const char *mo_bus;
	driver_t *mo_driver;
	kpi_modevent_t *mo_evh;
};

static struct kpi_module kpi_modules[KPI_NMODULES];
static unsigned kpi_nmodules;
static struct kpi_device kpi_buses[] = { { .d_name = "vmbus" },
	{ .d_name = "nexus" } };
static LIST_HEAD(kpi_device_list,
    kpi_device) kpi_devices = LIST_HEAD_INITIALIZER(kpi_devices);
static struct kpi_device kpi_base = { .d_name = "hvvss",
	.d_nameunit = "hvvss0" };
static const char *kpi_disabled;

void
kpi_driver_module(
    const char *name, const char *bus, driver_t *driver, kpi_modevent_t *evh)
{
	struct kpi_module *mo = &kpi_modules[kpi_nmodules++];

	mo->mo_name = name;
	mo->mo_bus = bus;
	mo->mo_driver = driver;
	mo->mo_evh = evh;
}

static kpi_method_t *
kpi_method(const driver_t *driver, const char *name)
{
	const device_method_t *dm;

	for (dm = driver->methods; dm->name != NULL; dm++)
		if (strcmp(dm->name, name) == 0)
			return (dm->func);
	return (NULL);
}

static int
kpi_call(device_t dev, const char *name)
{
	int (*func)(device_t);

	func = (int (*)(device_t))kpi_method(dev->d_driver, name);
	return (func != NULL ? func(dev) : 0);
}

/*
 * Devices.
 */

int
device_printf(device_t dev, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	kpi_printf("%s: %s", dev->d_nameunit, text);
	return (0);
}

const char *
device_get_nameunit(device_t dev)
{
	return (dev->d_nameunit);
}

const char *
device_get_name(device_t dev)
{
	return (dev->d_name);
}

int
device_get_unit(device_t dev)
{
	return (atoi(dev->d_nameunit + strlen(dev->d_name)));
}

/*
 * The kernel's environment, which loader.conf makes.
 */

static struct {
	char ke_name[48];
	unsigned int ke_value;
} kpi_env[4];

void
kpi_env_set(const char *name, unsigned int value)
{
	size_t i = 0;

	while (kpi_env[i].ke_name[0] != '\0')
		if (++i == nitems(kpi_env))
			kpi_panic("too much in the environment");
	snprintf(kpi_env[i].ke_name, sizeof(kpi_env[i].ke_name), "%s", name);
	kpi_env[i].ke_value = value;
}

void
kpi_env_clear(void)
{
	memset(kpi_env, 0, sizeof(kpi_env));
}

int
getenv_uint(const char *name, unsigned int *value)
{
	for (size_t i = 0; i < nitems(kpi_env); i++)
		if (strcmp(kpi_env[i].ke_name, name) == 0) {
			*value = kpi_env[i].ke_value;
			return (1);
		}
	return (0);
}

device_t
device_get_parent(device_t dev)
{
	return (dev->d_parent);
}

void
device_set_desc(device_t dev __unused, const char *desc __unused)
{
}

bool
device_is_attached(device_t dev)
{
	return (dev->d_attached);
}

device_t
device_find_child(device_t parent, const char *name, int unit __unused)
{
	device_t dev;

	LIST_FOREACH(dev, &kpi_devices, d_link)
		if (dev->d_parent == parent && dev->d_name != NULL &&
		    strcmp(dev->d_name, name) == 0)
			return (dev);
	return (NULL);
}

device_t
kpi_bus(const char *name)
{
	size_t i;

	for (i = 0; i < nitems(kpi_buses); i++)
		if (strcmp(kpi_buses[i].d_name, name) == 0)
			return (&kpi_buses[i]);
	kpi_panic("no bus %s", name);
}

static void
kpi_device_name(device_t dev, const char *name)
{
	device_t other;
	int unit = 0;

	LIST_FOREACH(other, &kpi_devices, d_link)
		if (other != dev && other->d_name != NULL)
			unit++;
	dev->d_name = name;
	snprintf(dev->d_nameunit, sizeof(dev->d_nameunit), "%s%d", name, unit);
}

device_t
kpi_bus_add_child(
    device_t parent, u_int order __unused, const char *name, int unit __unused)
{
	device_t dev = (calloc)(1, sizeof(*dev));

	if (dev == NULL)
		kpi_panic("no memory");
	LIST_INIT(&dev->d_oids);
	dev->d_parent = parent;
	LIST_INSERT_HEAD(&kpi_devices, dev, d_link);
	if (name != NULL)
		kpi_device_name(dev, name);
	return (dev);
}

static void
kpi_sysctl_free(device_t dev)
{
	struct sysctl_oid *oid;

	while ((oid = LIST_FIRST(&dev->d_oids)) != NULL) {
		LIST_REMOVE(oid, oid_link);
		(free)(oid);
	}
}

int
kpi_device_detach(device_t dev)
{
	int error;

	if (!dev->d_attached)
		return (0);
	error = kpi_call(dev, "device_detach");
	if (error != 0)
		return (error);
	dev->d_attached = false;
	dev->d_driver = NULL;
	kpi_sysctl_free(dev);
	return (0);
}

void
kpi_device_remove(device_t dev)
{
	if (kpi_device_detach(dev) != 0)
		kpi_panic("%s does not detach", dev->d_nameunit);
	LIST_REMOVE(dev, d_link);
	(free)(dev);
}

/* The first driver of its bus that wants it. */
static int
kpi_probe_and_attach(device_t dev)
{
	const char *fixed = dev->d_name;
	struct kpi_module *mo;
	int error = ENXIO;

	for (mo = kpi_modules; mo < &kpi_modules[kpi_nmodules]; mo++) {
		if (mo->mo_driver == NULL ||
		    strcmp(mo->mo_bus, dev->d_parent->d_name) != 0)
			continue;
		dev->d_driver = mo->mo_driver;
		if (fixed == NULL)
			kpi_device_name(dev, mo->mo_driver->name);
		error = kpi_call(dev, "device_probe");
		if (error > 0) {
			dev->d_driver = NULL;
			dev->d_name = fixed;
			continue;
		}
		error = kpi_call(dev, "device_attach");
		dev->d_attached = error == 0;
		if (error != 0) {
			kpi_sysctl_free(dev);
			dev->d_driver = NULL;
			dev->d_name = fixed;
		}
		return (error);
	}
	return (error);
}

device_t
kpi_device_add(device_t bus, void *ivars, int *error)
{
	device_t dev = kpi_bus_add_child(bus, 0, NULL, -1);

	dev->d_ivars = ivars;
	*error = kpi_probe_and_attach(dev);
	return (dev);
}

int
kpi_device_resume(device_t dev)
{
	kpi_call(dev, "device_suspend");
	return (kpi_call(dev, "device_resume"));
}

/*
 * Modules.
 */

int
kpi_module_load(void)
{
	void (*identify)(driver_t *, device_t);
	struct kpi_module *mo;
	device_t dev, next;

	for (mo = kpi_modules; mo < &kpi_modules[kpi_nmodules]; mo++) {
		if (mo->mo_evh(mo, MOD_LOAD, NULL) != 0)
			return (EINVAL);
		identify = (void (*)(driver_t *, device_t))kpi_method(
		    mo->mo_driver, "device_identify");
		if (identify != NULL)
			identify(mo->mo_driver, kpi_bus(mo->mo_bus));
	}
	for (dev = LIST_FIRST(&kpi_devices); dev != NULL; dev = next) {
		next = LIST_NEXT(dev, d_link);
		if (!dev->d_attached)
			kpi_probe_and_attach(dev);
	}
	return (0);
}

/* devclass_quiesce_driver() or devclass_delete_driver(). */
static int
kpi_each_device(driver_t *driver, bool quiesce)
{
	device_t dev, next;
	int error;

	for (dev = LIST_FIRST(&kpi_devices); dev != NULL; dev = next) {
		next = LIST_NEXT(dev, d_link);
		if (!dev->d_attached || dev->d_driver != driver)
			continue;
		error = quiesce ? kpi_call(dev, "device_quiesce") :
				  kpi_device_detach(dev);
		if (error != 0)
			return (error);
	}
	return (0);
}

static int
kpi_module_event(bool quiesce)
{
	struct kpi_module *mo;
	int error;

	for (mo = kpi_modules; mo < &kpi_modules[kpi_nmodules]; mo++) {
		error = kpi_each_device(mo->mo_driver, quiesce);
		if (error == 0)
			error = mo->mo_evh(
			    mo, quiesce ? MOD_QUIESCE : MOD_UNLOAD, NULL);
		if (error != 0)
			return (error);
	}
	return (0);
}

int
kpi_module_unload(bool force)
{
	int error;

	error = kpi_module_event(true);
	if (error != 0 && !force)
		return (error);
	return (kpi_module_event(false));
}

/* Only the base system's driver and ours are ever asked for. */
struct kpi_devclass {
	const char *dc_name;
};
static struct kpi_devclass kpi_classes[] = { { "hvvss" }, { "hvvssg" } };

devclass_t
devclass_find(const char *name)
{
	size_t i;

	for (i = 0; i < nitems(kpi_classes); i++)
		if (strcmp(kpi_classes[i].dc_name, name) == 0)
			return (&kpi_classes[i]);
	return (NULL);
}

device_t
devclass_get_device(devclass_t dc, int unit __unused)
{
	return (dc == &kpi_classes[0] ? &kpi_base : NULL);
}

void
kpi_base_driver(bool attached)
{
	kpi_base.d_attached = attached;
}

int
resource_disabled(const char *name, int unit __unused)
{
	return (kpi_disabled != NULL && strcmp(kpi_disabled, name) == 0);
}

void
kpi_disable(const char *name)
{
	kpi_disabled = name;
}

struct vmbus_channel *
vmbus_get_channel(device_t dev)
{
	return (dev->d_ivars);
}

int
VMBUS_PROBE_GUID(
    device_t bus __unused, device_t dev, const struct hyperv_guid *guid)
{
	return (memcmp(kpi_chan_guid(dev->d_ivars), guid->hv_guid,
		    sizeof(guid->hv_guid)) == 0 ?
		0 :
		ENXIO);
}

/*
 * Sysctl.
 */

struct sysctl_ctx_list *
device_get_sysctl_ctx(device_t dev)
{
	return ((struct sysctl_ctx_list *)(void *)dev);
}

struct sysctl_oid *
device_get_sysctl_tree(device_t dev)
{
	dev->d_tree.oid_tree = &dev->d_oids;
	return (&dev->d_tree);
}

struct sysctl_oid *
kpi_sysctl_add(struct sysctl_ctx_list *ctx __unused, struct sysctl_oid *parent,
    const char *name,
    int (*handler)(struct sysctl_oid *, void *, intptr_t, struct sysctl_req *),
    void *arg1, intptr_t arg2)
{
	struct sysctl_oid *oid = (calloc)(1, sizeof(*oid));

	if (oid == NULL)
		kpi_panic("no memory");
	snprintf(oid->oid_name, sizeof(oid->oid_name), "%.30s%s%.30s",
	    parent->oid_name, parent->oid_name[0] != '\0' ? "." : "", name);
	oid->oid_tree = parent->oid_tree;
	oid->oid_handler = handler;
	oid->oid_arg1 = arg1;
	oid->oid_arg2 = arg2;
	LIST_INSERT_HEAD(oid->oid_tree, oid, oid_link);
	return (oid);
}

static int
kpi_sysctl_out(struct sysctl_req *req, const char *text)
{
	kpi_may_sleep("sysctl");
	if (req->oldptr != NULL)
		snprintf(req->oldptr, req->oldlen, "%s", text);
	return (0);
}

int
sysctl_handle_int(SYSCTL_HANDLER_ARGS)
{
	char text[24];

	snprintf(text, sizeof(text), "%d", *(int *)arg1);
	kpi_sysctl_out(req, text);
	if (req->newptr != NULL)
		memcpy(arg1, req->newptr, sizeof(int));
	return (0);
}

int
sysctl_handle_64(SYSCTL_HANDLER_ARGS)
{
	char text[24];

	snprintf(text, sizeof(text), "%ju", (uintmax_t) * (uint64_t *)arg1);
	return (kpi_sysctl_out(req, text));
}

int
sysctl_handle_string(SYSCTL_HANDLER_ARGS)
{
	return (kpi_sysctl_out(req, arg1));
}

struct sbuf *
sbuf_new_for_sysctl(struct sbuf *sb, char *buf __unused, int len __unused,
    struct sysctl_req *req)
{
	sb->s_req = req;
	return (sb);
}

int
sbuf_printf(struct sbuf *sb, const char *fmt, ...)
{
	size_t used = strlen(sb->s_req->oldptr);
	va_list ap;

	kpi_may_sleep("sbuf");
	va_start(ap, fmt);
	vsnprintf(sb->s_req->oldptr + used, sb->s_req->oldlen - used, fmt, ap);
	va_end(ap);
	return (0);
}

int
sbuf_finish(struct sbuf *sb __unused)
{
	return (0);
}

void
sbuf_delete(struct sbuf *sb __unused)
{
}

static int
kpi_sysctl(device_t dev, const char *name, struct sysctl_req *req)
{
	struct sysctl_oid *oid;

	LIST_FOREACH(oid, &dev->d_oids, oid_link)
		if (oid->oid_handler != NULL &&
		    strcmp(oid->oid_name, name) == 0)
			return (oid->oid_handler(
			    oid, oid->oid_arg1, oid->oid_arg2, req));
	return (ENOENT);
}

int
kpi_sysctl_get(device_t dev, const char *name, char *text, size_t cap)
{
	struct sysctl_req req = { text, cap, NULL };

	text[0] = '\0';
	return (kpi_sysctl(dev, name, &req));
}

uint64_t
kpi_sysctl_u64(device_t dev, const char *name)
{
	char text[64];

	if (kpi_sysctl_get(dev, name, text, sizeof(text)) != 0)
		kpi_panic("sysctl %s", name);
	return (strtoull(text, NULL, 10));
}

int
kpi_sysctl_set(device_t dev, const char *name, unsigned value)
{
	struct sysctl_req req = { NULL, 0, &value };

	return (kpi_sysctl(dev, name, &req));
}
