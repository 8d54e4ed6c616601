// Copyright (c) 2026 The hv_vss developers
// SPDX-License-Identifier: BSD-2-Clause

// participant.c in Go, with nothing but its standard library: appends numbered
// lines to a file, and while it is at rest the file is complete on the disk and
// nothing is added to it.
//
//	go build participant.go
//	./participant FILE [DEVICE]
package main

/*
#cgo pkg-config: libhv_vss
#include <hv_vss.h>
#include <poll.h>
#include <stdlib.h>

// The functions below that are exported, as Go declares them to C.
extern int goQuiesce(struct hv_vss *, struct hv_vss_request *, void *);
extern int goResume(struct hv_vss *, struct hv_vss_request *, void *);
extern void goLink(struct hv_vss *, int, void *);
*/
import "C"

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

type ledger struct {
	file   *os.File
	lines  int
	atRest bool
}

// The callbacks find it here: C must not keep a pointer to what Go moves.
var book ledger

// The library calls from within hv_vss_dispatch(): in the goroutine that runs
// the loop, so that nothing needs a lock.

//export goQuiesce
func goQuiesce(v *C.struct_hv_vss, vr *C.struct_hv_vss_request,
	ctx unsafe.Pointer) C.int {
	if err := book.file.Sync(); err != nil {
		reason := C.CString(err.Error())
		defer C.free(unsafe.Pointer(reason))
		return C.hv_vss_not_now(v, reason)
	}
	book.atRest = true
	fmt.Printf("at rest with %d lines\n", book.lines)
	return C.HV_VSS_YES
}

//export goResume
func goResume(v *C.struct_hv_vss, vr *C.struct_hv_vss_request,
	ctx unsafe.Pointer) C.int {
	book.atRest = false
	fmt.Println("goes on")
	return C.HV_VSS_YES
}

//export goLink
func goLink(v *C.struct_hv_vss, code C.int, ctx unsafe.Pointer) {
	if code == 0 {
		fmt.Println("takes part")
	} else {
		fmt.Println(syscall.Errno(code))
	}
}

// participate opens a participant with the callbacks above.
func participate(name, device string) (*C.struct_hv_vss, error) {
	var v *C.struct_hv_vss
	// All of it is copied by hv_vss_open().
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	ops := (*C.struct_hv_vss_ops)(C.calloc(1, C.sizeof_struct_hv_vss_ops))
	defer C.free(unsafe.Pointer(ops))
	ops.vo_quiesce = (*[0]byte)(C.goQuiesce)
	ops.vo_resume = (*[0]byte)(C.goResume)
	ops.vo_link = (*[0]byte)(C.goLink)
	if device != "" {
		ops.vo_device = C.CString(device)
		defer C.free(unsafe.Pointer(ops.vo_device))
	}
	code := C.hv_vss_open(&v, cname, C.HV_VSS_APP_LEVEL, ops, nil)
	if code != 0 {
		return nil, syscall.Errno(code)
	}
	return v, nil
}

func (l *ledger) append() error {
	if l.atRest {
		return nil
	}
	l.lines++
	_, err := fmt.Fprintf(l.file, "line %d\n", l.lines)
	return err
}

func run(args []string) error {
	if len(args) < 2 {
		return fmt.Errorf("usage: participant FILE [DEVICE]")
	}
	device := ""
	if len(args) > 2 {
		device = args[2]
	}
	var err error
	book.file, err = os.OpenFile(args[1],
		os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0666)
	if err != nil {
		return err
	}
	v, err := participate("ledger", device)
	if err != nil {
		return fmt.Errorf("cannot take part in backups: %w", err)
	}
	defer C.hv_vss_close(v)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	pfd := C.struct_pollfd{fd: C.hv_vss_fd(v), events: C.POLLIN}
	for len(ended) == 0 {
		if C.poll(&pfd, 1, 10) > 0 {
			C.hv_vss_dispatch(v)
		}
		if err := book.append(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
