package config

import (
	"strings"
	"testing"
	"time"

	"github.com/dunlin-edge/dunlin/fleet"
)

func TestParse(t *testing.T) {
	c, err := Parse("agent.hcl", []byte(`
name       = "kiosk-7"
datacenter = "berlin"
data_dir   = "/tmp/d"
bind_addr  = "0.0.0.0"
ports { http = 5000 }
server {
  enabled        = true
  num_schedulers = 2
  beat_interval  = "2s"
  lost_after     = "5s"
  job_gc_threshold = "2h"
}
client {
  enabled = true
  servers = ["10.0.0.1", "srv:99", "srv/tcp", "srv:8443/tcp"]
  meta    = { shop = "7" }
  reserved {
    memory = 64
    disk   = 100
  }
  disk_free_mb = 4000
  link {
    class  = "metered"
    budget = "50MB/month"
  }
  logs { quota = "64MB" }
  disable_remote_exec = true
  host_volume "certs" {
    path      = "/opt/certs/"
    read_only = true
  }
  host_volume "data" { path = "/var/data" }
}
plugin "raw_exec" { 
  config { enabled = true } 
}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.HTTP.Addr != "0.0.0.0:5000" || c.QUIC != "0.0.0.0:4647" || !c.ACL {
		t.Errorf("addresses: %+v", c)
	}
	if c.Server.GC.Job != 2*time.Hour || c.Server.GC.Eval != 0 {
		t.Errorf("gc %+v", c.Server.GC)
	}
	if c.Server.BeatEvery != 2*time.Second || c.Server.LostAfter != 5*time.Second || c.Server.Schedulers != 2 {
		t.Errorf("server: %+v", c.Server)
	}
	if got := strings.Join(c.Client.Servers, " "); got != "10.0.0.1:4647 srv:99 srv:443/tcp srv:8443/tcp" {
		t.Errorf("servers: %s", got)
	}
	if c.Client.Link != (Link{"metered", 50e6}) {
		t.Errorf("link: %+v", c.Client.Link)
	}
	if !c.Client.RawExec || c.Client.Meta["shop"] != "7" || c.Client.ReservedMemory != 64 || c.Client.ReservedDisk != 100 || c.Client.DiskFree != 4000 || c.Client.LogQuota != 64_000_000 || !c.Client.DisableExec {
		t.Errorf("client: %+v", c.Client)
	}
	if v := c.Client.HostVolumes; len(v) != 2 || v["certs"] != (fleet.HostVolume{Name: "certs", Path: "/opt/certs", ReadOnly: true}) || v["data"].ReadOnly {
		t.Errorf("volumes: %+v", v)
	}
}

func TestFallbackPort(t *testing.T) {
	for src, want := range map[string]Fallback{
		"":                      {},
		`bind_addr = "0.0.0.0"`: {Addr: "0.0.0.0:443"},
		"bind_addr = \"0.0.0.0\"\nports { tls = 0 }":                            {Required: true},
		"ports { tls = 8443 }":                                                  {Addr: "127.0.0.1:8443", Required: true},
		"bind_addr = \"::\"\nadvertise_tls = \"a.b:443\"\nports { tls = 8443 }": {Addr: "[::]:8443", Required: true, Advertise: "a.b:443"},
	} {
		c, err := Parse("agent.hcl", []byte(src+"\nserver { enabled = true }\n"))
		if err != nil || c.Fallback != want {
			t.Errorf("%q: %+v, %v; want %+v", src, c.Fallback, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for src, want := range map[string]string{
		"":                             "neither server nor client",
		"serer { }":                    "agent.hcl:1: Unsupported block type",
		"client {\n enabled = true\n}": "client.servers is empty",
		"server {\n enabled = true\n beat_interval = \"x\"\n}":                                                                               "server.beat_interval = \"x\" is not a duration",
		"server {\n enabled = true\n beat_interval = \"9s\"\n lost_after = \"5s\"\n}":                                                        "must be longer",
		"server {\n enabled = true\n num_schedulers = -1\n}":                                                                                 "num_schedulers is -1",
		"client {\n enabled = true\n link {\n class = \"cheap\"\n}\n}":                                                                       "agent.hcl:4: client.link.class is \"cheap\"; use metered or unmetered",
		"client {\n enabled = true\n link {\n budget = \"50MB/month\"\n}\n}":                                                                 "agent.hcl:4: client.link.budget is for class = \"metered\"",
		"client {\n enabled = true\n link {\n class = \"metered\"\n budget = \"50MB\"\n}\n}":                                                 "agent.hcl:5: client.link.budget: budget \"50MB\"",
		"server {\n enabled = true\n}\nports {\n http = 70000\n}":                                                                            "port 70000 is out of range",
		"client {\n enabled = true\n servers = [\"a\"]\n reserved {\n disk = -1\n}\n}":                                                       "client.reserved has cpu = 0, memory = 0, disk = -1",
		"client {\n enabled = true\n servers = [\"a\"]\n host_volume \"x\" {\n path = \"x\"\n}\n}":                                           "client.host_volume \"x\": path is \"x\"; write an absolute path",
		"client {\n enabled = true\n servers = [\"a\"]\n host_volume \"x\" {\n path = \"/x\"\n}\n host_volume \"x\" {\n path = \"/y\"\n}\n}": "stands there twice",
		"server {\n enabled = true\n}\nports {\n tls = -1\n}":                                                                                "ports.tls = -1 is out of range",
		"server {\n enabled = true\n}\nplugin \"docker\" {\n}":                                                                               "there is no plugin \"docker\"",
		"server {\n enabled = true\n}\nplugin \"raw_exec\" {\n config {\n enabled = true\n}\n}":                                              "this agent is no client",
		"client {\n enabled = true\n servers = [\"a\"]\n logs {\n quota = \"much\"\n}\n}":                                                    "client.logs.quota = \"much\"; write a size of at least 1 MB",
		"client {\n enabled = true\n servers = [\"a\"]\n logs {\n quota = \"9999999999GB\"\n}\n}":                                            "client.logs.quota",
		"client {\n enabled = true\n servers = [\"a\"]\n logs {\n quota = \"10KiB\"\n}\n}":                                                   "at least 1 MB",
	} {
		_, err := Parse("agent.hcl", []byte(src))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", src, err, want)
		}
	}
}

func TestOverrides(t *testing.T) {
	const head = "client {\n enabled = true\n servers = [\"a\"]\n memory_total_mb = 5\n fingerprint {\n  override = {\n"
	parse := func(lines string) (*Config, error) { return Parse("agent.hcl", []byte(head+lines+"\n}\n}\n}")) }
	c, err := parse(`"board.model" = "Kiosk 3"
"cpu.numcores" = 2
"link.metered" = true
"camera.names" = ""`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"board.model": "Kiosk 3", "cpu.numcores": "2", "link.metered": "true", "camera.names": ""}
	for k, v := range want {
		if got, ok := c.Client.Overrides[k]; !ok || got != v {
			t.Errorf("%s: got %q", k, got)
		}
	}
	for lines, want := range map[string]string{
		"\"board.model\" = \"x\"\n\"board.modle\" = \"y\"": "agent.hcl:8: client.fingerprint.override: there is no fact \"board.modle\"",
		"\"power.source\" = \"solar\"":                     "agent.hcl:7: client.fingerprint.override: power.source = \"solar\": use one of",
		"\"memory.totalbytes\" = \"1GiB\"":                 "agent.hcl:7: client.fingerprint.override: memory.totalbytes is also set",
		"\"board.model\" = [1]":                            "board.model must be a string",
		"\"board.model\" = null":                           "board.model must be a string",
		"\"board.model\" = \"a\"\n\"board.model\" = \"b\"": "agent.hcl:8: client.fingerprint.override: board.model stands twice",
		"\"board.model\" = x":                              "agent.hcl:7",
	} {
		if _, err := parse(lines); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", lines, err, want)
		}
	}
	if _, err := Parse("agent.hcl", []byte("client {\n enabled = true\n servers = [\"a\"]\n fingerprint {\n override = \"x\"\n}\n}")); err == nil || !strings.Contains(err.Error(), "agent.hcl:5") {
		t.Errorf("a text instead of a map: got %v", err)
	}
}

func TestModuleCache(t *testing.T) {
	for text, want := range map[string]int64{
		"512MB": 512_000_000, "2GiB": 2 << 30, "1.5 GB": 1_500_000_000, "20000KiB": 20_000 << 10, "16777216B": 16 << 20,
		"512": -1, "lots": -1, "-1GB": -1, "NaNGB": -1, "1e300GB": -1, "1MB": -1, "MB": -1,
	} {
		c, err := Parse("agent.hcl", []byte("client {\n enabled = true\n servers = [\"a\"]\n module_cache = \""+text+"\"\n}"))
		switch {
		case want < 0 && (err == nil || !strings.Contains(err.Error(), "client.module_cache")):
			t.Errorf("%s: %v", text, err)
		case want >= 0 && (err != nil || c.Client.ModuleCache != want):
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}

func TestLoopback(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "0.0.0.0:1": false, "10.0.0.1:1": false, "x": false} {
		if Loopback(addr) != want {
			t.Errorf("%s: got %v", addr, !want)
		}
	}
}
