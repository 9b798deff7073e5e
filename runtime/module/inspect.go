package module

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Section identifiers of a core module, and the two of a component that can hold modules.
const (
	sectionCustom   = 0
	sectionType     = 1
	sectionImport   = 2
	sectionFunction = 3
	sectionMemory   = 5
	sectionExport   = 7
	sectionTag      = 13

	componentCoreModule = 1
	componentComponent  = 4
)

const preambleBytes = 8

var sectionNames = [...]string{"custom", "type", "import", "function", "table", "memory", "global", "export", "start",
	"element", "code", "data", "data count", "tag"}

// InspectBytes is Inspect of a file that is already in memory.
func InspectBytes(b []byte) (Info, error) { return Inspect(bytes.NewReader(b), int64(len(b))) }

// Inspect reads what the package doc promises from a file of size bytes. A file that is not Wasm is no error: Info.Kind
// says so. Errors are: the file is larger than SizeBytesMax, reading fails, or it is Wasm but damaged (the error names the
// section and byte offset).
func Inspect(r io.ReaderAt, size int64) (Info, error) {
	info := Info{SizeBytes: size}
	if size > SizeBytesMax {
		return info, fmt.Errorf("file has %d bytes, more than the limit of %d for a module", size, int64(SizeBytesMax))
	}
	head := make([]byte, min(size, 512))
	if _, err := r.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return info, fmt.Errorf("read module: %w", err)
	}
	info.Kind = kindOf(head)
	switch info.Kind {
	case Foreign:
		info.Looks = looksLike(head)
		return info, nil
	case UnknownVersion:
		return info, nil
	}
	w := walker{info: &info}
	if err := w.walk(r, 0, size, info.Kind, 0); err != nil {
		return info, err
	}
	for _, m := range info.Memories {
		w.need(m.Shared, "threads")
		w.need(m.Is64, "memory64")
	}
	w.need(len(info.Memories) > 1, "multi-memory")
	slices.Sort(info.Features)
	info.Features = slices.Compact(info.Features)
	info.Language = guessLanguage(info)
	return info, nil
}

func kindOf(head []byte) Kind {
	if len(head) < preambleBytes || string(head[:4]) != "\x00asm" {
		return Foreign
	}
	switch binary.LittleEndian.Uint32(head[4:8]) {
	case 1:
		return Core
	case 0x0001_000d:
		return Component
	}
	return UnknownVersion
}

// walker goes over section headers and reads the bodies that matter.
type walker struct {
	info  *Info
	types []string // function types by index
}

func (w *walker) need(cond bool, feature string) {
	if cond {
		w.info.Features = append(w.info.Features, feature)
	}
}

// walk reads the sections between start and end. Below the top level (modules inside a component) only custom sections are
// read: they tell the language, which decides the advice.
func (w *walker) walk(r io.ReaderAt, start, end int64, kind Kind, depth int) error {
	at := start + preambleBytes
	for n := 0; at < end; n++ {
		if n == SectionsMax {
			return fmt.Errorf("module has more than %d sections", SectionsMax)
		}
		id, bodyAt, size, err := sectionHeader(r, at, end)
		if err != nil {
			return err
		}
		nested := kind == Component && (id == componentCoreModule || id == componentComponent)
		switch {
		case nested && depth < nestingMax && size >= preambleBytes:
			inner := Core
			if id == componentComponent {
				inner = Component
			}
			err = w.walk(r, bodyAt, bodyAt+size, inner, depth+1)
		case id == sectionCustom:
			err = w.custom(r, bodyAt, size, depth)
		case kind == Core && depth == 0:
			err = w.core(r, id, bodyAt, size)
		}
		if err != nil {
			return err
		}
		at = bodyAt + size
	}
	return nil
}

func sectionHeader(r io.ReaderAt, at, end int64) (id byte, bodyAt, size int64, err error) {
	buf := make([]byte, min(6, end-at)) // identifier and a 32-bit LEB128
	if _, err := r.ReadAt(buf, at); err != nil && !errors.Is(err, io.EOF) {
		return 0, 0, 0, fmt.Errorf("read module at byte %d: %w", at, err)
	}
	c := cursor{b: buf}
	id = c.byte()
	length := int64(c.u32())
	if c.err != nil {
		return 0, 0, 0, fmt.Errorf("module is damaged at byte %d: a section header %w", at, c.err)
	}
	bodyAt = at + int64(len(buf)-len(c.b))
	if length > end-bodyAt {
		return 0, 0, 0, fmt.Errorf("module is cut short: the %s section at byte %d says %d bytes, %d remain (was the build or the copy interrupted?)",
			sectionName(id), at, length, end-bodyAt)
	}
	return id, bodyAt, length, nil
}

func sectionName(id byte) string {
	if int(id) < len(sectionNames) {
		return sectionNames[id]
	}
	return fmt.Sprintf("%d", id)
}

// body reads one section whole, if it is within the limit.
func body(r io.ReaderAt, name string, at, size int64) (*cursor, error) {
	if size > SectionBytesMax {
		return nil, fmt.Errorf("module's %s section has %d bytes, more than the limit of %d", name, size, SectionBytesMax)
	}
	b := make([]byte, size)
	if _, err := r.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read module's %s section: %w", name, err)
	}
	return &cursor{b: b}, nil
}

func (w *walker) core(r io.ReaderAt, id byte, at, size int64) error {
	var read func(*cursor)
	switch id {
	case sectionType:
		read = w.typeSection
	case sectionImport:
		read = w.importSection
	case sectionMemory:
		read = w.memorySection
	case sectionExport:
		read = w.exportSection
	case sectionTag:
		w.need(true, "exceptions")
		return nil
	case sectionFunction: // only its count
		c, err := body(r, "function", at, min(size, 5))
		if err == nil {
			w.info.Functions = int(c.u32())
		}
		return err
	default:
		return nil
	}
	c, err := body(r, sectionName(id), at, size)
	if err != nil {
		return err
	}
	if read(c); c.err != nil {
		return fmt.Errorf("module is damaged: its %s section at byte %d %w", sectionName(id), at, c.err)
	}
	return nil
}
