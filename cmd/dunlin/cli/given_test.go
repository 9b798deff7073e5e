package cli

import (
	"bytes"
	"strings"
	"testing"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestRoomInWords(t *testing.T) {
	if got := roomWords(fleet.Ask{CPU: 100, MemoryMB: 50, DiskMB: 30}); got != "100 MHz, 50 MiB, 30 MiB of disk" {
		t.Error(got)
	}
	if got := roomWords((&fleet.Node{}).Capacity()); got != "0 MHz, 0 MiB, disk unknown, and not checked" {
		t.Error(got)
	}
	if got := volumeWords(map[string]fleet.HostVolume{"b": {Path: "/b"}, "a": {Path: "/a", ReadOnly: true}}); got != "a (/a, read-only), b (/b)" {
		t.Error(got)
	}
	if got := volumeWords(nil); got != "none" {
		t.Error(got)
	}
}

func TestGivenInWords(t *testing.T) {
	var out bytes.Buffer
	e := &env{IO: IO{Out: &out}}
	r := &fleet.AllocatedResources{Tasks: map[string]fleet.AllocatedTask{
		"a": {CPU: fleet.NodeCPU{CPUShares: 100}, Memory: fleet.AllocatedMemory{MemoryMB: 64, MemoryMaxMB: 256}},
		"b": {CPU: fleet.NodeCPU{CPUShares: 50}, Memory: fleet.AllocatedMemory{MemoryMB: 32}},
	}, Shared: fleet.AllocatedShared{DiskMB: 300}}
	e.printGiven(nil)
	e.printGiven(r)
	for _, want := range []string{"task \"a\" has 100 MHz, 64/256 MiB (reserved/limit)", "task \"b\" has 50 MHz, 32 MiB\n", "all of it has 300 MiB of disk"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, &out)
		}
	}
}
