package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dunlin-edge/dunlin/drivers/config"
	"github.com/dunlin-edge/dunlin/drivers/driver"
	"github.com/dunlin-edge/dunlin/drivers/fake"
	"github.com/dunlin-edge/dunlin/drivers/tasklog"
	"github.com/dunlin-edge/dunlin/edge/allocfs"
	"github.com/dunlin-edge/dunlin/edge/device"
	"github.com/dunlin-edge/dunlin/edge/logstore"
	"github.com/dunlin-edge/dunlin/edge/runner"
	"github.com/dunlin-edge/dunlin/edge/task"
	"github.com/dunlin-edge/dunlin/fleet"
	"github.com/dunlin-edge/dunlin/runtime/host"
	"github.com/dunlin-edge/dunlin/wire"
)

func TestHostDiedIsTheHostsWord(t *testing.T) {
	if task.HostDied != host.HostDied {
		t.Fatalf("the machine waits for %q and the host says %q", task.HostDied, host.HostDied)
	}
}

// disk is a Store in memory that can refuse.
type disk struct {
	mu      sync.Mutex
	state   device.State
	refuses bool
	saves   int
}

func (d *disk) Save(p device.Persist) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.refuses {
		return errors.New("no space left on device")
	}
	d.saves++
	d.state.Facts = p.Facts
	d.state.Jobs = append(d.state.Jobs, p.Jobs...)
	for _, r := range p.Allocs {
		d.state.Allocs = slices.DeleteFunc(d.state.Allocs, func(o device.Record) bool { return o.Desired.ID == r.Desired.ID })
		d.state.Allocs = append(d.state.Allocs, r)
	}
	return nil
}

func (d *disk) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.saves
}

func (d *disk) refuse(yes bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refuses = yes
}

// noModules is a cache for tasks that need none.
type noModules struct{}

func (noModules) Fetch(context.Context, config.ModuleRef, []string) error {
	return errors.New("there are no modules")
}
func (noModules) Path(string) (string, bool) { return "", false }
func (noModules) Pin([]string)               { /* nothing to keep */ }
func (noModules) Digests() []string          { return nil }

// spy notes what the fake driver is asked to start.
type spy struct {
	*fake.Driver
	mu     sync.Mutex
	starts []driver.Task
	execs  []driver.Handle
}

func (s *spy) Start(ctx context.Context, t driver.Task) (driver.Handle, error) {
	s.mu.Lock()
	s.starts = append(s.starts, t)
	s.mu.Unlock()
	return s.Driver.Start(ctx, t)
}

func (s *spy) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.starts)
}

// rig is a device without a network.
type rig struct {
	t        *testing.T
	dir      string
	disk     *disk
	tasks    *fake.Store
	spy      *spy
	runner   *runner.Runner
	stop     context.CancelFunc
	done     chan error
	onExit   bool
	quota    int64              // of logs
	wasm     driver.Driver      // nil: none
	replaces *wire.DesiredAlloc // sent with what is wanted next
	now      func() time.Time
	volumes  map[string]fleet.HostVolume
	exceeds  bool // what is wanted next may take up to its memory_max
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, dir: t.TempDir(), disk: &disk{}, tasks: fake.NewStore()}
	r.spy = &spy{Driver: fake.New(fake.Options{Store: r.tasks, OpenLog: func(task driver.Task, stream string) (io.WriteCloser, error) {
		return tasklog.NewWriter(tasklog.Options{Dir: task.LogDir, Task: task.Name, Stream: stream, MaxFiles: task.LogMaxFiles, MaxFileBytes: task.LogMaxFileBytes})
	}})}
	return r
}

func (r *rig) start() {
	node := &fleet.Node{ID: "n1", Name: "shop-7", Datacenter: "berlin", Meta: map[string]string{"floor": "2"}, HostVolumes: r.volumes}
	logs, err := logstore.Open(r.dir, r.quota)
	if err != nil {
		r.t.Fatal(err)
	}
	drivers, modules := map[string]driver.Driver{"fake": r.spy}, runner.Modules(noModules{})
	if r.wasm != nil {
		drivers["wasm"], modules = r.wasm, allModules{}
	}
	r.runner = runner.New(runner.Options{
		DataDir: r.dir, State: r.disk.state, Store: r.disk, Modules: modules, Logs: logs,
		Drivers:  drivers,
		Settings: map[string]runner.Setting{"fake": {TaskDir: "/local", Env: map[string]string{"PATH": "/bin"}}},
		Node:     func() *fleet.Node { return node }, Region: "eu", Now: r.now, StopTasksOnExit: r.onExit, Log: slog.New(slog.DiscardHandler),
	})
	ctx, stop := context.WithCancel(context.Background())
	r.stop, r.done = stop, make(chan error, 1)
	go func() { r.done <- r.runner.Run(ctx) }()
}

func (r *rig) end() {
	r.t.Helper()
	r.stop()
	if err := <-r.done; err != nil {
		r.t.Fatal(err)
	}
}

// want sends a desired state with one allocation of a job with one task.
func (r *rig) want(id byte, change func(*fleet.Job, *fleet.Task)) (wire.Generation, error) {
	r.t.Helper()
	j := &fleet.Job{ID: "web", Type: "batch", Meta: map[string]string{"k": "job", "only-job": "x"}, TaskGroups: []fleet.TaskGroup{{
		Name: "g", Meta: map[string]string{"k": "group"}, RestartPolicy: &fleet.RestartPolicy{Attempts: fleet.Ptr(0)},
		Tasks: []fleet.Task{{Name: "main", Driver: "fake"}},
	}}}
	change(j, &j.TaskGroups[0].Tasks[0])
	key := wire.JobKey{Namespace: "default", ID: "web", Version: uint64(id)}
	allocs := []wire.DesiredAlloc{{ID: fleet.UUID{id}, Job: key, Group: "g", Index: 3, Exceeds: r.exceeds}}
	if r.replaces != nil {
		allocs = append(allocs, *r.replaces)
	}
	return r.runner.Desired(r.t.Context(), &wire.Desired{
		RegionID: fleet.UUID{1}, Gen: wire.Generation{Epoch: 1, N: uint64(id)}, Jobs: []wire.JobSpec{{Key: key, JSON: fleet.CanonicalBytes(j)}},
		Allocs: allocs,
	})
}

func (r *rig) status(id byte) device.AllocView {
	r.t.Helper()
	v, err := r.runner.View(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, a := range v.Allocs {
		if a.ID == (fleet.UUID{id}) {
			return a
		}
	}
	r.t.Fatalf("allocation %d is absent", id)
	return device.AllocView{}
}

func script(s fake.Script) json.RawMessage {
	raw, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return raw
}

func eventText(a device.AllocView) string {
	var words []string
	for _, e := range a.Tasks[0].View().Events {
		words = append(words, e.Type+": "+e.DisplayMessage)
	}
	return strings.Join(words, "\n")
}

func TestTaskRunsAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		defer r.end()
		if _, err := r.want(1, func(_ *fleet.Job, k *fleet.Task) {
			k.Config = script(fake.Script{RunFor: "5s", ExitCode: 3, Stderr: "goodbye on floor ${meta.floor}\n"})
			k.Env = map[string]string{"WHERE": "${node.datacenter}", "SELF": "${NOMAD_ALLOC_NAME}"}
			k.Meta = map[string]string{"own": "1"}
		}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if s := r.status(1); s.Status != fleet.ClientRunning {
			t.Fatalf("it is %s: %s", s.Status, eventText(s))
		}
		env := r.spy.starts[0].Env
		for k, want := range map[string]string{
			"WHERE": "berlin", "SELF": "web.g[3]", "NOMAD_ALLOC_INDEX": "3", "NOMAD_META_k": "group", "NOMAD_META_K": "group", "NOMAD_META_ONLY_JOB": "x",
			"NOMAD_META_own": "1", "NOMAD_TASK_DIR": "/local", "NOMAD_ALLOC_DIR": filepath.Join(r.dir, "alloc", fleet.UUID{1}.String(), "alloc"),
			"NOMAD_MEMORY_LIMIT": "300", "NOMAD_DC": "berlin", "NOMAD_REGION": "eu", "DUNLIN_NODE_NAME": "shop-7", "PATH": "/bin",
		} {
			if env[k] != want {
				t.Errorf("%s is %q, want %q", k, env[k], want)
			}
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		s := r.status(1)
		if text := eventText(s); s.Status != fleet.ClientFailed || !strings.Contains(text, "Exit code: 3") || !strings.Contains(text, "Last Output: goodbye on floor 2") {
			t.Errorf("it is %s:\n%s", s.Status, text)
		}
		dir, name, err := r.runner.Logs(t.Context(), fleet.UUID{1}, "")
		if err != nil || name != "main" {
			t.Fatalf("logs of %q: %v", name, err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "main.stderr.0")); err != nil || string(b) != "goodbye on floor 2\n" {
			t.Errorf("the log is %q, %v", b, err)
		}
		if r.tasks.Len() != 0 {
			t.Errorf("the driver still holds %d ended tasks", r.tasks.Len())
		}
		for bad, want := range map[string]string{"other": `no task "other"`} {
			if _, _, err := r.runner.Logs(t.Context(), fleet.UUID{1}, bad); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("logs of task %q: %v", bad, err)
			}
		}
		if _, _, err := r.runner.Logs(t.Context(), fleet.UUID{9}, ""); err == nil || !strings.Contains(err.Error(), "is not on this device") {
			t.Errorf("logs of an absent allocation: %v", err)
		}
	})
}

func TestHostVolumes(t *testing.T) {
	there := t.TempDir()
	if err := os.WriteFile(there+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	one := func(v fleet.HostVolume) map[string]fleet.HostVolume { return map[string]fleet.HostVolume{"certs": v} }
	for name, c := range map[string]struct {
		offered             map[string]fleet.HostVolume
		asked, mount, gives bool   // read-only
		want                string // why it does not start; empty: it does
	}{
		"for writing":          {one(fleet.HostVolume{Path: there}), false, false, false, ""},
		"the device says so":   {one(fleet.HostVolume{Path: there, ReadOnly: true}), true, false, true, ""},
		"the group says so":    {one(fleet.HostVolume{Path: there}), true, false, true, ""},
		"the mount says so":    {one(fleet.HostVolume{Path: there}), false, true, true, ""},
		"not offered":          {nil, true, true, true, `this device offers no host volume "certs" any more`},
		"read-only by now":     {one(fleet.HostVolume{Path: there, ReadOnly: true}), false, true, true, `offers host volume "certs" read-only by now`},
		"gone from the device": {one(fleet.HostVolume{Path: there + "/none"}), true, true, true, `host volume "certs" is gone: stat ` + there + `/none`},
		"no folder":            {one(fleet.HostVolume{Path: there + "/file"}), true, true, true, there + "/file is no folder"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.volumes = c.offered
				r.start()
				defer r.end()
				if _, err := r.want(1, func(j *fleet.Job, k *fleet.Task) {
					j.TaskGroups[0].RestartPolicy = &fleet.RestartPolicy{Attempts: fleet.Ptr(2)}
					j.TaskGroups[0].Volumes = fleet.Volumes{{Name: "x", Type: fleet.VolumeTypeHost, Source: "certs", ReadOnly: c.asked}}
					k.VolumeMounts = []fleet.VolumeMount{{Volume: "x", Destination: "/certs", ReadOnly: c.mount}}
				}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				s := r.status(1)
				if c.want != "" {
					// The restart policy is used up first.
					if text := eventText(s); s.Status != fleet.ClientFailed || strings.Count(text, c.want) != 3 {
						t.Errorf("it is %s:\n%s", s.Status, text)
					}
					return
				}
				if want := (driver.Volume{Name: "certs", Host: there, Guest: "/certs", ReadOnly: c.gives}); r.spy.count() == 0 || !slices.Equal(r.spy.starts[0].Volumes, []driver.Volume{want}) {
					t.Errorf("started with %+v; %s", r.spy.starts, eventText(s))
				}
			})
		})
	}
}

// TestMemoryMax: the limit is what the region said when it placed the allocation, over restarts of the agent too.
func TestMemoryMax(t *testing.T) {
	for _, exceeds := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.exceeds = exceeds
			r.start()
			if _, err := r.want(1, func(j *fleet.Job, k *fleet.Task) {
				k.Resources = &fleet.Resources{MemoryMB: fleet.Ptr(64), MemoryMaxMB: fleet.Ptr(256)}
				k.Config = script(fake.Script{RunFor: "1h", ExitCode: 1})
				j.TaskGroups[0].RestartPolicy = &fleet.RestartPolicy{Attempts: fleet.Ptr(3)}
			}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.end()
			r.start()
			defer r.end()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			want, max := int64(64<<20), ""
			if exceeds {
				want, max = 256<<20, "256"
			}
			if n := r.spy.count(); n < 2 {
				t.Fatalf("started %d times", n)
			}
			for _, s := range r.spy.starts {
				if s.MemoryBytes != want || s.Env["NOMAD_MEMORY_LIMIT"] != "64" || s.Env["NOMAD_MEMORY_MAX_LIMIT"] != max {
					t.Errorf("may exceed: %t; the limit is %d bytes, told %q and %q", exceeds, s.MemoryBytes, s.Env["NOMAD_MEMORY_LIMIT"], s.Env["NOMAD_MEMORY_MAX_LIMIT"])
				}
			}
		})
	}
}

func TestSetupFailures(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*fleet.Job, *fleet.Task)
		want   string
	}{
		"unknown reference in env":    {func(_ *fleet.Job, k *fleet.Task) { k.Env = map[string]string{"A": "${attr.gpu}"} }, "env A of task \"main\": ${attr.gpu} is not known"},
		"unknown reference in meta":   {func(_ *fleet.Job, k *fleet.Task) { k.Meta = map[string]string{"a-b": "${attr.gpu}"} }, "meta of task \"main\", as NOMAD_META_A_B: ${attr.gpu} is not known"},
		"unknown reference in config": {func(_ *fleet.Job, k *fleet.Task) { k.Config = script(fake.Script{Stdout: "${nobody}"}) }, "config of task \"main\": stdout: ${nobody} is not known"},
		"a driver that is not here":   {func(_ *fleet.Job, k *fleet.Task) { k.Driver = "docker" }, `driver "docker" is not enabled on this device; enabled are: fake`},
		"a config the driver refuses": {func(_ *fleet.Job, k *fleet.Task) { k.Config = json.RawMessage(`{"nope":1}`) }, `unknown key "nope"`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.start()
				defer r.end()
				if _, err := r.want(1, c.change); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if s := r.status(1); s.Status != fleet.ClientFailed || !strings.Contains(eventText(s), c.want) {
					t.Errorf("it is %s; want %q in\n%s", s.Status, c.want, eventText(s))
				}
			})
		})
	}
}

func TestAgentRestartRestartsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		if _, err := r.want(1, func(j *fleet.Job, _ *fleet.Task) { j.Type = "service" }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(2 * device.PersistWindow)
		for range 3 {
			r.end()
			r.start()
			synctest.Wait()
		}
		if s := r.status(1); s.Status != fleet.ClientRunning || r.spy.count() != 1 || !strings.Contains(eventText(s), "Recovered") {
			t.Errorf("after %d starts it is %s:\n%s", r.spy.count(), s.Status, eventText(s))
		}
		saves := r.disk.count()
		time.Sleep(time.Hour)
		if got := r.disk.count() - saves; got != 1 {
			t.Errorf("an idle hour wrote %d times; want the one write of the recovery", got)
		}
		r.onExit = true
		r.end() // of a runner that was not told to
		if r.tasks.Len() != 1 {
			t.Fatal("the agent's end took its task along")
		}
		r.start()
		synctest.Wait()
		r.end()
		h := driver.Handle{Version: 1, Driver: "fake", ID: fleet.UUID{1}.String() + "/main#1"}
		if exit, err := r.spy.Wait(t.Context(), h); err != nil || exit.Signal != "SIGTERM" {
			t.Errorf("with StopTasksOnExit it ended so: %+v, %v", exit, err)
		}
	})
}

func TestNothingStartsWhileTheDiskRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		synctest.Wait()
		r.disk.refuse(true)
		acked := make(chan error, 1)
		go func() {
			_, err := r.want(1, func(*fleet.Job, *fleet.Task) {})
			acked <- err
		}()
		time.Sleep(time.Minute)
		if len(acked) != 0 || r.spy.count() != 0 {
			t.Fatal("something was acknowledged or started that is not on disk")
		}
		v, err := r.runner.View(t.Context())
		if err != nil || !strings.Contains(v.Unwritten, "no space left") {
			t.Fatalf("asked meanwhile, the device says %q, %v", v.Unwritten, err)
		}
		go r.runner.LinkDown(t.Context()) // an event that waits its turn
		synctest.Wait()
		r.disk.refuse(false)
		if err := <-acked; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if r.spy.count() != 1 {
			t.Fatalf("%d starts", r.spy.count())
		}
		if v, err := r.runner.View(t.Context()); err != nil || v.Unwritten != "" || v.LinkUp {
			t.Fatalf("with a well disk: %+v, %v", v, err)
		}
		r.disk.refuse(true)
		go func() {
			_, err := r.want(2, func(*fleet.Job, *fleet.Task) {})
			acked <- err
		}()
		time.Sleep(time.Minute)
		r.end()
		if err := <-acked; !errors.Is(err, runner.ErrStopped) {
			t.Fatalf("what never came to disk was answered with %v", err)
		}
	})
}

func TestStoppedRunnerAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.start()
		r.end()
		if _, err := r.runner.View(t.Context()); !errors.Is(err, runner.ErrStopped) {
			t.Errorf("view: %v", err)
		}
		r.runner.LinkDown(t.Context())
		if !r.runner.Ended(t.Context(), fleet.UUID{1}, "main") {
			t.Error("a task of a stopped runner is followed for ever")
		}
	})
}

// What a task printed can be read after its allocation is forgotten, until the quota is reached; then the words say why not.
func TestLogsOutliveTheirAllocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.quota = 100
		r.start()
		defer r.end()
		for id := byte(1); id <= 2; id++ {
			if _, err := r.want(id, func(_ *fleet.Job, k *fleet.Task) {
				k.Config = script(fake.Script{RunFor: "1s", Stdout: strings.Repeat("x", 59) + string('0'+rune(id))})
			}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if _, err := r.runner.Desired(t.Context(), &wire.Desired{
				RegionID: fleet.UUID{1}, Gen: wire.Generation{Epoch: 1, N: uint64(id)}, Forget: []fleet.UUID{{id}},
			}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			dir, name, err := r.runner.Logs(t.Context(), fleet.UUID{id}, "main")
			if err != nil {
				t.Fatal(err)
			}
			if b, err := tasklog.Tail(dir, name, tasklog.Stdout, 0, 0); err != nil || len(b) != 60 {
				t.Errorf("the log is %q, %v", b, err)
			}
			files, err := r.runner.Files(t.Context(), fleet.UUID{id})
			if err != nil {
				t.Fatal(err)
			}
			if list, _, err := files.List("alloc/logs", 10); err != nil || len(list) == 0 {
				t.Errorf("of what is gone the files are %+v, %v", list, err)
			}
			if err := files.Close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "alloc", fleet.UUID{id}.String())); !os.IsNotExist(err) {
				t.Errorf("the folder of a forgotten allocation: %v", err)
			}
			if _, _, err := r.runner.Logs(t.Context(), fleet.UUID{id}, ""); err == nil || !strings.Contains(err.Error(), "name the task") {
				t.Errorf("without a task's name: %v", err)
			}
		}
		time.Sleep(runner.FitLogsEvery)
		synctest.Wait()
		if _, _, err := r.runner.Logs(t.Context(), fleet.UUID{1}, "main"); err == nil {
			t.Error("the older of two logs is kept although both are more than the quota")
		}
		if _, err := r.runner.Files(t.Context(), fleet.UUID{1}); !errors.Is(err, allocfs.ErrNotFound) {
			t.Errorf("files of an allocation without a trace: %v", err)
		}
		if _, _, err := r.runner.Logs(t.Context(), fleet.UUID{2}, "main"); err != nil {
			t.Error(err)
		}
	})
}

// On a device whose clock says 1970 or 2090, or jumps between the two while it runs, tasks start, are found again, restart as
// their policy says, and what the region wants is taken. The device's own clock is never kept as a time that has passed.
func TestWrongClocks(t *testing.T) {
	at := func(year int) time.Duration {
		return time.Date(year, 1, 1, 0, 0, 5, 0, time.UTC).Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) // bubbles begin in 2000
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var offset atomic.Int64
		r.now = func() time.Time { return time.Unix(0, time.Now().UnixNano()+offset.Load()) }
		offset.Store(int64(at(1970)))
		r.start()
		if _, err := r.want(1, func(j *fleet.Job, _ *fleet.Task) { j.Type = "service" }); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(2 * device.PersistWindow)
		for i, year := range []int{2090, 1970, 2026} {
			r.end()
			offset.Store(int64(at(year)))
			r.start()
			if _, err := r.want(byte(i+2), func(j *fleet.Job, _ *fleet.Task) { j.Type = "service" }); err != nil {
				t.Fatalf("in %d: %v", year, err)
			}
			synctest.Wait()
			time.Sleep(2 * device.PersistWindow)
			if s := r.status(1); s.Status != fleet.ClientRunning || r.spy.count() != i+2 {
				t.Fatalf("in %d it is %s after %d starts of %d tasks:\n%s", year, s.Status, r.spy.count(), i+2, eventText(s))
			}
			if c := r.disk.state.Facts.Clock; c != 0 {
				t.Errorf("in %d the device took its own clock (%s) for a time that has passed", year, time.Unix(0, c))
			}
		}
		// A task that fails in 2090, and again after the clock was put right: it must not wait until 2090.
		offset.Store(int64(at(2090)))
		if _, err := r.want(9, func(j *fleet.Job, k *fleet.Task) {
			j.TaskGroups[0].RestartPolicy = &fleet.RestartPolicy{
				Attempts: fleet.Ptr(1), Interval: fleet.Ptr(fleet.Duration(time.Minute)), Delay: fleet.Ptr(fleet.Duration(time.Second)), Mode: fleet.Ptr(fleet.RestartModeDelay),
			}
			k.Config = script(fake.Script{RunFor: "5s", ExitCode: 1})
		}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(8 * time.Second)
		offset.Store(int64(at(2026)))
		before := r.spy.count()
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if n := r.spy.count() - before; n < 3 {
			t.Errorf("after the clock was put right, the task was started %d times in five minutes:\n%s", n, eventText(r.status(9)))
		}
		r.end()
	})
}
