package module

import (
	"fmt"
	"io"
	"strings"
)

var externKinds = [...]string{"func", "table", "memory", "global", "tag"}

func externKind(c *cursor) string {
	k := c.byte()
	if int(k) >= len(externKinds) {
		c.fail(fmt.Errorf("has an entry of unknown kind %d", k))
		return ""
	}
	return externKinds[k]
}

func valueType(c *cursor) string {
	switch b := c.byte(); b {
	case 0x7f:
		return "i32"
	case 0x7e:
		return "i64"
	case 0x7d:
		return "f32"
	case 0x7c:
		return "f64"
	case 0x7b:
		return "v128"
	case 0x70:
		return "funcref"
	case 0x6f:
		return "externref"
	case 0x69:
		return "exnref"
	case 0x63, 0x64: // (ref null? heap type)
		c.uint(33)
		return "ref"
	default:
		return fmt.Sprintf("type-0x%02x", b)
	}
}

func valueTypes(c *cursor) string {
	var types []string
	for n := c.count("parameters or results", paramsMax); n > 0 && c.err == nil; n-- {
		types = append(types, valueType(c))
	}
	return "(" + strings.Join(types, ",") + ")"
}

// typeSection keeps plain function types. At the first type of the garbage-collection proposal it stops reading: its
// entries are recursive, no function that preview1 offers has one, and the feature alone is reason to refuse.
func (w *walker) typeSection(c *cursor) {
	for n := c.count("types", TypesMax); n > 0 && c.err == nil; n-- {
		if form := c.byte(); form != 0x60 {
			w.need(c.err == nil, "gc")
			return
		}
		params := valueTypes(c)
		w.types = append(w.types, params+"->"+valueTypes(c))
	}
}

func (w *walker) importSection(c *cursor) {
	for n := c.count("imports", ImportsMax); n > 0 && c.err == nil; n-- {
		im := Import{Module: c.name(), Name: c.name(), Kind: externKind(c)}
		switch im.Kind {
		case "func":
			if i := c.u32(); int(i) < len(w.types) {
				im.Type = w.types[i]
			}
		case "table":
			im.Type = valueType(c)
			limits(c)
		case "memory":
			m := limits(c)
			m.Imported = true
			w.info.Memories = append(w.info.Memories, m)
		case "global":
			im.Type = valueType(c)
			c.byte() // mutability
		case "tag":
			w.need(true, "exceptions")
			c.byte()
			c.u32()
		}
		if c.err == nil {
			w.info.Imports = append(w.info.Imports, im)
		}
	}
}

func (w *walker) memorySection(c *cursor) {
	for n := c.count("memories", 100); n > 0 && c.err == nil; n-- {
		w.info.Memories = append(w.info.Memories, limits(c))
	}
}

// limits reads the flags and bounds of a memory or table.
func limits(c *cursor) Memory {
	flags := c.byte()
	m := Memory{HasMax: flags&1 != 0, Shared: flags&2 != 0, Is64: flags&4 != 0}
	bits := 32
	if m.Is64 {
		bits = 64
	}
	m.MinPages = c.uint(bits)
	if m.HasMax {
		m.MaxPages = c.uint(bits)
	}
	if flags&8 != 0 { // custom page size
		c.u32()
	}
	return m
}

func (w *walker) exportSection(c *cursor) {
	for n := c.count("exports", ExportsMax); n > 0 && c.err == nil; n-- {
		e := Export{Name: c.name(), Kind: externKind(c)}
		c.u32()
		if c.err == nil {
			w.info.Exports = append(w.info.Exports, e)
		}
	}
}

// custom reads a custom section's name, and the content of the two that tell about the toolchain. Damage inside a custom
// section is ignored, as the specification asks of every reader.
func (w *walker) custom(r io.ReaderAt, at, size int64, depth int) error {
	c, err := body(r, "custom", at, min(size, NameBytesMax+5))
	if err != nil {
		return err
	}
	name := c.name()
	if c.err != nil {
		return nil
	}
	if depth == 0 {
		w.info.CustomSections = append(w.info.CustomSections, name)
	}
	if name != "producers" && name != "target_features" {
		return nil
	}
	if size > SectionBytesMax {
		return nil
	}
	if c, err = body(r, name, at, size); err != nil {
		return err
	}
	c.name()
	if name == "producers" {
		w.producers(c)
	} else if depth == 0 {
		w.targetFeatures(c)
	}
	return nil
}

func (w *walker) producers(c *cursor) {
	for fields := c.count("fields", producersMax); fields > 0 && c.err == nil; fields-- {
		field := c.name()
		for n := c.count("values", producersMax); n > 0 && c.err == nil; n-- {
			p := Producer{Field: field, Name: c.name(), Version: c.name()}
			if c.err == nil && len(w.info.Producers) < producersMax {
				w.info.Producers = append(w.info.Producers, p)
			}
		}
	}
}

// targetFeatures reads what LLVM says was used. Only names that matter to us become features; a module may list one
// without using it (rustc lists all that its target enables), so Check does not refuse by this section alone.
func (w *walker) targetFeatures(c *cursor) {
	for n := c.count("features", producersMax); n > 0 && c.err == nil; n-- {
		prefix, name := c.byte(), c.name()
		if c.err != nil || (prefix != '+' && prefix != '=') {
			continue
		}
		switch name {
		case "tail-call", "simd128", "relaxed-simd", "extended-const":
			w.need(true, name)
		}
	}
}
