// Package config reads the configuration of an agent: what `dunlin agent
// -config FILE` is given, and what `dunlin join` writes.
//
// The one idea: a file is decoded strictly, defaults are filled in one place
// ([Config.finish]), and what comes out needs no further interpretation:
// addresses are whole, durations are durations, paths are absolute.
//
// Invariants: an unknown or ill-typed setting is an error with file and line;
// nothing here opens a socket or makes a folder.
//
// Threading: values; nothing is synchronised.
package config

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/gohcl"
	"github.com/hashicorp/hcl/v2/hclparse"

	"github.com/dunlin-edge/dunlin/edge/fingerprint"
	"github.com/dunlin-edge/dunlin/fleet"
)

// Defaults and limits of an agent.
const (
	DefaultHTTPPort = 4646
	DefaultQUICPort = 4647
	DefaultTLSPort  = 443 // what filters let through
	DefaultDataDir  = "/var/lib/dunlin"
	FileBytesMax    = 1 << 20
	SchedulersMax   = 128
	ModuleCacheMin  = 16 << 20 // bytes
	LogQuotaMin     = 1e6      // less than that holds no log worth reading
)

// Config is a whole agent: a server, a device, or both.
type Config struct {
	Name       string
	Region     string
	Datacenter string
	DataDir    string // absolute
	LogLevel   string // debug, info, warn, error
	LogJSON    bool

	HTTP HTTP
	QUIC string // host:port of the UDP socket a server listens on
	// TLS over TCP for devices whose UDP is filtered; empty: not served.
	Fallback Fallback
	// Advertise is host:port under which devices reach this server; empty: the
	// address of the socket, or the machine's.
	Advertise string

	TLS    *TLS // nil: a server makes its own CA, a device has joined
	ACL    bool // false only when written out
	Server *Server
	Client *Client
}

// HTTP is where the API is served.
type HTTP struct{ Addr string } // host:port

// Fallback is where a server serves its devices over TLS on TCP.
type Fallback struct {
	Addr      string // host:port; empty: nowhere
	Required  bool   // the configuration names the port: a server that cannot have it does not start
	Advertise string // host:port for devices; empty: the host of Advertise with the port of Addr
}

// TLS names files brought by the operator.
type TLS struct{ CA, Cert, Key string }

// Server is the control side.
type Server struct {
	Schedulers int           // 0: one per core
	BeatEvery  time.Duration // told to devices
	LostAfter  time.Duration
	MaxLost    int // percent that may be lost at once before replacements are held; 100: any number; 0: 20
	GC         GC
}

// GC is how long what has ended is remembered; 0: the default.
type GC struct{ Interval, Eval, BatchEval, Job, Node time.Duration }

// Client is the edge side.
type Client struct {
	Servers        []string // host:port for QUIC, host:port/tcp for TLS over TCP
	Meta           map[string]string
	NodeClass      string
	NodePool       string
	RawExec        bool
	ReservedPorts  string // port numbers and ranges: "22,8500-8600"
	MinDynamicPort int    // 0: the default, here and below
	MaxDynamicPort int
	ReservedCPU    int64 // MHz
	ReservedMemory int64 // MiB
	ReservedDisk   int64 // MiB
	ModuleCache    int64 // bytes; 0: by the disk
	CPUTotal       int64 // MHz; overrides the probe
	MemoryTotal    int64 // MiB; overrides the probe
	DiskFree       int64 // MiB; overrides the probe
	Overrides      fingerprint.Overrides
	Link           Link
	DisableExec    bool                        // operators run no commands beside tasks here
	HostVolumes    map[string]fleet.HostVolume // folders that tasks may mount
	Devices        []fleet.NodeDeviceResource  // that allocations hold alone, beside those that are found
	LogQuota       int64                       // bytes of all that tasks printed; 0: the default
}

type file struct {
	Name       string `hcl:"name,optional"`
	Region     string `hcl:"region,optional"`
	Datacenter string `hcl:"datacenter,optional"`
	DataDir    string `hcl:"data_dir,optional"`
	LogLevel   string `hcl:"log_level,optional"`
	LogJSON    bool   `hcl:"log_json,optional"`
	BindAddr   string `hcl:"bind_addr,optional"`
	Ports      *struct {
		HTTP int  `hcl:"http,optional"`
		QUIC int  `hcl:"quic,optional"`
		TLS  *int `hcl:"tls,optional"`
	} `hcl:"ports,block"`
	Advertise string `hcl:"advertise,optional"`
	AdvertTLS string `hcl:"advertise_tls,optional"`
	TLS       *struct {
		CA   string `hcl:"ca_file"`
		Cert string `hcl:"cert_file"`
		Key  string `hcl:"key_file"`
	} `hcl:"tls,block"`
	ACL *struct {
		Enabled bool `hcl:"enabled"`
	} `hcl:"acl,block"`
	Server *struct {
		Enabled    bool   `hcl:"enabled,optional"`
		Schedulers int    `hcl:"num_schedulers,optional"`
		BeatEvery  string `hcl:"beat_interval,optional"`
		LostAfter  string `hcl:"lost_after,optional"`
		MaxLost    int    `hcl:"max_lost,optional"`
		GCEvery    string `hcl:"job_gc_interval,optional"`
		GCEval     string `hcl:"eval_gc_threshold,optional"`
		GCBatch    string `hcl:"batch_eval_gc_threshold,optional"`
		GCJob      string `hcl:"job_gc_threshold,optional"`
		GCNode     string `hcl:"node_gc_threshold,optional"`
	} `hcl:"server,block"`
	Client *struct {
		Enabled   bool              `hcl:"enabled,optional"`
		Servers   []string          `hcl:"servers,optional"`
		Meta      map[string]string `hcl:"meta,optional"`
		NodeClass string            `hcl:"node_class,optional"`
		Cache     string            `hcl:"module_cache,optional"`
		NodePool  string            `hcl:"node_pool,optional"`
		NoExec    bool              `hcl:"disable_remote_exec,optional"`
		CPU       int64             `hcl:"cpu_total_compute,optional"`
		Memory    int64             `hcl:"memory_total_mb,optional"`
		Disk      int64             `hcl:"disk_free_mb,optional"`
		Reserved  *struct {
			CPU    int64  `hcl:"cpu,optional"`
			Memory int64  `hcl:"memory,optional"`
			Disk   int64  `hcl:"disk,optional"`
			Ports  string `hcl:"reserved_ports,optional"`
		} `hcl:"reserved,block"`
		MinPort     int `hcl:"min_dynamic_port,optional"`
		MaxPort     int `hcl:"max_dynamic_port,optional"`
		Fingerprint *struct {
			Override hcl.Expression `hcl:"override,optional"`
		} `hcl:"fingerprint,block"`
		Link    *linkFile    `hcl:"link,block"`
		Volumes []volumeFile `hcl:"host_volume,block"`
		Devices []deviceFile `hcl:"device,block"`
		Logs    *struct {
			Quota string `hcl:"quota,optional"`
		} `hcl:"logs,block"`
	} `hcl:"client,block"`
	Plugins []struct {
		Name   string `hcl:"name,label"`
		Config *struct {
			Enabled bool `hcl:"enabled,optional"`
		} `hcl:"config,block"`
	} `hcl:"plugin,block"`
}

// Load reads a configuration file.
func Load(path string) (*Config, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read the agent's configuration: %w", err)
	}
	if info.Size() > FileBytesMax {
		return nil, fmt.Errorf("%s has %d bytes; a configuration has at most %d", path, info.Size(), FileBytesMax)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the agent's configuration: %w", err)
	}
	return Parse(path, src)
}

// Parse decodes a configuration; the name appears in errors.
func Parse(name string, src []byte) (*Config, error) {
	parsed, diags := hclparse.NewParser().ParseHCL(src, name)
	var f file
	if !diags.HasErrors() {
		diags = append(diags, gohcl.DecodeBody(parsed.Body, nil, &f)...)
	}
	if diags.HasErrors() {
		return nil, diagnostics(diags)
	}
	return f.config(name)
}

func diagnostics(diags hcl.Diagnostics) error {
	var out []error
	for _, d := range diags {
		if d.Subject != nil {
			out = append(out, fmt.Errorf("%s:%d: %s: %s", d.Subject.Filename, d.Subject.Start.Line, d.Summary, d.Detail))
		} else {
			out = append(out, errors.New(d.Error()))
		}
	}
	return errors.Join(out...)
}

func (f *file) config(name string) (*Config, error) {
	c := &Config{
		Name: f.Name, Region: f.Region, Datacenter: f.Datacenter, DataDir: f.DataDir,
		LogLevel: f.LogLevel, LogJSON: f.LogJSON, Advertise: f.Advertise, ACL: f.ACL == nil || f.ACL.Enabled,
	}
	host := f.BindAddr
	if host == "" {
		host = "127.0.0.1"
	}
	httpPort, quicPort := DefaultHTTPPort, DefaultQUICPort
	if f.Ports != nil {
		httpPort, quicPort = or(f.Ports.HTTP, httpPort), or(f.Ports.QUIC, quicPort)
	}
	for _, p := range []int{httpPort, quicPort} {
		if p < 1 || p > 65535 {
			return nil, fmt.Errorf("%s: port %d is out of range; use 1 to 65535", name, p)
		}
	}
	c.HTTP.Addr = net.JoinHostPort(host, strconv.Itoa(httpPort))
	c.QUIC = net.JoinHostPort(host, strconv.Itoa(quicPort))
	if err := f.fallback(name, host, c); err != nil {
		return nil, err
	}
	if f.TLS != nil {
		c.TLS = &TLS{CA: f.TLS.CA, Cert: f.TLS.Cert, Key: f.TLS.Key}
	}
	if err := f.server(name, c); err != nil {
		return nil, err
	}
	if err := f.client(name, c); err != nil {
		return nil, err
	}
	if c.Server == nil && c.Client == nil {
		return nil, fmt.Errorf("%s: neither server nor client is enabled; write server { enabled = true } or client { enabled = true }", name)
	}
	return c, c.finish()
}

// fallback: by default a server that others can reach serves TLS too; on loopback nothing filters.
func (f *file) fallback(name, host string, c *Config) error {
	port := DefaultTLSPort
	if f.Ports != nil && f.Ports.TLS != nil {
		port, c.Fallback.Required = *f.Ports.TLS, true
	} else if Loopback(net.JoinHostPort(host, "0")) {
		return nil
	}
	if port < 0 || port > 65535 {
		return fmt.Errorf("%s: ports.tls = %d is out of range; use 1 to 65535, or 0 to serve no TLS over TCP", name, port)
	}
	if port > 0 {
		c.Fallback.Addr, c.Fallback.Advertise = net.JoinHostPort(host, strconv.Itoa(port)), f.AdvertTLS
	}
	return nil
}

func (f *file) server(name string, c *Config) error {
	if f.Server == nil || !f.Server.Enabled {
		return nil
	}
	c.Server = &Server{Schedulers: f.Server.Schedulers, MaxLost: f.Server.MaxLost}
	if n := f.Server.MaxLost; n < 0 || n > 100 {
		return fmt.Errorf("%s: server.max_lost is %d; use 1 to 100 (percent), or leave it out for 20", name, n)
	}
	if n := f.Server.Schedulers; n < 0 || n > SchedulersMax {
		return fmt.Errorf("%s: server.num_schedulers is %d; use 1 to %d, or leave it out for one per core", name, n, SchedulersMax)
	}
	for _, d := range []struct {
		key, value string
		to         *time.Duration
	}{
		{"beat_interval", f.Server.BeatEvery, &c.Server.BeatEvery}, {"lost_after", f.Server.LostAfter, &c.Server.LostAfter},
		{"job_gc_interval", f.Server.GCEvery, &c.Server.GC.Interval}, {"eval_gc_threshold", f.Server.GCEval, &c.Server.GC.Eval},
		{"batch_eval_gc_threshold", f.Server.GCBatch, &c.Server.GC.BatchEval}, {"job_gc_threshold", f.Server.GCJob, &c.Server.GC.Job},
		{"node_gc_threshold", f.Server.GCNode, &c.Server.GC.Node},
	} {
		if d.value == "" {
			continue
		}
		v, err := time.ParseDuration(d.value)
		if err != nil || v <= 0 {
			return fmt.Errorf("%s: server.%s = %q is not a duration; write for example \"30s\"", name, d.key, d.value)
		}
		*d.to = v
	}
	if c.Server.LostAfter != 0 && c.Server.LostAfter <= c.Server.BeatEvery {
		return fmt.Errorf("%s: server.lost_after (%s) must be longer than beat_interval (%s)", name, c.Server.LostAfter, c.Server.BeatEvery)
	}
	return nil
}

func (f *file) client(name string, c *Config) error {
	rawExec := false
	for _, p := range f.Plugins {
		switch p.Name {
		case "raw_exec":
			rawExec = p.Config != nil && p.Config.Enabled
		default:
			return fmt.Errorf("%s: there is no plugin %q; the only one with settings is raw_exec", name, p.Name)
		}
	}
	if f.Client == nil || !f.Client.Enabled {
		if rawExec {
			return fmt.Errorf("%s: plugin raw_exec is enabled, but this agent is no client; write client { enabled = true }", name)
		}
		return nil
	}
	c.Client = &Client{
		Servers: f.Client.Servers, Meta: f.Client.Meta, NodeClass: f.Client.NodeClass, NodePool: f.Client.NodePool, RawExec: rawExec,
		CPUTotal: f.Client.CPU, MemoryTotal: f.Client.Memory, DiskFree: f.Client.Disk, DisableExec: f.Client.NoExec,
	}
	if err := fleet.CheckPoolOfNode(f.Client.NodePool); err != nil {
		return fmt.Errorf("%s: client { node_pool }: %w", name, err)
	}
	var err error
	if c.Client.Overrides, err = f.overrides(); err != nil {
		return err
	}
	if c.Client.HostVolumes, err = hostVolumes(name, f.Client.Volumes); err != nil {
		return err
	}
	if c.Client.Devices, err = devices(name, f.Client.Devices); err != nil {
		return err
	}
	if f.Client.Cache != "" {
		n, err := parseBytes(f.Client.Cache)
		if err == nil && n < ModuleCacheMin {
			err = fmt.Errorf("%d bytes are fewer than %d, which a few modules and their updates need", n, ModuleCacheMin)
		}
		if err != nil {
			return fmt.Errorf("%s: client.module_cache: %w", name, err)
		}
		c.Client.ModuleCache = n
	}
	if r := f.Client.Reserved; r != nil {
		if min(r.CPU, r.Memory, r.Disk) < 0 {
			return fmt.Errorf("%s: client.reserved has cpu = %d, memory = %d, disk = %d; use 0 or more (MHz and MiB)", name, r.CPU, r.Memory, r.Disk)
		}
		c.Client.ReservedCPU, c.Client.ReservedMemory, c.Client.ReservedDisk = r.CPU, r.Memory, r.Disk
		c.Client.ReservedPorts = r.Ports
	}
	if err := f.ports(name, c.Client); err != nil {
		return err
	}
	if err := f.Client.Link.link(name, &c.Client.Link); err != nil {
		return err
	}
	if err := c.Client.sayMetered(name); err != nil {
		return err
	}
	if l := f.Client.Logs; l != nil && l.Quota != "" {
		n, err := parseBytes(l.Quota)
		if err != nil || n < LogQuotaMin {
			return fmt.Errorf("%s: client.logs.quota = %q; write a size of at least %d MB, for example \"64MB\" or \"1GB\"", name, l.Quota, int64(LogQuotaMin/1e6))
		}
		c.Client.LogQuota = n
	}
	for i, s := range c.Client.Servers {
		plain, isTLS := strings.CutSuffix(s, "/tcp")
		port, suffix := DefaultQUICPort, ""
		if isTLS {
			port, suffix = DefaultTLSPort, "/tcp"
		}
		if _, _, err := net.SplitHostPort(plain); err != nil {
			c.Client.Servers[i] = net.JoinHostPort(plain, strconv.Itoa(port)) + suffix
		}
	}
	if len(c.Client.Servers) == 0 && c.Server == nil {
		return fmt.Errorf("%s: client.servers is empty; name at least one server as \"host:%d\"", name, DefaultQUICPort)
	}
	return nil
}

// ports is which port numbers the device gives out.
func (f *file) ports(name string, c *Client) error {
	c.MinDynamicPort, c.MaxDynamicPort = f.Client.MinPort, f.Client.MaxPort
	from, to := or(c.MinDynamicPort, fleet.MinDynamicPort), or(c.MaxDynamicPort, fleet.MaxDynamicPort)
	if from < 1 || to > 65535 || from > to {
		return fmt.Errorf("%s: client.min_dynamic_port = %d and max_dynamic_port = %d are no range of ports; use 1 to 65535 (%d and %d when left out)",
			name, from, to, fleet.MinDynamicPort, fleet.MaxDynamicPort)
	}
	if _, err := fleet.ParsePorts(c.ReservedPorts); err != nil {
		return fmt.Errorf("%s: client.reserved.reserved_ports: %w", name, err)
	}
	return nil
}

// finish fills defaults and checks what all ways to a Config share.
func (c *Config) finish() error {
	if c.Region == "" {
		c.Region = "global"
	}
	if c.Datacenter == "" {
		c.Datacenter = "dc1"
	}
	if c.DataDir == "" {
		c.DataDir = DefaultDataDir
	}
	if c.LogLevel == "" {
		c.LogLevel = "info"
	}
	if c.Name == "" {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("the machine has no host name (%w); set name in the configuration", err)
		}
		c.Name = host
	}
	abs, err := filepath.Abs(c.DataDir)
	if err != nil {
		return fmt.Errorf("data_dir %q: %w", c.DataDir, err)
	}
	c.DataDir = abs
	return nil
}

// Dev is the configuration of `dunlin agent -dev`: server and device in one
// process, on loopback, in the given folder.
func Dev(dataDir string) (*Config, error) {
	c := &Config{
		DataDir: dataDir, LogLevel: "warn", ACL: true,
		HTTP:   HTTP{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(DefaultHTTPPort))},
		QUIC:   net.JoinHostPort("127.0.0.1", strconv.Itoa(DefaultQUICPort)),
		Server: &Server{}, Client: &Client{RawExec: true},
	}
	return c, c.finish()
}

// Loopback reports whether an address is reachable from this machine alone.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func or(v, def int) int {
	if v == 0 {
		return def
	}
	return v
}
