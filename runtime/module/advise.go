package module

var buildCommands = map[Language]string{
	Go:             "GOOS=wasip1 GOARCH=wasm go build -o app.wasm .",
	TinyGo:         "tinygo build -target=wasip1 -o app.wasm .",
	Rust:           "cargo build --release --target wasm32-wasip1",
	C:              "clang --target=wasm32-wasip1 --sysroot=$WASI_SYSROOT -O2 -o app.wasm app.c",
	CPlusPlus:      "clang++ --target=wasm32-wasip1 --sysroot=$WASI_SYSROOT -O2 -fno-exceptions -o app.wasm app.cc",
	Zig:            "zig build-exe -target wasm32-wasi -O ReleaseSmall app.zig",
	AssemblyScript: "npx asc app.ts --config node_modules/@assemblyscript/wasi-shim/asconfig.json -o app.wasm",
	JavaScript:     "javy build app.js -o app.wasm",
}

// buildCommand is the exact command that makes a runnable module in that language; for one that is not known, all of the
// usual ones.
func buildCommand(l Language) string {
	if c, ok := buildCommands[l]; ok {
		return c
	}
	return commands()
}

func fixFor(l Language) string {
	if l == Python {
		return "Python components have no preview 1 form; run the program by a Python interpreter that was built for wasm32-wasip1"
	}
	return "build it with: " + buildCommand(l)
}

func commands() string {
	return "Go: `" + buildCommands[Go] + "`, Rust: `" + buildCommands[Rust] + "`, C: `" + buildCommands[C] + "`"
}
