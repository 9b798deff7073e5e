package house

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// line is what one package may import within the project, and why.
type line struct {
	pkg     string
	imports string // separated by spaces; each has an earlier line
	tests   string // what its tests may import besides that and all that lies beneath; test support is free
	why     string
}

// owner says who may import a third party's module outside of tests.
type owner struct {
	module   string
	packages string
	why      string
}

func TestImports(t *testing.T) {
	packages := tree(t)
	beneath := map[string]map[string]bool{} // package → everything it reaches by the lines above
	for _, l := range table {
		p := packages[l.pkg]
		switch {
		case beneath[l.pkg] != nil:
			t.Errorf("%s has two lines in the table", l.pkg)
			continue
		case p == nil:
			t.Errorf("the table's line for %s is stale: there is no such package; remove the line", l.pkg)
			continue
		case len(l.why) < 20:
			t.Errorf("%s: the table does not say why", l.pkg)
		}
		reach := map[string]bool{l.pkg: true}
		for dir := range strings.FieldsSeq(l.imports) {
			if beneath[dir] == nil {
				t.Errorf("%s may import %s by the table, but that has no line above it: the house has a direction", l.pkg, dir)
			}
			maps.Copy(reach, beneath[dir])
		}
		beneath[l.pkg] = reach
		checkShipped(t, l, p.imports(false))
		checkTests(t, l, p.imports(true), reach)
	}
	for dir := range packages {
		if beneath[dir] == nil {
			t.Errorf("package %s has no line in the table of house/table_test.go; add one, above the packages that import it, with its reason", dir)
		}
	}
}

func checkShipped(t *testing.T, l line, imports []string) {
	allowed := strings.Fields(l.imports)
	for _, dir := range allowed {
		if !slices.Contains(imports, module+"/"+dir) {
			t.Errorf("the table allows %s to import %s, and it does not: remove the edge", l.pkg, dir)
		}
	}
	for _, importPath := range imports {
		dir := ours(importPath)
		if dir != "" && !slices.Contains(allowed, dir) {
			t.Errorf("%s imports %s, which its line does not allow. The line says: %s", l.pkg, dir, l.why)
		}
		if testSupport[dir] && !testSupport[l.pkg] && !roof(l.pkg) {
			t.Errorf("%s imports %s, which is for tests", l.pkg, dir)
		}
		noCrossing(t, l.pkg, dir)
	}
}

func checkTests(t *testing.T, l line, imports []string, reach map[string]bool) {
	besides := strings.Fields(l.tests)
	for _, dir := range besides {
		if !slices.Contains(imports, module+"/"+dir) {
			t.Errorf("the table allows tests of %s to import %s, and they do not: remove the edge", l.pkg, dir)
		}
		if reach[dir] || testSupport[dir] {
			t.Errorf("tests of %s may import %s anyway: remove the edge", l.pkg, dir)
		}
	}
	for _, importPath := range imports {
		dir := ours(importPath)
		if dir != "" && !reach[dir] && !testSupport[dir] && !slices.Contains(besides, dir) {
			t.Errorf("tests of %s import %s, which neither its line allows nor lies beneath it", l.pkg, dir)
		}
		noCrossing(t, l.pkg, dir)
	}
}

// noCrossing holds whatever the table says: a server must build without a device's code and a device without a server's,
// and what both need to know is a message in wire or a noun in fleet.
func noCrossing(t *testing.T, from, to string) {
	control, edge := strings.HasPrefix(from, "control/"), strings.HasPrefix(from, "edge/")
	toControl, toEdge := strings.HasPrefix(to, "control/"), strings.HasPrefix(to, "edge/")
	if control && toEdge || edge && toControl {
		t.Errorf("%s imports %s: control and edge never import each other", from, to)
	}
	if strings.HasPrefix(from, "drivers/") && (toControl || toEdge) {
		t.Errorf("%s imports %s: drivers know neither control nor edge", from, to)
	}
}

func roof(dir string) bool {
	return dir == "bench" || strings.HasPrefix(dir, "sim/") || strings.HasPrefix(dir, "examples/")
}

func TestThirdParties(t *testing.T) {
	packages := tree(t)
	used := map[string]bool{}
	for dir, p := range packages {
		for _, test := range []bool{false, true} {
			for _, importPath := range p.imports(test) {
				if !foreign(importPath) {
					continue
				}
				o := ownerOf(importPath)
				if o == nil {
					t.Errorf("%s imports %s, which nobody owns: a dependency is bought, not collected; give it a line in owners and in docs/dependencies.md", dir, importPath)
					continue
				}
				used[o.module+" "+dir] = true
				if !test && !slices.Contains(strings.Fields(o.packages), dir) {
					t.Errorf("%s imports %s, which is for %s only: %s", dir, importPath, o.packages, o.why)
				}
			}
		}
	}
	for _, o := range owners {
		for dir := range strings.FieldsSeq(o.packages) {
			if !used[o.module+" "+dir] {
				t.Errorf("%s does not import %s any more: remove it from owners", dir, o.module)
			}
		}
	}
}

// ownerOf finds the line with the longest module path that covers an import path.
func ownerOf(importPath string) *owner {
	var best *owner
	for i, o := range owners {
		covers := importPath == o.module || strings.HasPrefix(importPath, o.module+"/")
		if covers && (best == nil || len(o.module) > len(best.module)) {
			best = &owners[i]
		}
	}
	return best
}
