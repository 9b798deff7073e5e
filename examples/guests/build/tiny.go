package guests

import "encoding/binary"

// words lays out 32-bit little-endian words, as structures in guest memory are.
func words(v ...uint32) []byte {
	var b []byte
	for _, w := range v {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return b
}

// write adds the code that prints text to a file descriptor, with its buffers at offset at of the guest's memory.
func (a *asm) write(fdWrite uint32, fd, at int32, text string) {
	a.bytesAt(at, cat(words(uint32(at)+16, uint32(len(text)), 0, 0), []byte(text)))
	a.code(i32(fd), i32(at), i32(1), i32(at+8), call(fdWrite), []byte{opDrop})
}

// TinyHello prints "hello\n" on standard output and ends with that exit code.
func TinyHello(exitCode int32) []byte {
	a := newAsm()
	fdWrite := a.wasi("fd_write", typeI32, typeI32, typeI32, typeI32)
	exit := a.wasi("proc_exit", typeI32)
	a.write(fdWrite, 1, 0, "hello\n")
	a.code(i32(exitCode), call(exit))
	return a.module()
}

// TinyReturn returns from _start at once: exit code 0, no output.
func TinyReturn() []byte { return newAsm().module() }

// TinySleep prints "up\n" and then sleeps for ever, one minute at a time, through poll_oneoff: it uses no CPU.
func TinySleep() []byte {
	a := newAsm()
	fdWrite := a.wasi("fd_write", typeI32, typeI32, typeI32, typeI32)
	poll := a.wasi("poll_oneoff", typeI32, typeI32, typeI32, typeI32)
	a.write(fdWrite, 1, 0, "up\n")
	// A subscription: userdata, tag 0 (clock), clock 1 (monotonic), timeout in ns, precision, flags 0 (relative).
	const minute = uint64(60_000_000_000)
	a.bytesAt(64, words(0, 0, 0, 0, 1, 0, uint32(minute&0xffffffff), uint32(minute>>32), 0, 0, 0, 0))
	a.code([]byte{opLoop, typeVoid}, i32(64), i32(128), i32(1), i32(192), call(poll), []byte{opDrop, opBr, 0, opEnd})
	return a.module()
}

// TinySpin prints "up\n" and then loops for ever without calling anything: no host function ever gets a say.
func TinySpin() []byte {
	a := newAsm()
	fdWrite := a.wasi("fd_write", typeI32, typeI32, typeI32, typeI32)
	a.write(fdWrite, 1, 0, "up\n")
	a.code([]byte{opLoop, typeVoid, opBr, 0, opEnd})
	return a.module()
}

// TinyTrap executes unreachable.
func TinyTrap() []byte {
	a := newAsm()
	a.code([]byte{opUnreachable})
	return a.module()
}

// TinyOutOfBounds loads from beyond the end of its memory.
func TinyOutOfBounds() []byte {
	a := newAsm()
	a.code(i32(-4), []byte{opI32Load, 2, 0, opDrop})
	return a.module()
}

// TinyEat grows its memory by 1 MiB (16 pages) until that is refused, then traps, as programs do whose allocator aborts.
func TinyEat() []byte {
	a := newAsm()
	a.code([]byte{opLoop, typeVoid}, i32(16), []byte{opMemoryGrow, 0}, i32(-1), []byte{opI32Ne, opBrIf, 0, opEnd, opUnreachable})
	return a.module()
}

// TinyEatPolitely is TinyEat that copes: after the refusal it ends with exit code 0.
func TinyEatPolitely() []byte {
	a := newAsm()
	a.code([]byte{opLoop, typeVoid}, i32(16), []byte{opMemoryGrow, 0}, i32(-1), []byte{opI32Ne, opBrIf, 0, opEnd})
	return a.module()
}

// TinyMemory declares a memory of that many 64 KiB pages at start and returns.
func TinyMemory(pages uint32) []byte {
	a := newAsm()
	a.minPages = pages
	return a.module()
}

// TinyCat copies standard input to standard output, 1 KiB at a time, until the end; then it exits with code 0.
func TinyCat() []byte {
	a := newAsm()
	fdRead := a.wasi("fd_read", typeI32, typeI32, typeI32, typeI32)
	fdWrite := a.wasi("fd_write", typeI32, typeI32, typeI32, typeI32)
	// Memory: iovec for reading at 0 (buffer 64, 1024 bytes); count read lands at 12, the length field of the iovec for
	// writing at 8, so that exactly what was read is written.
	a.bytesAt(0, words(64, 1024, 64, 0))
	load := func(at int32) []byte { return cat(i32(at), []byte{opI32Load, 2, 0}) }
	a.code([]byte{opLoop, typeVoid},
		i32(0), i32(0), i32(1), i32(12), call(fdRead), []byte{opDrop},
		i32(1), i32(8), i32(1), i32(4096), call(fdWrite), []byte{opDrop},
		load(12), []byte{opBrIf, 0, opEnd})
	return a.module()
}

// TinyImport is a module whose one import is a function that no preview1 host offers.
func TinyImport(module, name string) []byte {
	a := newAsm()
	a.imports = append(a.imports, cat(str(module), str(name), []byte{0, 0}))
	return a.module()
}
