package house

// testSupport are packages made for tests: any test may import them, and what ships may not. They have lines like all others.
var testSupport = map[string]bool{
	"examples/guests/build":    true,
	"drivers/fake":             true,
	"drivers/drivertest":       true,
	"drivers/drivertest/guest": true, "drivers/drivertest/program": true,
	"wire/linktest": true,
	"wire/memnet":   true,
}

// table is the house from the bottom to the roof.
var table = []line{
	// Words: nouns that any package may speak in.
	{"fleet", "", "", "the nouns import the standard library only, so that whoever speaks in them inherits nothing"},

	// Formats: pure readers and writers of bytes and text.
	{"wire/codec", "", "", "the primitives of every binary form stand below all of them"},
	{"jobspec", "fleet", "", "a job file becomes the nouns; drivers' own schemas are asked by its callers, so it stays below drivers"},
	{"wire/traffic", "wire/codec", "", "bytes by class are values; sessions say which bytes, links how many in all"},
	{"wire", "fleet wire/codec wire/traffic", "", "messages are made of nouns and primitives, and know no sockets"},
	{"wire/blob", "", "", "a store of bytes by digest does not know what they mean"},
	{"wire/patch", "", "", "coded forms of modules are bytes from bytes: stores, links and what a digest means stay above"},
	{"wire/trust", "", "", "who may speak to whom is decided from certificates alone"},
	{"runtime/module", "", "", "reading a Wasm header needs no engine, so the command line can refuse without one"},

	// Programs for tests, below what runs them.
	{"examples/hello", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/cat", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/eat", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/exit", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/files", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/panic", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/report", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/shout", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/spin", "", "", "a guest is a program of its own: it imports the standard library only"},
	{"examples/guests/build", "", "", "builds guests with the Go toolchain, by folder and not by import"},

	// Links.
	{"wire/link", "wire/traffic wire/trust", "", "the port of sessions to the network: a link knows who is at its other end, not how bytes travel"},
	{"wire/quicnet", "wire/link wire/trust", "", "one adapter of the link port; sole importer of QUIC"},
	{"wire/tlsnet", "wire/link wire/trust", "", "the other adapter of the link port, for paths without UDP; knows no QUIC"},
	{"wire/memnet", "", "wire/link wire/quicnet wire/trust", "a packet network in memory knows packets only; its tests run the real link over it"},
	{"wire/linktest", "wire/link wire/trust", "", "the conformance suite of links knows the port, not its adapters"},

	// How tasks run: below edge, and unaware of it.
	{"drivers/config", "", "", "schemas of config blocks are asked by job files, servers and devices alike"},
	{"drivers/driver", "", "", "the driver port is plain values, so that the core of a device may speak it"},
	{"drivers/tasklog", "", "", "log files are the protocol between writer and readers in different processes"},
	{"runtime/engine", "runtime/module", "", "the inside of a guest process; sole importer of wazero"},
	{"runtime/host", "drivers/tasklog", "", "the process that outlives the agent pumps logs; it starts guests as programs and never links the engine"},
	{"drivers/hosted", "drivers/driver runtime/host", "", "what drivers with tasks in the host process share"},
	{"drivers/rawexec", "drivers/config drivers/driver drivers/hosted runtime/host", "", "a config becomes a task of the host"},
	{"drivers/wasm", "drivers/config drivers/driver drivers/hosted runtime/engine runtime/host", "", "a config becomes the engine's Spec in a task of the host"},
	{"drivers/drivertest/program", "", "", "what the suite's program does, as a raw process and as a guest"},
	{"drivers/drivertest/guest", "drivers/drivertest/program", "", "the suite's program as a guest"},
	{"drivers/drivertest", "drivers/driver drivers/drivertest/program runtime/engine runtime/host", "", "plays host and guest process in the test binary itself"},
	{"drivers/fake", "drivers/config drivers/driver", "drivers/tasklog", "a scripted driver for tests and simulations keeps the port's promises without processes"},

	// The edge. Cores first.
	{"edge/task", "drivers/driver fleet", "", "a step machine speaks the driver port's values and runs nothing"},
	{"edge/alloc", "edge/task fleet wire", "", "an allocation is its tasks together; what is told of it is wire's"},
	{"edge/device", "drivers/config drivers/driver edge/alloc edge/task fleet wire", "", "the composed core of a device: schemas say which modules a task needs"},
	{"edge/statedb", "edge/device fleet wire wire/codec", "", "keeps what the core says to keep"},
	{"edge/wear", "fleet", "", "counts bytes by class and day; where they come from is its owner's business"},
	{"edge/logstore", "drivers/tasklog fleet", "", "keeps folders of log files; which tasks they are of, it is told"},
	{"edge/allocfs", "fleet", "", "looks at one folder of files; whose it is and who asks, it is told"},
	{"edge/artifact", "drivers/config fleet wire wire/blob wire/patch", "", "brings modules by digest into the blob store, in whatever form; the link is a port of its own"},
	{"edge/fingerprint", "fleet", "", "what a device is becomes attributes of a node"},
	{"edge/runner", "drivers/config drivers/driver drivers/tasklog edge/allocfs edge/device edge/logstore edge/task fleet wire", "runtime/host", "the shell around the core: drivers, folders, clock; it knows the driver port and no driver"},
	{"edge/reach", "wire/link wire/trust", "", "which server next, by which transport, is decided from outcomes alone"},
	{"edge/session", "drivers/driver drivers/tasklog edge/allocfs edge/reach fleet wire wire/codec wire/link wire/traffic wire/trust", "wire/quicnet wire/tlsnet", "the shell around the link; it reads logs and files and runs commands for the server, and knows neither runner nor QUIC"},
	{"edge/agent", "drivers/config drivers/driver drivers/rawexec drivers/wasm edge/artifact edge/device edge/fingerprint edge/logstore edge/runner edge/session edge/statedb edge/wear fleet runtime/host wire wire/blob wire/link wire/traffic wire/trust",
		"wire/quicnet", "the root of the edge: the only package that knows all of its parts"},

	// The API's words, for clients and server alike.
	{"api", "fleet", "", "a client of a region needs the nouns and this package, never the region's code"},

	// Control. State and log first, then cores, then shells.
	{"control/state", "fleet wire wire/codec", "", "rows are made of nouns and of what devices report; sole importer of the B-tree"},
	{"control/scheduler/feasible", "fleet", "", "rules and nodes are nouns; room and neighbours are not its business"},
	{"control/grant", "control/scheduler/feasible control/state fleet wire", "", "what is held of a node stands in rows; devices have rules like nodes"},
	{"control/command", "control/grant control/state fleet wire wire/codec", "", "what the log carries and what it does to the state"},
	{"control/broker", "control/state fleet", "", "decides from evaluations in a view which is next"},
	{"control/liveness", "control/command fleet", "", "decides link states, which it proposes as a command's rows"},
	{"control/plan", "control/command control/grant control/state fleet wire", "", "decides what of a plan fits; a plan is a command"},
	{"control/scheduler/rank", "control/state fleet", "", "orders nodes by the room in their rows"},
	{"control/scheduler/reconcile", "control/state fleet", "", "compares a job with its allocation rows"},
	{"control/scheduler/preempt", "fleet", "", "chooses among asks and priorities; rows are its caller's"},
	{"control/scheduler", "control/command control/grant control/scheduler/feasible control/scheduler/preempt control/scheduler/rank control/scheduler/reconcile control/state fleet wire wire/codec", "control/plan",
		"a view becomes a plan, which is a command; it has its own dump format"},
	{"control/drain", "control/command control/state fleet", "", "decides what leaves a draining node; its step is a command"},
	{"control/reap", "control/command control/state fleet", "", "decides what is old enough to be forgotten; its step is a command"},
	{"control/term", "control/broker control/command control/drain control/grant control/liveness control/plan control/reap control/scheduler/feasible control/state fleet", "control/scheduler",
		"the composed core of a leader; workers schedule elsewhere, so it does not know the scheduler"},
	{"control/desired", "control/state wire", "control/command", "the difference between a view and a device, shared by sessions and simulator"},
	{"control/consensus", "control/command control/state wire/link wire/trust", "wire/quicnet", "adapter of the log; sole importer of raft"},
	{"control/leader", "control/broker control/command control/state control/term fleet", "",
		"the goroutine around a term"},
	{"control/worker", "control/broker control/command control/leader control/scheduler control/term", "",
		"workers ask the leader's shell for work and give it plans"},
	{"control/session", "control/command control/desired control/state drivers/config fleet wire wire/link wire/traffic wire/trust", "wire/quicnet", "the region's end of the links; liveness is a port it is given"},
	{"control/modules", "control/command control/state fleet runtime/module wire wire/blob wire/patch", "", "refuses what cannot run before it catalogues it"},
	{"control/enroll", "control/command control/state fleet wire wire/link wire/trust", "wire/quicnet", "spends invites in the log and signs certificates"},
	{"control/metrics", "control/state fleet wire/link wire/traffic", "", "reads what is there; sole importer of the metrics library"},
	{"control/httpapi", "api control/command control/reap control/state drivers/config fleet jobspec runtime/module wire wire/traffic wire/trust", "",
		"decodes, asks a port or a view, encodes; the scheduler and the log are ports"},
	{"control/server", "api control/command control/consensus control/enroll control/httpapi control/leader control/liveness control/metrics control/modules control/reap control/scheduler control/session control/state control/term control/worker fleet wire/blob wire/link wire/quicnet wire/tlsnet wire/trust",
		"", "the root of the control side: the only package that knows all of its parts"},

	{"sim/devices", "edge/reach fleet wire wire/link wire/trust", "", "plays the device's end of the protocol; who it is and how bytes travel, it is given"},

	{"sim/ports", "", "", "ports for servers that are started again where they were; knows the kernel only"},

	// The roof.
	{"cmd/dunlin/config", "edge/fingerprint fleet wire/traffic", "", "a configuration is values; what they mean is the roots' business, but a fact that does not exist is refused with its line"},
	{"cmd/dunlin/cli", "api cmd/dunlin/config control/reap control/server drivers/config edge/agent edge/fingerprint fleet jobspec runtime/module sim/devices wire wire/blob wire/link wire/patch wire/quicnet wire/tlsnet wire/trust", "",
		"the command line starts both roots and is a client of the API; the build tag edgeonly leaves control/server out"},
	{"cmd/dunlin", "cmd/dunlin/cli runtime/engine runtime/host", "", "the three programs in the binary: command line, host, guest"},
	{"sim/region", "control/broker control/command control/desired control/grant control/liveness control/plan control/reap control/scheduler control/scheduler/reconcile control/state control/term drivers/driver edge/device edge/task fleet wire",
		"control/consensus control/leader control/session control/worker edge/agent wire/quicnet wire/trust",
		"the simulator drives the cores of both sides; its tests also play the shells in bubbles"},
	{"sim/identity", "", "api control/server edge/agent fleet sim/ports wire wire/link wire/quicnet wire/trust", "the life of an identity, with the real server and the real agent in one process, on the test's clocks"},
	{"sim/road", "", "api edge/agent edge/statedb fleet sim/ports", "knows the binary from outside; edge/agent for the words of its local status, edge/statedb for the files to damage and to read"},
	{"bench", "api drivers/driver edge/allocfs edge/session examples/guests/build fleet runtime/engine sim/ports wire wire/link wire/patch wire/quicnet wire/trust", "",
		"measures the shipped binary from outside; simulated devices speak the real protocol"},
	{"house", "", "", "looks at source text only"},
}

// owners says who may import which third party. Tools of tests are owned by nobody and allowed in every test.
var owners = []owner{
	{"github.com/agext/levenshtein", "jobspec", "distance between a misspelt name and the known ones"},
	{"github.com/coder/websocket", "api control/httpapi", "commands beside tasks travel between operator and region as the field has them"},
	{"github.com/creack/pty", "runtime/host", "terminals of commands beside tasks"},
	{"github.com/hashicorp/go-hclog", "control/consensus", "raft's logging interface, turned into slog where raft is"},
	{"github.com/hashicorp/hcl/v2", "jobspec cmd/dunlin/config", "the syntax of job files and configurations"},
	{"github.com/zclconf/go-cty", "jobspec cmd/dunlin/config", "the values of HCL expressions"},
	{"github.com/VictoriaMetrics/metrics", "control/metrics", "the format of metrics"},
	{"github.com/hashicorp/raft", "control/consensus", "the replicated log is one package's business; the rest knows bytes and order"},
	{"github.com/hashicorp/raft-boltdb/v2", "control/consensus", "raft's log on disk"},
	{"github.com/klauspost/compress", "wire/patch drivers/tasklog", "zstd: modules as dictionaries of their next versions, and rotated logs"},
	{"github.com/quic-go/quic-go", "wire/quicnet", "sessions know links, not QUIC"},
	{"golang.org/x/net", "wire/quicnet", "packets in batches, and from the address that was asked"},
	{"github.com/spf13/cobra", "cmd/dunlin/cli", "the command line"},
	{"github.com/spf13/pflag", "cmd/dunlin/cli", "cobra's flags"},
	{"github.com/tetratelabs/wazero", "runtime/engine", "only a guest process runs guest code: a busy guest stops the process it is in"},
	{"github.com/tidwall/btree", "control/state", "copy-on-write trees are the state's own business"},
	{"go.etcd.io/bbolt", "control/consensus", "raft-boltdb's options, whose type it is"},
	{"golang.org/x/term", "cmd/dunlin/cli", "an operator's terminal, passed through key by key"},
	{"golang.org/x/crypto/x509roots/fallback", "runtime/engine", "certificate authorities for guests on devices that have none"},
	{"golang.org/x/sys", "runtime/engine runtime/host edge/fingerprint edge/statedb wire/quicnet wire/tlsnet", "system calls that the standard library does not have"},

	{"github.com/google/go-cmp", "", "tests: differences in words"},
	{"go.uber.org/goleak", "", "tests: goroutines that nobody waited for"},
	{"golang.org/x/text", "", "tests: normal forms of Unicode text"},
	{"pgregory.net/rapid", "", "tests: properties against naive models"},
}
