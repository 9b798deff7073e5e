package jobspec

import (
	"strings"
	"testing"
)

func TestParseNodePool(t *testing.T) {
	for src, want := range map[string]string{
		``:                                       "the file has no node pool",
		`node_pool {}`:                           "node_pool has no name",
		`node_pool "a" {} node_pool "b"`:         "missing newline",
		"node_pool \"a\" {}\nnode_pool \"b\" {}": "a second node pool",
		`job "a" {}`:                             `unknown block "job" at the top`,
		`x = 1`:                                  `attribute "x" stands outside`,
		"node_pool \"a\" {\n  descripton = \"x\"\n}":                          `did you mean "description"?`,
		"node_pool \"a\" {\n  scheduler_config {\n    preempt = true\n  }\n}": `unknown attribute "preempt"`,
	} {
		p, diags := ParseNodePool("pool.hcl", []byte(src))
		if p != nil || !strings.Contains(diags.String(), want) {
			t.Errorf("%q: %+v, %s; want %s", src, p, diags, want)
		}
	}
	p, diags := ParseNodePool("pool.hcl", []byte(`node_pool "shops" {
  description = "in shops"
  meta { owner = "ops" }
  scheduler_config {
    scheduler_algorithm             = "spread"
    memory_oversubscription_enabled = false
  }
}`))
	if diags.HasErrors() || p.Name != "shops" || p.Meta["owner"] != "ops" || p.SchedulerConfiguration.SchedulerAlgorithm != "spread" ||
		*p.SchedulerConfiguration.MemoryOversubscriptionEnabled {
		t.Errorf("%+v, %s", p, diags)
	}
}
