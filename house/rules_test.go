package house

import (
	"bytes"
	"errors"
	"go/ast"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Limits of one screenful of ideas. There is no list of exceptions.
const (
	fileLinesMax     = 700
	functionLinesMax = 90
	docLinesMin      = 3
)

// vague are names that say nothing about what is inside, so that everything ends up there.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "structs", "manager", "misc", "base", "shared"}

// promises is what a package doc must hold besides its idea: what always holds, or who may call when.
var promises = regexp.MustCompile(`(?i)invariant|threading|concurren|goroutine|parallel|is pure`)

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for dir, p := range tree(t) {
		var docs []string
		name := ""
		for _, s := range p.sources {
			if s.test {
				continue
			}
			name = s.file.Name.Name
			if s.file.Doc != nil {
				docs = append(docs, s.file.Doc.Text())
			}
		}
		doc := strings.TrimSpace(strings.Join(docs, "\n"))
		switch {
		case name == "": // tests only, beside a nested module or in none
		case len(docs) == 0:
			t.Errorf("package %s has no doc; say its one idea, its invariants and its threading rule", dir)
		case len(docs) > 1:
			t.Errorf("package %s has its doc in %d files; keep one", dir, len(docs))
		case name == "main": // a program says what it is for; its promises are its parts'
		case testSupport[dir]: // runs where its test runs
		case strings.Count(doc, "\n")+1 < docLinesMin:
			t.Errorf("the doc of package %s has fewer than %d lines", dir, docLinesMin)
		case !promises.MatchString(doc):
			t.Errorf("the doc of package %s names neither an invariant nor a threading rule", dir)
		}
		if slices.Contains(vague, path.Base(dir)) || slices.Contains(vague, name) {
			t.Errorf("package %s: its name says nothing about what is inside", dir)
		}
	}
}

func TestLengths(t *testing.T) {
	for _, p := range tree(t) {
		for _, s := range p.sources {
			if s.test {
				continue
			}
			if n := fileSet.File(s.file.FileStart).LineCount(); n > fileLinesMax {
				t.Errorf("%s has %d lines; at most %d, split it by idea", s.path, n, fileLinesMax)
			}
			ast.Inspect(s.file, func(n ast.Node) bool {
				var body *ast.BlockStmt
				name := "a function literal"
				switch f := n.(type) {
				case *ast.FuncDecl:
					body, name = f.Body, f.Name.Name
				case *ast.FuncLit:
					body = f.Body
				}
				if body == nil {
					return true
				}
				first, last := fileSet.Position(n.Pos()).Line, fileSet.Position(n.End()).Line
				if last-first+1 > functionLinesMax {
					t.Errorf("%s:%d: %s has %d lines; at most %d", s.path, first, name, last-first+1, functionLinesMax)
				}
				return true
			})
		}
	}
}

// sleepers are test files that may call time.Sleep outside of a bubble, and why. A wait for something to happen is no reason:
// it is too short on a slow machine and too long on every other.
var sleepers = map[string]string{
	"runtime/host/rig_linux_test.go": "is the program of a child process that must hang until it is killed",
}

func TestNoSleepInTests(t *testing.T) {
	for _, p := range tree(t) {
		for _, s := range p.sources {
			if !s.test || slices.Contains(s.imports, "testing/synctest") {
				continue
			}
			sleeps := false
			ast.Inspect(s.file, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "time" && sel.Sel.Name == "Sleep" {
					sleeps = true
					if sleepers[s.path] == "" {
						t.Errorf("%s: a test sleeps; wait for what it waits for, or play it in a testing/synctest bubble", fileSet.Position(n.Pos()))
					}
				}
				return true
			})
			if !sleeps && sleepers[s.path] != "" {
				t.Errorf("%s does not sleep any more: remove it from the exceptions", s.path)
			}
		}
	}
	for name := range sleepers {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Errorf("exception for a file that is not there: %v", err)
		}
	}
}

// machinePaths are folders of machines on which this was written. They are joined here so that this file does not hold them.
var machinePaths = []string{"/wor" + "k/", "/roo" + "t/", "/tmp/bash" + "_jobs"}

// textBytesMax is how much of a file is searched; whatever is larger is no text that a person wrote.
const textBytesMax = 4 << 20

func TestNoMachinePaths(t *testing.T) {
	read := 0
	for _, name := range trackedFiles(t) {
		b, ok := text(t, name)
		if !ok {
			continue
		}
		read++
		for _, p := range machinePaths {
			if i := bytes.Index(b, []byte(p)); i >= 0 {
				t.Errorf("%s:%d holds the path %s of somebody's machine", name, bytes.Count(b[:i], []byte("\n"))+1, p)
			}
		}
	}
	if read < 100 {
		t.Errorf("only %d files were read: the tree is not where this test looks", read)
	}
}

// text is a file's content; false for what a person did not write, or has removed but not yet committed so.
func text(t *testing.T, name string) ([]byte, bool) {
	f, err := os.Open(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, textBytesMax))
	if err != nil {
		t.Fatal(err)
	}
	return b, bytes.IndexByte(b, 0) < 0
}

// trackedFiles asks git; a tree without it (an unpacked archive) holds nothing else than what was tracked.
func trackedFiles(t *testing.T) []string {
	cmd := exec.Command("git", "ls-files", "-z")
	cmd.Dir = root
	if out, err := cmd.Output(); err == nil && len(out) > 0 {
		return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	}
	var all []string
	err := walk(func(string) bool { return false }, func(name string) error {
		all = append(all, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
