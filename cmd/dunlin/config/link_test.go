package config

import (
	"fmt"
	"strings"
	"testing"
)

// TestTheClassOfALinkIsAFact: link.metered follows the class, and a word to the contrary is refused.
func TestTheClassOfALinkIsAFact(t *testing.T) {
	for _, c := range []struct {
		link, override string
		want, wrong    string // want: "" when the fact is not said
	}{
		{"", "", "", ""},
		{`class = "metered"`, "", "true", ""},
		{`class = "unmetered"`, "", "false", ""},
		{"", `"link.metered" = true`, "true", ""},
		{`class = "metered"`, `"link.metered" = true`, "true", ""},
		{`class = "metered"`, `"board.model" = "x"`, "true", ""},
		{`class = "metered"`, `"link.metered" = false`, "", `client.link.class is "metered", and client.fingerprint.override says link.metered = "false"`},
		{`class = "unmetered"`, `"link.metered" = ""`, "", `says link.metered = ""`},
	} {
		src := fmt.Sprintf("client {\n enabled = true\n servers = [\"a\"]\n link {\n%s\n}\n fingerprint {\n override = {\n%s\n}\n}\n}", c.link, c.override)
		got, err := Parse("agent.hcl", []byte(src))
		if c.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%s, %s: %v; want %s", c.link, c.override, err, c.wrong)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s, %s: %v", c.link, c.override, err)
			continue
		}
		if fact := got.Client.Overrides["link.metered"]; fact != c.want {
			t.Errorf("%s, %s: the fact is %q, want %q", c.link, c.override, fact, c.want)
		}
	}
}
