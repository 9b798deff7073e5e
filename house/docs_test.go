package house

import (
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pages are the documents that name files, packages and tests of the tree in code quotes.
var pages = []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/rationale.md", "docs/dependencies.md", "docs/guest.md", "docs/operate.md"}

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	treePath = regexp.MustCompile(`^(api|bench|cmd|control|docs|drivers|edge|examples|fleet|house|jobspec|runtime|sim|wire)(/[a-z0-9_.]+)*$`)
	testName = regexp.MustCompile(`^Test[A-Z]\w*$`)
	target   = regexp.MustCompile(`\]\(([^):#]+)\)`)
)

// A document that names what is not there any more misleads more than one that says nothing.
func TestDocsNameWhatIsThere(t *testing.T) {
	tests := map[string]bool{}
	for _, p := range tree(t) {
		for _, s := range p.sources {
			for _, d := range s.file.Decls {
				if f, ok := d.(*ast.FuncDecl); ok && s.test {
					tests[f.Name.Name] = true
				}
			}
		}
	}
	for _, page := range pages {
		b, err := os.ReadFile(filepath.Join(root, page))
		if err != nil {
			t.Error(err)
			continue
		}
		text, named := string(b), 0
		for _, m := range quoted.FindAllStringSubmatch(text, -1) {
			switch word := m[1]; {
			case testName.MatchString(word):
				named++
				if !tests[word] {
					t.Errorf("%s names %s, and there is no such test", page, word)
				}
			case treePath.MatchString(word):
				named++
				exists(t, page, word)
			}
		}
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			named++
			exists(t, page, filepath.Join(filepath.Dir(page), m[1]))
		}
		if named == 0 && !strings.HasPrefix(page, "docs/operate") {
			t.Errorf("%s names nothing of the tree: this test reads it wrongly", page)
		}
	}
}

func exists(t *testing.T, page, name string) {
	if _, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err != nil {
		t.Errorf("%s names %s: %v", page, name, err)
	}
}
