package link

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestParseServers(t *testing.T) {
	for in, want := range map[string][]Server{
		"":                            nil,
		"a:1":                         {{QUIC: "a:1"}},
		"a:1 a:443/tcp":               {{"a:1", "a:443"}},
		"a:443/tcp b:1 a:1":           {{"a:1", "a:443"}, {QUIC: "b:1"}},
		"a:1 a:2 a:443/tcp a:444/tcp": {{"a:1", "a:443"}, {"a:2", "a:444"}},
		"a:1 a:1 a:9/tcp a:9/tcp":     {{"a:1", "a:9"}},
		"[::1]:1 [::1]:2/tcp":         {{"[::1]:1", "[::1]:2"}},
	} {
		got, err := ParseServers(strings.Fields(in))
		if err != nil || len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %+v, %v; want %+v", in, got, err, want)
		}
	}
	for _, bad := range []string{"a", "a:x", ":1", "a:0", "a:70000", "a/tcp", "a:1/udp"} {
		if _, err := ParseServers([]string{bad}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	var many []string
	for i := range 2 * ServersMax {
		many = append(many, fmt.Sprintf("h%d:1", i))
	}
	if got, err := ParseServers(many); err != nil || len(got) != ServersMax {
		t.Errorf("%d servers, %v", len(got), err)
	}
}
