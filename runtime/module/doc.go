// Package module reads a file that is said to be Wasm and tells what it is: a core module, a component, or something
// else (and what it looks like instead), with its imports, exports, memory, producers and needed features. Check says
// whether Dunlin can run it as a WASI preview1 command, and if not, which build command makes one that it can run.
//
// The one idea: everything a refusal needs is in the section headers and a few small sections, so that a 200 MB module
// is judged by reading kilobytes, on the user's machine, before anything is registered or sent.
//
// Invariants: code and data sections are never read; every count and length is limited by a named constant before it is
// allocated; no input makes a panic (fuzzed). The package validates structure only as far as it reads: whether function
// bodies are valid is decided by the engine that compiles them.
//
// Threading: pure functions, safe for concurrent use; an io.ReaderAt given in is only read during the call.
package module
