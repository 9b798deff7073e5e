package fingerprint

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

func disk(dir string) (total, free int64, ok bool) {
	p, err := windows.UTF16PtrFromString(dir)
	if err != nil || dir == "" {
		return 0, 0, false
	}
	var avail, all, left uint64
	if windows.GetDiskFreeSpaceEx(p, &avail, &all, &left) != nil {
		return 0, 0, false
	}
	return int64(all >> 20), int64(avail >> 20), true
}

var globalMemoryStatusEx = windows.NewLazySystemDLL("kernel32.dll").NewProc("GlobalMemoryStatusEx")

// systemMemoryMB asks the kernel; the layout is MEMORYSTATUSEX of the Windows
// API.
func systemMemoryMB() int64 {
	var m struct {
		length, load            uint32
		totalPhys, availPhys    uint64
		totalPage, availPage    uint64
		totalVirtual, available uint64
		extended                uint64
	}
	m.length = uint32(unsafe.Sizeof(m))
	if ok, _, _ := globalMemoryStatusEx.Call(uintptr(unsafe.Pointer(&m))); ok == 0 {
		return 0
	}
	return int64(m.totalPhys >> 20)
}
