package fleet

// Module is a Wasm file that the region holds, by digest.
type Module struct {
	Digest      string // "sha256:" and 64 hexadecimal digits
	SizeBytes   int64
	Name        string `json:",omitempty"` // the file name it was pushed under, for people
	PushedAt    int64  // Unix nanoseconds
	CreateIndex uint64
}

// ModuleBytesMax bounds one module.
const ModuleBytesMax = 256 << 20
