package fingerprint

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// loadBoard reads a tree of files: lines "name = value" that say what is to be
// found, then files after lines "-- path --". A path that ends in / is an empty
// folder, \0 is a NUL.
func loadBoard(t testing.TB, name string) (want map[string]string, tree fstest.MapFS) {
	t.Helper()
	src, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, tree = map[string]string{}, fstest.MapFS{}
	var open *fstest.MapFile
	for line := range strings.Lines(string(src)) {
		path, isHead := strings.CutPrefix(line, "-- ")
		if path, ok := strings.CutSuffix(path, " --\n"); isHead && ok {
			if dir, ok := strings.CutSuffix(path, "/"); ok {
				tree[dir] = &fstest.MapFile{Mode: os.ModeDir | 0o755}
				continue
			}
			open = &fstest.MapFile{}
			tree[path] = open
			continue
		}
		if open != nil {
			open.Data = append(open.Data, strings.ReplaceAll(line, `\0`, "\x00")...)
			continue
		}
		if key, value, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			want[key] = value
		}
	}
	return want, tree
}

func boards(t testing.TB) []string {
	names, err := filepath.Glob("testdata/boards/*.txt")
	if err != nil || len(names) < 8 {
		t.Fatalf("boards: %v %v", names, err)
	}
	return names
}

// ofTheMachine are facts that do not come from the tree.
var ofTheMachine = []string{"arch", "cpu.arch", "kernel.name", "unique.hostname", "dunlin.version"}

// TestBoards finds exactly what each tree's head says, no more: what is not
// named there is unknown.
func TestBoards(t *testing.T) {
	for _, name := range boards(t) {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			want, tree := loadBoard(t, name)
			n, err := Probe(Options{Root: tree, Version: "1"})
			if err != nil {
				t.Fatal(err)
			}
			got := maps.Clone(n.Attributes)
			for _, k := range ofTheMachine {
				if got[k] == "" {
					t.Errorf("%s is missing", k)
				}
				delete(got, k)
			}
			if got["cpu.frequency.assumed"] != "" { // by a table, not by the board
				for _, k := range []string{"cpu.frequency", "cpu.totalcompute", "cpu.frequency.assumed"} {
					delete(got, k)
				}
			}
			for _, k := range slices.Sorted(maps.Keys(got)) {
				if got[k] != want[k] {
					t.Errorf("%s = %q, want %q", k, got[k], want[k])
				}
				if factNamed(k) == nil {
					t.Errorf("%s is in no table", k)
				}
			}
			for k := range want {
				if _, ok := got[k]; !ok {
					t.Errorf("%s was not found, want %q", k, want[k])
				}
			}
		})
	}
}

// TestDocsListEveryFact: an attribute that is in no manual is one that nobody
// uses.
func TestDocsListEveryFact(t *testing.T) {
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range Facts {
		if !strings.Contains(string(manual), "`"+f.Name+"`") {
			t.Errorf("docs/operate.md does not name %s", f.Name)
		}
	}
}

// FuzzProbe puts nonsense into the files that boards have.
func FuzzProbe(f *testing.F) {
	_, pi := loadBoard(f, "testdata/boards/raspberry-pi-4.txt")
	_, pc := loadBoard(f, "testdata/boards/industrial-x86.txt")
	_, phone := loadBoard(f, "testdata/boards/pinephone.txt")
	tree := fstest.MapFS{}
	for _, t := range []fstest.MapFS{pi, pc, phone} {
		maps.Copy(tree, t)
	}
	names := slices.Sorted(maps.Keys(tree))
	for i, n := range names {
		f.Add(uint(i), tree[n].Data)
	}
	for _, junk := range []string{"", "0", "-1", "\x00", "nan", "1e999", "18446744073709551615", strings.Repeat("é,", 2000), "\xff\xfe"} {
		f.Add(uint(len(junk)), []byte(junk))
	}
	f.Fuzz(func(t *testing.T, i uint, junk []byte) {
		name := names[i%uint(len(names))]
		changed := maps.Clone(tree)
		changed[name] = &fstest.MapFile{Data: junk, Mode: tree[name].Mode}
		n, err := Probe(Options{Root: changed, MemoryTotal: 100})
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range n.Attributes {
			fact := factNamed(k)
			switch {
			case fact == nil:
				t.Errorf("%s is in no table", k)
			case v == "" || len(v) > attributeBytesMax || fact.kind != text && v != clean(v):
				t.Errorf("%s: %s = %q", name, k, v)
			case fact.fixed || k == "unique.hostname":
			default:
				if _, err := fact.check(v); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	})
}
