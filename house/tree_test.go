package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// root is the top of the tree as seen from this package; module is its import path.
const (
	root   = ".."
	module = "github.com/dunlin-edge/dunlin"
)

// source is one parsed Go file.
type source struct {
	path    string // relative to the top, with slashes
	test    bool
	file    *ast.File
	imports []string
}

// pkg is one folder with Go files, all build tags together.
type pkg struct {
	dir     string
	sources []source
}

// imports lists what the package's files import, of its tests or of the rest.
func (p *pkg) imports(test bool) []string {
	var all []string
	for _, s := range p.sources {
		if s.test == test {
			all = append(all, s.imports...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ours is the folder of a package of this module, "" for any other import path.
func ours(importPath string) string {
	dir, ok := strings.CutPrefix(importPath, module+"/")
	if !ok {
		return ""
	}
	return dir
}

// foreign tells a third party's import path from ours and the standard library's, whose first part has no dot.
func foreign(importPath string) bool {
	first, _, _ := strings.Cut(importPath, "/")
	return strings.Contains(first, ".") && ours(importPath) == ""
}

var (
	fileSet = token.NewFileSet()
	load    = sync.OnceValues(parseTree)
)

// tree is every package of the module by its folder.
func tree(t *testing.T) map[string]*pkg {
	t.Helper()
	packages, err := load()
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) < 20 {
		t.Fatalf("only %d packages were found: the tree is not where this test looks", len(packages))
	}
	return packages
}

func parseTree() (map[string]*pkg, error) {
	packages := map[string]*pkg{}
	err := walk(notOurs, func(name string) error {
		if path.Ext(name) != ".go" {
			return nil
		}
		f, err := parser.ParseFile(fileSet, filepath.Join(root, name), nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		s := source{path: name, test: strings.HasSuffix(name, "_test.go"), file: f}
		for _, i := range f.Imports {
			importPath, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, importPath)
		}
		dir := path.Dir(name)
		if packages[dir] == nil {
			packages[dir] = &pkg{dir: dir}
		}
		packages[dir].sources = append(packages[dir].sources, s)
		return nil
	})
	return packages, err
}

// notOurs is true for folders whose Go files are not packages of this module: test data, and modules of their own.
func notOurs(dir string) bool {
	_, err := os.Stat(filepath.Join(root, dir, "go.mod"))
	return err == nil || path.Base(dir) == "testdata"
}

// walk visits every file but those in hidden folders (.ci is looked at) and in folders to skip.
func walk(skip func(dir string) bool, visit func(name string) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		switch {
		case d.Type().IsRegular():
			return visit(name)
		case !d.IsDir() || name == "." || name == ".ci":
			return nil
		case strings.HasPrefix(d.Name(), ".") || skip(name):
			return fs.SkipDir
		}
		return nil
	})
}
