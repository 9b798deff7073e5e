package module

import (
	"bytes"
	"strings"
	"unicode/utf8"
)

var magics = []struct{ prefix, looks string }{
	{"\x7fELF", "an ELF executable (a native Linux program)"},
	{"\xfe\xed\xfa\xce", "a Mach-O executable (a native macOS program)"},
	{"\xfe\xed\xfa\xcf", "a Mach-O executable (a native macOS program)"},
	{"\xce\xfa\xed\xfe", "a Mach-O executable (a native macOS program)"},
	{"\xcf\xfa\xed\xfe", "a Mach-O executable (a native macOS program)"},
	{"\xca\xfe\xba\xbe", "a Mach-O universal executable or a Java class file"},
	{"MZ", "a PE executable (a native Windows program)"},
	{"\x1f\x8b", "a gzip archive"},
	{"\x28\xb5\x2f\xfd", "a zstd archive"},
	{"PK\x03\x04", "a zip archive"},
	{"\xfd7zXZ\x00", "an xz archive"},
	{"!<arch>\n", "a static library (ar archive)"},
	{"BC\xc0\xde", "LLVM bitcode"},
	{"#!", "a script"},
	{"version https://git-lfs", "a Git LFS pointer, not the file itself (run `git lfs pull`)"},
}

// looksLike names what a file that is not Wasm seems to be, with an article, from its first bytes.
func looksLike(head []byte) string {
	if len(head) == 0 {
		return "an empty file"
	}
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m.prefix)) {
			return m.looks
		}
	}
	if bytes.HasPrefix([]byte("\x00asm\x01\x00\x00\x00"), head) {
		return "the first bytes of a Wasm file that was cut short"
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return "a tar archive"
	}
	text := strings.ToLower(strings.TrimLeft(string(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))), " \t\r\n"))
	switch {
	case strings.HasPrefix(text, "(module"), strings.HasPrefix(text, "(component"), strings.HasPrefix(text, ";;"):
		return "WebAssembly text (.wat), not binary"
	case strings.HasPrefix(text, "<!doctype"), strings.HasPrefix(text, "<html"):
		return "an HTML page (was it downloaded from a link that answers with a web page?)"
	case strings.HasPrefix(text, "package ") || strings.HasPrefix(text, "// ") && strings.Contains(text, "\npackage "):
		return "Go source"
	case isText(head):
		return "a text file"
	}
	return "a binary file of a kind that is not known here"
}

// isText holds for UTF-8 without control characters; a rune cut at the end of the excerpt is forgiven.
func isText(b []byte) bool {
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n <= 1 {
			return len(b) < utf8.UTFMax && !utf8.FullRune(b)
		}
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' && r != '\f' {
			return false
		}
		b = b[n:]
	}
	return true
}
