package guests

// A small assembler: just enough of the binary format to write modules of a few hundred bytes by hand, so that tests and
// benchmarks of starting, stopping and failing do not wait for a compiler. Instructions are written as bytes, with the few
// constants below; names and lengths are counted here, where counting by hand would go wrong.

const (
	opUnreachable = 0x00
	opLoop        = 0x03
	opEnd         = 0x0b
	opBr          = 0x0c
	opBrIf        = 0x0d
	opCall        = 0x10
	opDrop        = 0x1a
	opI32Load     = 0x28
	opMemoryGrow  = 0x40
	opI32Const    = 0x41
	opI32Ne       = 0x47
	typeVoid      = 0x40
	typeI32       = 0x7f
)

// asm collects one module: imports from preview1, one memory, data, and one exported function "_start" without locals.
type asm struct {
	types, imports, data [][]byte
	minPages, maxPages   uint32 // maxPages 0: no maximum
	start                []byte
}

func uleb(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func sleb(v int32) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func sized(b []byte) []byte               { return cat(uleb(uint32(len(b))), b) }
func str(s string) []byte                 { return sized([]byte(s)) }
func vector(items [][]byte) []byte        { return cat(uleb(uint32(len(items))), cat(items...)) }
func section(id byte, body []byte) []byte { return cat([]byte{id}, sized(body)) }
func i32(v int32) []byte                  { return cat([]byte{opI32Const}, sleb(v)) }
func call(function uint32) []byte         { return cat([]byte{opCall}, uleb(function)) }
func funcType(params, results string) []byte {
	return cat([]byte{0x60}, sized([]byte(params)), sized([]byte(results)))
}

// newAsm starts a module whose type 0 is that of _start.
func newAsm() *asm { return &asm{types: [][]byte{funcType("", "")}, minPages: 1} }

// wasi adds an import from preview1 and returns its function index. params holds one type byte each; all but proc_exit
// return an errno.
func (a *asm) wasi(name string, params ...byte) uint32 {
	results := string([]byte{typeI32})
	if name == "proc_exit" {
		results = ""
	}
	a.types = append(a.types, funcType(string(params), results))
	a.imports = append(a.imports, cat(str("wasi_snapshot_preview1"), str(name), []byte{0}, uleb(uint32(len(a.types)-1))))
	return uint32(len(a.imports) - 1)
}

func (a *asm) bytesAt(offset int32, b []byte) {
	a.data = append(a.data, cat([]byte{0}, i32(offset), []byte{opEnd}, sized(b)))
}

func (a *asm) code(parts ...[]byte) { a.start = append(a.start, cat(parts...)...) }

func (a *asm) module() []byte {
	limits := cat([]byte{0}, uleb(a.minPages))
	if a.maxPages > 0 {
		limits = cat([]byte{1}, uleb(a.minPages), uleb(a.maxPages))
	}
	body := cat([]byte{0}, a.start, []byte{opEnd}) // no locals
	export := func(name string, kind byte, index uint32) []byte { return cat(str(name), []byte{kind}, uleb(index)) }
	exports := [][]byte{export("memory", 2, 0), export("_start", 0, uint32(len(a.imports)))}
	return cat([]byte("\x00asm\x01\x00\x00\x00"),
		section(1, vector(a.types)),
		section(2, vector(a.imports)),
		section(3, vector([][]byte{uleb(0)})),
		section(5, vector([][]byte{limits})),
		section(7, vector(exports)),
		section(10, vector([][]byte{sized(body)})),
		section(11, vector(a.data)))
}
